"""Where ticks come from: one file a broker, the simulated exchange, and replay."""
