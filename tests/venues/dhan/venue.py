"""Dhan's market feed on a local server."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request, Response

from tests.venues.dhan import packets
from tests.venues.venue import Connection, Venue, VenueTick, response

TICKER, QUOTE, FULL, DISCONNECT = 15, 17, 21, 12
LARGEST_REQUEST = 100
PER_CONNECTION = 5_000


class DhanVenue(Venue):
    """Trade times are IST read as UTC, as reported of the real one; whole seconds.

    `refuse(805 … 810)` lets clients in, tells them and closes. `requests` are all messages received,
    `farewells` how many clients said that they were going.
    """

    expiry_close = 1000
    packets_per_frame = 30
    shift_s = packets.IST_SHIFT_S

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.requests: list[dict[str, object]] = []
        self.farewells = 0

    def handshake(self, request: Request) -> Response | None:
        """The query has version, token, client id and kind of authentication, or it is a 401."""
        query = parse_qs(urlsplit(request.path).query)
        good = query.get("version") == ["2"] and query.get("authType") == ["2"]
        return None if good and query.get("token") and query.get("clientId") else response(401)

    def greeting(self, connection: Connection) -> Sequence[bytes | str]:
        """The market's status; whoever isn't welcome is told why and disconnected."""
        token = parse_qs(urlsplit(connection.request.path).query)["token"][0]
        reason = self.refusing if self.accepts(token) else 807
        if reason is None:
            return (packets.market_status(),)
        connection.send(packets.disconnect(reason))
        connection.close(1000)
        return ()

    def on_message(self, connection: Connection, payload: bytes | str) -> Sequence[bytes | str]:
        """Subscribes and unsubscribes by mode; answers with previous closes and cached snapshots."""
        request = json.loads(payload)
        self.requests.append(request)
        code = request["RequestCode"]
        if code == DISCONNECT:
            self.farewells += 1
            connection.close(1000)
            return ()
        listed = request["InstrumentList"]
        if len(listed) > LARGEST_REQUEST or len(listed) != request["InstrumentCount"]:
            connection.close(1008)
            return ()
        modes: dict[str, int] = connection.notes.setdefault("modes", {})
        keys = [f"{entry['ExchangeSegment']}:{entry['SecurityId']}" for entry in listed]
        if code in (TICKER, QUOTE, FULL):
            modes.update(dict.fromkeys(keys, code))
            connection.keys.update(keys)
            if len(connection.keys) > PER_CONNECTION:
                return (packets.disconnect(804),)
            closes = b"".join(packets.previous_close(key, 100.0, 0) for key in keys)
            return (closes, *self.encode([self.last[key] for key in keys if key in self.last], connection))
        for key in keys:
            if modes.get(key) == code - 1:
                del modes[key]
                connection.keys.discard(key)
        return ()

    def encode(self, ticks: Sequence[VenueTick], connection: Connection) -> Sequence[bytes]:
        """Several packets to a frame; a quote's open interest goes before it."""
        made = [
            packet for tick in ticks for packet in self._packets(tick, connection.notes["modes"][tick.key])
        ]
        size = self.packets_per_frame
        return [b"".join(made[start : start + size]) for start in range(0, len(made), size)]

    def expiry(self, connection: Connection) -> Sequence[bytes | str]:
        """807."""
        return (packets.disconnect(807),)

    def _packets(self, tick: VenueTick, mode: int) -> Iterator[bytes]:
        traded_s = tick.event_time_ms // 1000 + self.shift_s
        volume, quantity = tick.day_volume or 0, tick.last_qty or 0
        if mode == TICKER:
            yield packets.ticker(tick.key, tick.last_price, traded_s)
        elif mode == FULL:
            yield packets.full(tick.key, tick.last_price, quantity, traded_s, volume, tick.oi or 0)
        else:
            if tick.oi is not None:
                yield packets.open_interest(tick.key, tick.oi)
            yield packets.quote(tick.key, tick.last_price, quantity, traded_s, volume)
