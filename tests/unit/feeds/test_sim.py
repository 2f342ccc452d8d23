"""The simulated exchange: the same story each time, with every fault a broker's stream has."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import islice, pairwise

import numpy as np
import pytest

from ray_ingest.errors import ConfigError
from ray_ingest.feeds.sim import SimSettings, SimulatedExchange, SnapshotBlock
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, NULL, date_number, minute_start_ms

SMALL = SimSettings(indices=2, equities=12, futures=4, options=6, minutes=8, ticks_per_second=30)
DATE = SMALL.date
OPEN_MS, END_MS = minute_start_ms(DATE, 555), minute_start_ms(DATE, 563)
SUBSCRIBED_MS = minute_start_ms(DATE, 539)


def joined(blocks: Iterator[SnapshotBlock]) -> SnapshotBlock:
    """All rows of several blocks as one."""
    parts = list(blocks)
    return SnapshotBlock(
        *(np.concatenate([getattr(b, column.name) for b in parts]) for column in fields(SnapshotBlock))
    )


def as_bytes(block: SnapshotBlock) -> bytes:
    """The content of a block, comparable."""
    return b"".join(getattr(block, column.name).tobytes() for column in fields(SnapshotBlock))


@pytest.fixture(scope="module")
def small() -> SnapshotBlock:
    """All snapshots of a small session."""
    return joined(SimulatedExchange(SMALL).blocks())


def of_kind(rows: SnapshotBlock, exchange: str) -> np.ndarray:
    """Which rows belong to an exchange whose name begins so."""
    names = [name for name, _ in SimulatedExchange(SMALL).instruments]
    return np.array([name.startswith(exchange) for name in names])[rows.index]


def test_the_same_settings_send_the_same_bytes_in_the_same_blocks() -> None:
    """A killed run resumes against the same stream: content and block boundaries depend on settings alone."""
    first, second = ([as_bytes(b) for b in SimulatedExchange(SMALL).blocks()] for _ in range(2))
    assert first == second
    exchange = SimulatedExchange(SMALL)
    assert [as_bytes(b) for b in exchange.blocks()] == [as_bytes(b) for b in exchange.blocks()]


def test_another_seed_is_another_session(small: SnapshotBlock) -> None:
    """The seed decides the session."""
    other = SimSettings(seed=8, indices=2, equities=12, futures=4, options=6, minutes=8, ticks_per_second=30)
    assert as_bytes(joined(SimulatedExchange(other).blocks())) != as_bytes(small)


def test_columns_have_the_promised_types_and_nulls(small: SnapshotBlock) -> None:
    """Indices have no quantity, volume or oi, equities no oi; all else is there, in its dtype."""
    dtypes = [getattr(small, column.name).dtype.str for column in fields(SnapshotBlock)]
    assert dtypes == ["<u4", "<i8", "<f8", "<i8", "<i8", "<i8", "<i8"]
    index, derivative = of_kind(small, "NSE_INDEX"), of_kind(small, "NSE_FO")
    for column in (small.last_qty, small.day_volume):
        assert ((column == NULL) == index).all()
        assert (column[~index] >= 0).all()
    assert ((small.oi == NULL) == ~derivative).all()
    assert (small.last_price > 0).all()
    assert (np.round(small.last_price * 20) / 20 == small.last_price).all()


def test_blocks_come_in_the_order_they_are_received(small: SnapshotBlock) -> None:
    """Send order is receive order, across blocks too, and nothing is received before it happened."""
    assert (np.diff(small.receive_time_ms) >= 0).all()
    assert (small.receive_time_ms > small.event_time_ms).all()
    assert all(len(block) for block in SimulatedExchange(SMALL).blocks())


@pytest.mark.parametrize(("seed", "rate", "repeats"), [(7, 400.0, 0.05), (3, 60.0, 0.6), (1, 1500.0, 0.0)])
def test_the_mean_rate_is_the_one_asked_for(seed: int, rate: float, repeats: float) -> None:
    """`ticks_per_second` means what it says, burst, conflation and repeats included."""
    settings = SimSettings(seed=seed, minutes=10, ticks_per_second=rate, repeat_share=repeats)
    sent = sum(len(block) for block in SimulatedExchange(settings).blocks())
    assert sent / 600 == pytest.approx(rate, rel=0.03)


def test_the_open_is_busier_and_activity_uneven(small: SnapshotBlock) -> None:
    """The first minute trades several times a later one's, the busiest instrument far more than most."""
    tape = list(SimulatedExchange(SMALL).tape())
    minutes = np.concatenate([(block.time_ms - OPEN_MS) // MINUTE_MS for block in tape])
    trades = np.bincount(minutes[minutes >= 0])
    assert trades[0] > 3 * trades[-1]
    by_instrument = np.sort(np.bincount(np.concatenate([block.index for block in tape])))
    assert by_instrument[-1] > 4 * np.median(by_instrument)


def test_first_comes_a_cached_snapshot_of_each_instrument(small: SnapshotBlock) -> None:
    """What a broker sends on subscribing is the day before's, timed outside the minutes that make candles."""
    n = SMALL.instrument_count
    assert small.index[:n].tolist() == list(range(n))
    days = (small.event_time_ms + IST_OFFSET_MS) // (DAY_MINUTES * MINUTE_MS)
    assert {date_number(int(day)) for day in days[:n]} == {20261119}
    assert {date_number(int(day)) for day in days[n:]} == {DATE}
    assert ((small.event_time_ms[:n] + IST_OFFSET_MS) // MINUTE_MS % DAY_MINUTES == 959).all()
    assert (small.receive_time_ms[:n] >= SUBSCRIBED_MS).all()


def test_the_cached_snapshot_of_a_monday_is_fridays() -> None:
    """The day before is the weekday before."""
    monday = SimSettings(date=20261123, minutes=1, ticks_per_second=1)
    cached = next(SimulatedExchange(monday).blocks())
    days = (cached.event_time_ms + IST_OFFSET_MS) // (DAY_MINUTES * MINUTE_MS)
    assert {date_number(int(day)) for day in days} == {20261120}


def test_only_equities_send_in_the_pre_open(small: SnapshotBlock) -> None:
    """Before 09:15 only cash equities trade, between 09:00 and 09:08, and it shows in their volume."""
    early = (small.event_time_ms < OPEN_MS) & (small.receive_time_ms >= minute_start_ms(DATE, 540))
    assert early.sum() >= 10
    assert (early <= of_kind(small, "NSE_EQ") | of_kind(small, "BSE_EQ")).all()
    times = small.event_time_ms[early]
    assert times.min() >= minute_start_ms(DATE, 540)
    assert times.max() < minute_start_ms(DATE, 548)
    assert (small.day_volume[early] > 0).all()


def disorder(rows: SnapshotBlock, instrument: int) -> tuple[np.ndarray, np.ndarray]:
    """One instrument as sent: which rows repeat the one before; how far each is behind the newest."""
    chosen = rows.index == instrument
    time, volume = rows.event_time_ms[chosen], rows.day_volume[chosen]
    repeats = (np.diff(time) == 0) & (np.diff(volume) == 0)
    return repeats, np.maximum.accumulate(time) - time


def test_repeats_and_stale_snapshots_are_sent(small: SnapshotBlock) -> None:
    """Depth-only repeats and snapshots overtaken by up to ~6 s are in the stream, about as often as asked."""
    found = [disorder(small, instrument) for instrument in range(SMALL.instrument_count)]
    repeated = sum(int(repeats.sum()) for repeats, _ in found)
    assert repeated / len(small) == pytest.approx(SMALL.repeat_share, rel=0.2)
    behind = np.concatenate([behind for _, behind in found])
    stale = (behind > 0) & (behind <= 7_000)
    assert 0.2 * SMALL.stale_share < stale.mean() < 2 * SMALL.stale_share


def test_late_snapshots_come_half_a_minute_to_minutes_late(small: SnapshotBlock) -> None:
    """Some snapshots arrive 30–150 s late, after newer ones, and none after the session's end."""
    sent_today = small.receive_time_ms >= minute_start_ms(DATE, 540)
    delay = (small.receive_time_ms - small.event_time_ms)[sent_today]
    late = delay >= 30_000
    assert 0.4 * SMALL.late_share < late.mean() < 1.5 * SMALL.late_share
    assert delay.max() < 152_000
    assert small.receive_time_ms[sent_today][late].max() < END_MS
    assert delay[~late].max() < 8_000


def test_without_faults_asked_for_the_stream_is_clean() -> None:
    """Shares of zero give a stream in order, without repeats."""
    settings = SimSettings(
        indices=1, equities=5, futures=2, options=2, minutes=3, ticks_per_second=10,
        late_share=0, repeat_share=0, stale_share=0,
    )  # fmt: skip
    rows = joined(SimulatedExchange(settings).blocks())
    for instrument in range(settings.instrument_count):
        repeats, behind = disorder(rows, instrument)
        assert not repeats.any()
        assert not behind.any()


def test_nothing_follows_the_last_trade(small: SnapshotBlock) -> None:
    """The session just ends: no tick of a later time tells anyone that the last minute is over."""
    assert small.event_time_ms.max() < END_MS
    assert small.receive_time_ms.max() < END_MS + 3_000


def test_cash_stops_at_1530_and_derivatives_at_1540() -> None:
    """From 2026-08-03 derivatives trade ten minutes longer; before, all stop together."""
    settings = SimSettings(indices=1, equities=2, futures=2, options=0, minutes=385, ticks_per_second=1)
    rows = joined(SimulatedExchange(settings).blocks())
    derivative = rows.index >= 3
    assert rows.event_time_ms[~derivative].max() < minute_start_ms(DATE, 930)
    assert minute_start_ms(DATE, 938) < rows.event_time_ms[derivative].max() < minute_start_ms(DATE, 940)
    with pytest.raises(ConfigError, match=r"^feed\.minutes=385: must be from 1 to 375"):
        SimSettings(date=20260731, minutes=385)


def test_the_cumulative_volume_never_falls_in_event_time(small: SnapshotBlock) -> None:
    """All disorder is the broker's: ordered by event time, the cumulative volume only grows."""
    today = small.event_time_ms >= minute_start_ms(DATE, 540)
    for instrument in range(SMALL.indices, SMALL.instrument_count):
        chosen = today & (small.index == instrument)
        order = np.lexsort((small.day_volume[chosen], small.event_time_ms[chosen]))
        assert (np.diff(small.day_volume[chosen][order]) >= 0).all()


def test_every_snapshot_is_a_trade_of_the_tape(small: SnapshotBlock) -> None:
    """Snapshots conflate and never invent: time, price, quantity, volume and oi are those of one trade."""
    trades = set()
    for block in SimulatedExchange(SMALL).tape():
        columns = (block.index, block.time_ms, block.price, block.qty, block.day_volume, block.oi)
        trades.update(zip(*(column.tolist() for column in columns), strict=True))
    columns = (
        small.index, small.event_time_ms, small.last_price, small.last_qty, small.day_volume, small.oi,
    )  # fmt: skip
    sent = list(zip(*(column[SMALL.instrument_count :].tolist() for column in columns), strict=True))
    assert trades.issuperset(sent)
    assert len(trades) > 1.3 * len(set(sent))


def test_live_blocks_go_on_across_midnight() -> None:
    """For ever: in receive order from the given moment, volumes growing but for their restart at midnight."""
    midnight = minute_start_ms(DATE, 0)
    start_ms = midnight - 3 * MINUTE_MS + 17_123
    blocks = list(islice(SimulatedExchange(SMALL).live_blocks(start_ms), 8))
    rows = joined(iter(blocks))
    assert rows.receive_time_ms[0] >= start_ms
    assert rows.receive_time_ms[0] < start_ms + 2_000
    assert all(a.receive_time_ms[-1] <= b.receive_time_ms[0] for a, b in pairwise(blocks))
    assert rows.event_time_ms.max() > midnight + 3 * MINUTE_MS
    for instrument in range(SMALL.indices, SMALL.instrument_count):
        for day in (rows.event_time_ms < midnight, rows.event_time_ms >= midnight):
            chosen = day & (rows.index == instrument)
            order = np.argsort(rows.event_time_ms[chosen], kind="stable")
            assert (np.diff(rows.day_volume[chosen][order]) >= 0).all()
    later = (rows.receive_time_ms - start_ms) // MINUTE_MS == 5
    assert later.sum() / 60 == pytest.approx(SMALL.ticks_per_second, rel=0.1)
    first_of_day = rows.day_volume[(rows.event_time_ms >= midnight) & (rows.day_volume != NULL)][:5]
    assert (first_of_day < rows.day_volume[rows.event_time_ms < midnight].max()).all()
    again = list(islice(SimulatedExchange(SMALL).live_blocks(start_ms), 8))
    assert [as_bytes(block) for block in again] == [as_bytes(block) for block in blocks]
