"""The store: key names, Lua scripts, connections, the embedded server."""
