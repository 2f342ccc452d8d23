"""The oracle of the simulated session, against a twin too dumb to be wrong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.feeds import sim_oracle
from ray_ingest.feeds.sim import SimSettings, SimulatedExchange, SnapshotBlock
from ray_ingest.feeds.sim_oracle import OracleCandle, OracleCandles, exchange_candles, snapshot_candles
from ray_ingest.model import NULL, minute_start_ms

SMALL = SimSettings(indices=2, equities=12, futures=4, options=6, minutes=8, ticks_per_second=30)

SESSIONS = st.builds(
    SimSettings,
    seed=st.integers(0, 2**63 - 1),
    date=st.sampled_from([20261120, 20261123, 20260731]),
    indices=st.integers(1, 3),
    equities=st.integers(0, 11),
    futures=st.integers(0, 3),
    options=st.integers(0, 3),
    minutes=st.integers(1, 8),
    ticks_per_second=st.floats(0.05, 12),
    late_share=st.floats(0, 0.25),
    repeat_share=st.floats(0, 0.8),
    stale_share=st.floats(0, 0.25),
    zipf_exponent=st.floats(0, 2),
)


def rows_of(exchange: SimulatedExchange) -> list[tuple[int, int, float, int | None, int | None]]:
    """(instrument, time, price, cumulative volume, oi) of each snapshot in send order."""
    rows = []
    for block in exchange.blocks():
        columns = (block.index, block.event_time_ms, block.last_price, block.day_volume, block.oi)
        for index, time, price, volume, oi in zip(*(column.tolist() for column in columns), strict=True):
            rows.append((index, time, price, volume if volume >= 0 else None, oi if oi >= 0 else None))
    return rows


def dumb_candles(exchange: SimulatedExchange, continuous: bool) -> OracleCandles:
    """DESIGN's rules 2 and 3 a row at a time."""
    previous: dict[int, tuple[int, int]] = {}
    minutes: dict[tuple[int, int, int], list[tuple[int, int, float, int | None, int | None]]] = {}
    for row in rows_of(exchange):
        index, time, _, volume, _ = row
        if volume is not None:
            if previous.get(index) == (time, volume):
                continue
            previous[index] = (time, volume)
        day, ms_of_day = divmod(time + 19_800_000, 86_400_000)
        minutes.setdefault((index, day, ms_of_day // 60_000), []).append(row)

    candles: OracleCandles = {}
    for (index, day, minute), rows in sorted(minutes.items()):
        name, token = exchange.instruments[index]
        longer = name == "NSE_FO" and exchange.settings.date >= 20260803
        if not continuous and not 555 <= minute < (940 if longer else 930):
            continue
        rows = sorted(rows, key=lambda row: (row[3] or 0, row[1]))
        traded = None
        if rows[0][3] is not None:
            of_day = [
                (other_minute, row[3] or 0)
                for (other, other_day, other_minute), others in minutes.items()
                if (other, other_day) == (index, day)
                for row in others
            ]
            earlier = [volume for other_minute, volume in of_day if other_minute < minute]
            before = max(earlier) if earlier else min(volume for _, volume in of_day)
            traded = max(0, max(row[3] or 0 for row in rows) - before)
        prices = [row[2] for row in rows]
        candles[name, token, (day * 1_440 + minute) * 60_000 - 19_800_000] = OracleCandle(
            prices[0], max(prices), min(prices), prices[-1], traded, len(rows), rows[-1][4]
        )
    return candles


@settings(max_examples=60, deadline=None)
@given(SESSIONS, st.booleans())
def test_the_oracle_agrees_with_its_dumb_twin(session: SimSettings, continuous: bool) -> None:
    """What the candles must be is stated twice, vectorised and a row at a time, and both say the same."""
    exchange = SimulatedExchange(session)
    assert snapshot_candles(exchange, continuous=continuous) == dumb_candles(exchange, continuous)


class Scribbled(SimulatedExchange):
    """An exchange (an index, an equity, a future) that sends whatever it is told to."""

    def __init__(self, rows: list[tuple[int, int, int, int]]) -> None:
        super().__init__(SimSettings(indices=1, equities=1, futures=1, options=0, ticks_per_second=1))
        index, time, price, volume = np.array(rows, np.int64).T
        time += minute_start_ms(self.settings.date, 554)
        volume[index == 0] = NULL
        self._block = SnapshotBlock(index.astype(np.uint32), time, price * 1.0, volume, volume, price, time)

    def blocks(self) -> Iterator[SnapshotBlock]:
        """The rows as they were told, in one block."""
        yield self._block


ROW = st.tuples(
    st.integers(0, 2), st.integers(0, 8).map(lambda n: n * 29_999), st.integers(1, 9), st.integers(0, 9)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=40))
def test_the_oracle_agrees_on_nonsense_too(rows: list[tuple[int, int, int, int]]) -> None:
    """Volumes that fall, equal times and any disorder: cases no seed may happen to produce."""
    exchange = Scribbled(rows)
    assert snapshot_candles(exchange) == dumb_candles(exchange, False)


@settings(max_examples=30, deadline=None)
@given(SESSIONS)
def test_snapshot_candles_lie_within_the_exchanges_own(session: SimSettings) -> None:
    """Snapshots are trades, so each of their minutes exists on the tape, with room for its high and low."""
    exchange = SimulatedExchange(session)
    true = exchange_candles(exchange)
    for key, candle in snapshot_candles(exchange).items():
        assert true[key].low <= candle.low <= candle.high <= true[key].high
        assert (candle.volume is None) == (true[key].volume is None)


def test_exchange_candles_count_every_trade() -> None:
    """The exchange's candles are the tape's trades added up one by one, by minute."""
    exchange = SimulatedExchange(SMALL)
    trades: dict[tuple[str, str, int], list[tuple[float, int, int]]] = {}
    for block in exchange.tape():
        columns = (block.index, block.time_ms, block.price, block.qty, block.oi)
        for index, time, price, qty, oi in zip(*(column.tolist() for column in columns), strict=True):
            if time >= minute_start_ms(SMALL.date, 555):
                key = (*exchange.instruments[index], time // 60_000 * 60_000)
                trades.setdefault(key, []).append((price, qty, oi))
    expected = {}
    for key, of_minute in trades.items():
        prices, quantities, ois = zip(*of_minute, strict=True)
        volume = None if key[0] == "NSE_INDEX" else sum(quantities)
        expected[key] = OracleCandle(
            prices[0], max(prices), min(prices), prices[-1], volume, len(prices),
            ois[-1] if key[0] == "NSE_FO" else None,
        )  # fmt: skip
    assert exchange_candles(exchange) == expected


def test_only_trading_hours_make_candles_and_pre_open_moves_the_volume() -> None:
    """No candle from cached and pre-open snapshots, whose volume all the same is not the first minute's."""
    exchange = SimulatedExchange(SMALL)
    candles = snapshot_candles(exchange)
    open_ms = minute_start_ms(SMALL.date, 555)
    assert min(minute for _, _, minute in candles) == open_ms
    highest: dict[int, int] = {}
    early = set()
    for index, time, _, volume, _ in rows_of(exchange):
        if minute_start_ms(SMALL.date, 540) <= time < open_ms + 60_000:
            highest[index] = max(highest.get(index, 0), volume or 0)
            early.update([index] if time < open_ms else [])
    assert len(early) > 5
    for index in early:
        volume = candles[(*exchange.instruments[index], open_ms)].volume
        assert volume is not None
        assert volume < highest[index]


def test_at_default_settings_most_but_not_all_candles_equal_the_exchanges() -> None:
    """Conflation costs what it does on real feeds: over half of the minutes are right in all fields."""
    exchange = SimulatedExchange()
    candles, true = snapshot_candles(exchange), exchange_candles(exchange)
    assert len(candles) == 200 * 30
    equal = sum(candle[:5] == true[key][:5] for key, candle in candles.items()) / len(candles)
    assert 0.5 < equal < 0.8


def test_the_oracle_stands_apart_from_the_pipeline() -> None:
    """The oracle imports nothing that could make it wrong together with what it judges."""
    modules = set()
    for node in ast.walk(ast.parse(Path(sim_oracle.__file__).read_text())):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
        elif isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
    ours = {module for module in modules if module.startswith("ray_ingest")}
    assert ours == {"ray_ingest.feeds.sim", "ray_ingest.feeds.sim_settings"}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_oracle_says_the_same_each_time(seed: int) -> None:
    """An exchange can be asked again: nothing is used up by generating its session."""
    exchange = SimulatedExchange(SimSettings(seed=seed, minutes=2))
    assert snapshot_candles(exchange) == snapshot_candles(exchange)
    assert exchange_candles(exchange) == exchange_candles(exchange)
