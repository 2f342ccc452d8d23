"""Upstox's market data feed, V3."""
