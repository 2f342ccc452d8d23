"""Who is connected to a venue, and ways to wait for what they do."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable

from tests.venues.connection import Connection
from tests.venues.server import DEADLINE_S, Server


class Clients(Server):
    """`attempts` counts handshakes since the making, refused and redirected ones included."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.attempts = 0
        self._open: set[Connection] = set()

    @property
    def connections(self) -> int:
        """WebSockets that are open."""
        return len(self._open)

    def subscribed(self) -> set[str]:
        """Keys over all connections."""
        return self._call(self._subscribed)

    def wait_subscribed(self, keys: Iterable[str], timeout_s: float = DEADLINE_S) -> None:
        """Until all of these are subscribed to."""
        wanted = set(keys)
        self.wait_for(lambda: wanted <= self._subscribed(), timeout_s, f"{len(wanted)} keys subscribed")

    def wait_subscribed_exactly(self, keys: Iterable[str], timeout_s: float = DEADLINE_S) -> None:
        """Until all of these are subscribed to, and nothing else."""
        wanted = set(keys)
        self.wait_for(lambda: wanted == self._subscribed(), timeout_s, f"just {len(wanted)} keys subscribed")

    def wait_connections(self, count: int, timeout_s: float = DEADLINE_S) -> None:
        """Until exactly so many are open."""
        self.wait_for(lambda: len(self._open) == count, timeout_s, f"{count} connections")

    def wait_attempts(self, count: int, timeout_s: float = DEADLINE_S) -> None:
        """Until so many handshakes have been tried since the making, refused and redirected ones included."""
        self.wait_for(lambda: self.attempts >= count, timeout_s, f"{count} attempts")

    def _subscribed(self) -> set[str]:
        return set[str]().union(*(connection.keys for connection in self._open))

    def _each(self, act: Callable[[Connection], None]) -> None:
        def act_on_all() -> None:
            for connection in list(self._open):
                act(connection)

        self._call(act_on_all)
