"""What the times on Dhan's wire count from: IST as reported, unless the connection shows UTC."""

from __future__ import annotations

import pytest

from ray_ingest.feeds.brokers.dhan_frames import DhanDecoder
from ray_ingest.model import IST_OFFSET_MS
from tests.venues.dhan import fuzz, packets

RECEIVED_MS = fuzz.RECEIVED_MS
TRADED_S = RECEIVED_MS // 1000 - 1
WIRE_S = TRADED_S + packets.IST_SHIFT_S


def decoder() -> DhanDecoder:
    """A new connection's."""
    return DhanDecoder(fuzz.KEYS)


def times(made: DhanDecoder, wire_s: int, received_ms: int = RECEIVED_MS) -> list[int]:
    """Of one trade, epoch ms."""
    return made.decode(packets.ticker("NSE_FNO:2885", 12.0, wire_s), received_ms).event_time_ms.tolist()


def test_ist_shows_itself_at_once() -> None:
    """A time hours ahead of its receipt is IST, and so are all of the connection from then on."""
    made = decoder()
    assert times(made, WIRE_S) == [TRADED_S * 1000]
    assert times(made, TRADED_S) == [TRADED_S * 1000 - IST_OFFSET_MS]


def test_the_day_befores_last_trade() -> None:
    """A cached snapshot far in the past is taken as IST before anything is shown."""
    assert times(decoder(), WIRE_S - 2 * 86_400) == [(TRADED_S - 2 * 86_400) * 1000]


@pytest.mark.parametrize("age_s", [11, 600, 5 * 3_600, 86_000])
def test_a_snapshot_of_today_waits_for_what_is_shown(age_s: int) -> None:
    """Should Dhan mend its clock, a trade of ten minutes ago is not put into a morning's candle with all of
    the day's volume; and it counts once the clock is known."""
    made = decoder()
    assert times(made, TRADED_S - age_s) == []
    assert made.dropped == {"no_time": 1}
    assert times(made, WIRE_S) == [TRADED_S * 1000]
    assert times(made, WIRE_S - age_s) == [(TRADED_S - age_s) * 1000]


def test_utc_is_believed_after_five_seconds() -> None:
    """Should Dhan mend its clock: trades as they happen, at first ambiguous and dropped, then UTC."""
    made = decoder()
    for second in range(5):
        assert times(made, TRADED_S + second, RECEIVED_MS + second * 1000) == []
    assert made.dropped == {"no_time": 5}
    assert times(made, TRADED_S + 5, RECEIVED_MS + 5_000) == [(TRADED_S + 5) * 1000]
    assert times(made, TRADED_S - 3_600, RECEIVED_MS + 6_000) == [(TRADED_S - 3_600) * 1000]


def test_a_burst_of_old_trades_is_no_utc() -> None:
    """Trades 5½ hours old, all at once, convince nobody; the first fresh one settles it."""
    made = decoder()
    for second in range(9):
        assert times(made, TRADED_S - 8 + second) == []
    assert times(made, WIRE_S) == [TRADED_S * 1000]


def test_noise_settles_nothing() -> None:
    """A time that would be ahead even as IST is no evidence; the normaliser refuses the tick."""
    made = decoder()
    times(made, 2**32 - 1)
    assert times(made, TRADED_S) == []
