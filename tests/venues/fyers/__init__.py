"""A local Fyers: HSM WebSocket and the two REST calls that turn symbols into topics."""
