"""Dhan's market feed: binary packets, subscriptions in JSON, the token in the URL."""
