"""Upstox's market data feed, V3, on a local server."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Sequence

from websockets.http11 import Request, Response

from tests.venues.upstox import encoding
from tests.venues.venue import Connection, Venue, VenueTick, response

BEARER = "Bearer "


class UpstoxVenue(Venue):
    """A missing bearer is a 401, a token that has expired a 403; live connections then fall silent.

    `requests` are all messages received. On subscribing a client gets an initial feed: what `stale` has for
    the key, else the tick published last.
    """

    path = "/v3/feed/market-data-feed"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.requests: list[dict[str, object]] = []
        self.stale: dict[str, VenueTick] = {}

    def handshake(self, request: Request) -> Response | None:
        """The token is in a header."""
        header = request.headers.get("Authorization", "")
        token = header.removeprefix(BEARER)
        if not token or token == header:
            return response(401)
        return None if self.accepts(token) else response(403)

    def greeting(self, connection: Connection) -> Sequence[bytes | str]:
        """The market's status."""
        return (encoding.market_info(int(time.time() * 1000)),)

    def on_message(self, connection: Connection, payload: bytes | str) -> Sequence[bytes | str]:
        """Requests are JSON in binary messages; those in text messages are not heeded."""
        if isinstance(payload, str):
            return ()
        request = json.loads(payload)
        self.requests.append(request)
        assert request["guid"]
        keys: list[str] = request["data"]["instrumentKeys"]
        modes: dict[str, str] = connection.notes.setdefault("modes", {})
        if request["method"] == "unsub":
            connection.keys.difference_update(keys)
            for key in keys:
                modes.pop(key, None)
            return ()
        assert request["method"] in ("sub", "change_mode")
        mode = request["data"]["mode"]
        assert mode in encoding.MODES
        connection.keys.update(keys)
        modes.update(dict.fromkeys(keys, mode))
        cached = {**self.last, **self.stale}
        snapshot = [cached[key] for key in keys if key in cached]
        return [] if self.muted else list(encoding.frames(snapshot, mode, encoding.INITIAL))

    def encode(self, ticks: Sequence[VenueTick], connection: Connection) -> Sequence[bytes]:
        """Each mode's ticks in frames of their own."""
        modes: dict[str, str] = connection.notes["modes"]
        return [
            frame
            for mode in dict.fromkeys(modes[tick.key] for tick in ticks)
            for frame in encoding.frames((tick for tick in ticks if modes[tick.key] == mode), mode)
        ]
