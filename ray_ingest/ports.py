"""Ports of this machine's loopback: is one taken, and which is free instead."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
TRIES = 100
_HIGHEST = 65_535


def port_error(port: int) -> OSError | None:
    """Why a server can't listen on `port` now; None if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError as error:
            return error
    return None


def next_free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on; `first` itself when many are taken."""
    tried = range(first, min(first + TRIES, _HIGHEST + 1))
    return next((port for port in tried if port_error(port) is None), first)
