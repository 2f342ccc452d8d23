"""A venue without a broker: JSON over WebSocket, for tests of what all venues do."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import websocket
from websocket import WebSocket

from tests.venues.venue import Connection, Venue, VenueTick

TICKS = [VenueTick("A", 101.5, 10, 1_000, 500, None), VenueTick("B", 7.05, 1, 2_000, 600, 70)]
SILENCE_S = 0.3


class PlainVenue(Venue):
    """Speaks JSON: a client sends a list of keys, gets "ok", then lists of ticks."""

    path = "/feed"

    def on_message(self, connection: Connection, payload: bytes | str) -> Sequence[bytes | str]:
        """A list of keys."""
        connection.keys.update(json.loads(payload))
        return ["ok"]

    def encode(self, ticks: Sequence[VenueTick], connection: Connection) -> Sequence[bytes]:
        """One frame a tick, so that a publication is several."""
        return [json.dumps(tick).encode() for tick in ticks]

    def expiry(self, connection: Connection) -> Sequence[bytes | str]:
        """One message."""
        return ["expired"]

    def rest(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, object]:
        """What was asked."""
        return 200, [path, query, body.decode()]


def assert_silent(client: WebSocket) -> None:
    """Nothing comes, and the socket stays open."""
    client.settimeout(SILENCE_S)
    with pytest.raises(websocket.WebSocketTimeoutException):
        client.recv()
    client.settimeout(10)
