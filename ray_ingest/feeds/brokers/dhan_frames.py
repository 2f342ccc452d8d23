"""Dhan's binary packets, decoded: little-endian, several to a frame, each with the header `<BHBI` of packet
code, length, exchange segment and security id.

A price travels as float32 and comes out as the multiple of the instrument's tick size that was meant, exact
below `largest_exact_price(tick_size)`: 524,288 at 0.05, 131,072 at 0.01, 32,768 at 0.0025. The last traded
quantity is 16 bits wide on the wire. Ticker packets carry neither quantity nor volume (both NULL here), and
quote packets no open interest: it comes in a message of its own and joins the instrument's next ticks.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import frexp, inf, ldexp
from struct import Struct

import numpy as np

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.adapter import Keys
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, NULL, TickColumns

SEGMENTS = {
    "IDX_I": 0,
    "NSE_EQ": 1,
    "NSE_FNO": 2,
    "NSE_CURRENCY": 3,
    "BSE_EQ": 4,
    "MCX_COMM": 5,
    "BSE_CURRENCY": 7,
    "BSE_FNO": 8,
}
"""Dhan's segments by the number its packets carry. Security ids repeat across them."""

_DERIVATIVES = frozenset((2, 3, 5, 7, 8))  # elsewhere the open interest on the wire is a filler
_INDEX_TICK_SIZE = 0.01  # at most: indices are published with two decimals, India VIX with four

TICKER, QUOTE, OPEN_INTEREST, FULL, DISCONNECT = 2, 4, 5, 8, 50
_SIZES = {TICKER: 16, 3: 112, QUOTE: 50, OPEN_INTEREST: 12, 6: 16, 7: 8, FULL: 162, DISCONNECT: 10}
_HEADER = Struct("<BHBI")
_TICKER = Struct("<fI")
_QUOTE = Struct("<fHI4xI")
_FULL = Struct("<fHI4xI8xI")
_OPEN_INTEREST = Struct("<I")
_REASON = Struct("<H")

_IST_SHIFT_S = IST_OFFSET_MS // 1000
_AHEAD_MS = 30 * 60_000
_FRESH_MS = 10_000
_DAY_MS = DAY_MINUTES * MINUTE_MS
_SPAN_MS = 5_000

_VERDICTS = {
    805: (Trouble.REFUSED, "Dhan 805: too many connections with this client id"),
    806: (Trouble.REFUSED, "Dhan 806: the account has no Data API subscription"),
    807: (Trouble.TOKEN, "Dhan 807: access token expired"),
    808: (Trouble.TOKEN, "Dhan 808: client id or access token invalid"),
    809: (Trouble.TOKEN, "Dhan 809: access token invalid"),
    810: (Trouble.TOKEN, "Dhan 810: client id invalid"),
}


def largest_exact_price(tick_size: float) -> float:
    """Every multiple of `tick_size` (rupees) below this price survives float32: there a float32's error,
    half its spacing at most, is less than half a tick."""
    mantissa, exponent = frexp(tick_size * 2**23)
    return ldexp(1.0, exponent if mantissa > 0.5 else exponent - 1)


class TradeClock:
    """What a connection's trade times count from. Documented as epoch seconds, they are reported to be IST
    read as UTC, 19,800 s too late; no live account has confirmed it here, so its own ticks decide.

    - A time ahead of its receipt by more than half an hour, yet not once corrected, is IST: for good.
    - Trades received as they happen for five seconds, by both clocks, aren't 5½ hours old: UTC, for good.
    - Until either shows, a time of the last day is ambiguous (in UTC a trade of now or an hour ago, in IST
      one 5½ hours older) and makes no tick: taken wrongly it would put today's volume into a morning's
      candle. An older one is taken as IST.

    `shift_s` is to be taken off a time on the wire; it is `certain` once shown.
    """

    def __init__(self) -> None:
        self.shift_s = _IST_SHIFT_S
        self.certain = False
        self._first_fresh: tuple[int, int] | None = None

    def judge(self, traded_s: int, received_ms: int) -> int | None:
        """The shift of one time while none is certain; None when that time is ambiguous."""
        ahead_ms = traded_s * 1000 - received_ms
        if _AHEAD_MS < ahead_ms < IST_OFFSET_MS + _AHEAD_MS:
            self.certain = True
        elif abs(ahead_ms) <= _FRESH_MS:
            self._first_fresh = self._first_fresh or (traded_s * 1000, received_ms)
            traded_0_ms, received_0_ms = self._first_fresh
            if min(traded_s * 1000 - traded_0_ms, received_ms - received_0_ms) < _SPAN_MS:
                return None
            self.shift_s, self.certain = 0, True
        elif -_DAY_MS < ahead_ms <= _AHEAD_MS:
            return None
        return self.shift_s


class DhanDecoder:
    """See `Decoder`. A length in a header may count its eight bytes or not; anything else ends the frame as
    malformed, as does a packet cut short. Unknown packets are skipped by their length and counted as
    malformed; previous close, market status and depth are skipped."""

    def __init__(self, keys: Keys) -> None:
        self.dropped: Counter[str] = Counter()
        self.verdict: tuple[Trouble, str] | None = None
        self._keys = keys
        self._known = 0
        self._instruments: dict[int, tuple[int, int, int]] = {}
        self._open_interest: dict[int, int] = {}
        self._clock = TradeClock()

    def missed(self) -> None:
        """See `Decoder`: each frame says all."""

    def decode(self, payload: bytes, received_ms: int) -> TickColumns:
        """The frame's ticks; times in epoch ms UTC, whole seconds."""
        if self._keys.version != self._known:
            self._learn()
        ids: list[int] = []
        times: list[int] = []
        prices: list[float] = []
        quantities: list[int] = []
        volumes: list[int] = []
        interests: list[int] = []
        instruments, open_interest, clock = self._instruments, self._open_interest, self._clock
        offset, end = 0, len(payload)
        while offset < end:
            if end - offset < 8:
                self.dropped["malformed"] += 1
                break
            code, length, segment, security = _HEADER.unpack_from(payload, offset)
            size = _SIZES.get(code)
            if size is None:
                self.dropped["malformed"] += 1
                offset += max(length, 8)
                continue
            if offset + size > end or (length != size and length != size - 8):
                self.dropped["malformed"] += 1
                break
            body = offset + 8
            offset += size
            key = segment << 32 | security
            if code == QUOTE:
                raw, quantity, traded_s, volume = _QUOTE.unpack_from(payload, body)
                interest = open_interest.get(key, NULL)
            elif code == FULL:
                raw, quantity, traded_s, volume, interest = _FULL.unpack_from(payload, body)
                if segment not in _DERIVATIVES:
                    interest = NULL
            elif code == TICKER:
                raw, traded_s = _TICKER.unpack_from(payload, body)
                quantity = volume = NULL
                interest = open_interest.get(key, NULL)
            else:
                if code == OPEN_INTEREST:
                    self._join(key, segment, _OPEN_INTEREST.unpack_from(payload, body)[0])
                elif code == DISCONNECT:
                    self._disconnected(_REASON.unpack_from(payload, body)[0])
                continue
            known = instruments.get(key)
            if known is None:
                self.dropped["unknown"] += 1
                continue
            instrument, numerator, denominator = known
            if not 0.0 < raw < inf:
                self.dropped["no_price"] += 1
                continue
            price = round(raw * denominator / numerator) * numerator / denominator
            if not price:
                self.dropped["no_price"] += 1
                continue
            shift_s = clock.shift_s if clock.certain else clock.judge(traded_s, received_ms)
            if not traded_s or shift_s is None:
                self.dropped["no_time"] += 1
                continue
            ids.append(instrument)
            times.append((traded_s - shift_s) * 1000)
            prices.append(price)
            quantities.append(quantity)
            volumes.append(volume)
            interests.append(interest)
        return TickColumns(
            np.array(ids, np.uint32),
            np.array(times, np.int64),
            np.array(prices, np.float64),
            np.array(quantities, np.int64),
            np.array(volumes, np.int64),
            np.array(interests, np.int64),
            np.full(len(ids), received_ms, np.int64),
        )

    def _learn(self) -> None:
        """Know what the feed has subscribed since; a key that isn't SEGMENT:id never meets a packet."""
        self._known = self._keys.version
        for key, tick_size in list(self._keys.tick_sizes.items()):
            segment, _, security = key.partition(":")
            if segment in SEGMENTS and security.isdecimal():
                wire_key = SEGMENTS[segment] << 32 | int(security)
                if not 0.0 < tick_size < inf or (segment == "IDX_I" and tick_size > _INDEX_TICK_SIZE):
                    tick_size = _INDEX_TICK_SIZE
                exact = Fraction(str(tick_size))
                self._instruments[wire_key] = (self._keys.ids[key], *exact.as_integer_ratio())

    def _join(self, key: int, segment: int, interest: int) -> None:
        if key not in self._instruments:
            self.dropped["unknown"] += 1
        elif segment in _DERIVATIVES:
            self._open_interest[key] = interest

    def _disconnected(self, reason: int) -> None:
        if self.verdict is None:
            refused = (Trouble.REFUSED, f"Dhan {reason}: disconnected by the server")
            self.verdict = _VERDICTS.get(reason, refused)
