"""Ray Ingest: broker ticks in, exact one-minute candles in Redis, on Ray."""
