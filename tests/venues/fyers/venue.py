"""Fyers' server for tests: HSM over a WebSocket, and the REST calls that turn symbols into topics."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence

from websockets.datastructures import Headers

from tests.venues.fyers import encoding as hsm
from tests.venues.venue import Connection, Venue, VenueTick

ENTRIES_A_PACKET = 50
ACK_EVERY = 20
SEGMENTS = {
    "1010": "nse_cm", "1011": "nse_fo", "1210": "bse_cm", "1211": "bse_fo",
    "1012": "cde_fo", "1212": "bcs_fo", "1120": "mcx_fo",
}  # fmt: skip
INDICES = {"NSE:NIFTY50-INDEX": "Nifty 50", "NSE:NIFTYBANK-INDEX": "Nifty Bank", "BSE:SENSEX-INDEX": "SENSEX"}
AUTH, SUBSCRIBE, UNSUBSCRIBE, ACK, PING, MODE = 1, 4, 5, 3, 11, 12


def access_token(key: str = "hsm-key", expires_s: float | None = None) -> str:
    """A token as Fyers gives them: a JWT with the socket's key, good until `expires_s`, else for an hour."""
    claims = {"exp": int(time.time() + 3600 if expires_s is None else expires_s), "hsm_key": key}
    parts = ({"alg": "none"}, claims, {"signature": key})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


def hsm_key_of(token: str) -> str:
    """The key inside an access token."""
    payload = token.split(".")[1]
    key = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["hsm_key"]
    return str(key)


class FyersVenue(Venue):
    """Keys are Fyers' symbols. With `fytokens` ({symbol: fytoken}) others are unknown; without it, any symbol
    that ends in -INDEX, -EQ and so on gets a number. Event times are sent in whole seconds.

    `acks` are the message numbers that clients have acknowledged, `pings` how often they pinged.
    """

    path = "/hsm/v1-5/prod"

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        fytokens: Mapping[str, str] | None = None,
        indices: Mapping[str, str] = INDICES,
    ) -> None:
        super().__init__(tls)
        self.acks: list[int] = []
        self.pings = 0
        self._listed = fytokens
        self._fytokens = dict(fytokens or {})
        self._indices = indices
        self._symbols: dict[str, str] = {}

    def accept_token(self, token: str) -> None:
        """Let the holder of this access token in too."""
        super().accept_token(token)
        super().accept_token(hsm_key_of(token))

    # REST.

    def rest_refusal(self, path: str, headers: Headers) -> tuple[int, object] | None:
        """Symbols are for good tokens only."""
        if path == "/data/symbol-token" and not self.accepts(headers.get("Authorization", "")):
            return 401, {"s": "error", "code": -15, "message": "Please provide valid token"}
        return None

    def rest(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, object]:
        """Symbols to fytokens, and the index names."""
        if path == "/sym_details/index_hsm_mapping.json":
            return 200, dict(self._indices)
        if path != "/data/symbol-token":
            return 404, {"s": "error", "code": 404, "message": "no such page"}
        asked = json.loads(body)["symbols"]
        valid = {symbol: token for symbol in asked if (token := self._fytoken(symbol))}
        for symbol, fytoken in valid.items():
            self._symbols[self._topic(symbol, fytoken)] = symbol
        return 200, {"s": "ok", "validSymbol": valid, "invalidSymbol": [s for s in asked if s not in valid]}

    def _fytoken(self, symbol: str) -> str | None:
        if self._listed is None and symbol not in self._fytokens:
            self._fytokens[symbol] = f"1010000000{1000 + len(self._fytokens)}"
        return self._fytokens.get(symbol)

    def _topic(self, symbol: str, fytoken: str) -> str:
        segment = SEGMENTS[fytoken[:4]]
        if symbol.endswith("-INDEX"):
            return f"if|{segment}|{self._indices.get(symbol, symbol.split(':')[1].split('-')[0])}"
        return f"sf|{segment}|{fytoken[10:]}"

    # The socket.

    def on_message(self, connection: Connection, payload: bytes | str) -> Sequence[bytes | str]:
        """Auth, mode, subscriptions, acknowledgements and pings, in HSM's types."""
        assert isinstance(payload, bytes)
        kind, fields = hsm.fields_of(payload)
        if kind == AUTH:
            good = self.refusing != 11001 and self.accepts(fields[1].decode())
            connection.notes.update(good=good, topics={}, sent={}, number=0)
            return [hsm.answer(AUTH, "K", ACK_EVERY) if good else hsm.answer(AUTH, "N", 0)]
        if kind == MODE:
            connection.mode = "lite" if fields[2] == b"L" else "full"
            return [hsm.answer(MODE)]
        if kind == ACK:
            self.acks.append(int.from_bytes(fields[1], "big"))
        if kind == PING:
            self.pings += 1
        if kind in (SUBSCRIBE, UNSUBSCRIBE):
            if not connection.notes.get("good"):
                return [hsm.answer(kind, "N")]
            return [hsm.answer(kind), *self._subscription(connection, kind, hsm.topics_of(fields[1]))]
        return []

    def _subscription(self, connection: Connection, kind: int, topics: list[str]) -> Sequence[bytes]:
        ids, sent = connection.notes["topics"], connection.notes["sent"]
        known = [topic for topic in topics if topic in self._symbols]
        symbols = [self._symbols[topic] for topic in known]
        if kind == UNSUBSCRIBE:
            connection.keys.difference_update(symbols)
            for symbol in symbols:
                sent.pop(symbol, None)
            return []
        connection.keys.update(symbols)
        for topic, symbol in zip(known, symbols, strict=True):
            ids.setdefault(symbol, (len(ids) + 1, topic))
            sent.pop(symbol, None)
        return self.encode([self.last[symbol] for symbol in symbols if symbol in self.last], connection)

    def encode(self, ticks: Sequence[VenueTick], connection: Connection) -> Sequence[bytes]:
        """A topic's first tick as a snapshot, the next ones as what changed."""
        entries = [entry for tick in ticks for entry in self._entries(tick, connection)]
        chunks = [entries[i : i + ENTRIES_A_PACKET] for i in range(0, len(entries), ENTRIES_A_PACKET)]
        packets = []
        for chunk in chunks:
            connection.notes["number"] += 1
            packets.append(hsm.packet(connection.notes["number"], chunk))
        return packets

    def _entries(self, tick: VenueTick, connection: Connection) -> Iterator[bytes]:
        topic_id, topic = connection.notes["topics"][tick.key]
        precision = 4 if topic.split("|")[1] in ("cde_fo", "bcs_fo") else 2
        values = _values(tick, topic, precision)
        before: list[int] | None = connection.notes["sent"].get(tick.key)
        if before is None:
            connection.notes["sent"][tick.key] = values
            yield hsm.snapshot(topic_id, topic, values, 1, precision, tick.key)
            return
        changed = [hsm.SAME if new == old else new for new, old in zip(values, before, strict=True)]
        merged = [old if new == hsm.SAME else new for new, old in zip(changed, before, strict=True)]
        connection.notes["sent"][tick.key] = merged
        yield hsm.lite(topic_id, values[0]) if connection.mode == "lite" else hsm.update(topic_id, changed)

    def expiry(self, connection: Connection) -> Sequence[bytes | str]:
        """The answer to an auth that is no longer good."""
        return [hsm.answer(AUTH, "N", 0)]


def _values(tick: VenueTick, topic: str, precision: int) -> list[int]:
    """A tick's fields as the wire has them, with a book around its price."""
    price, seconds = round(tick.last_price * 10**precision), tick.event_time_ms // 1000
    if topic.startswith("if|"):
        return hsm.index(ltp=price, exch_feed_time=seconds, prev_close_price=price - 100)
    fields = {
        "ltp": price, "last_traded_time": seconds, "exch_feed_time": seconds, "bid_price": price - 5,
        "ask_price": price + 5, "bid_size": 75, "ask_size": 150, "avg_trade_price": price,
    }  # fmt: skip
    optional = {"vol_traded_today": tick.day_volume, "last_traded_qty": tick.last_qty, "OI": tick.oi}
    fields.update({name: value for name, value in optional.items() if value is not None})
    return hsm.scrip(**fields)
