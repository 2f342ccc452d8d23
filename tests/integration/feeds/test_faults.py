"""The unmodified SDKs under our session, against every fault that a broker's server can show them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_ingest.model import MINUTE_MS, minute_start_ms
from tests.venues import brokers
from tests.venues.comparison import wrong
from tests.venues.faults import ALL, FAULTS, Fault
from tests.venues.market import Market
from tests.venues.matrix import BEGIN, END, Outcome, run_matrix, table, write

CELLS = [(fault, broker) for fault in FAULTS for broker in fault.brokers]

Matrix = dict[tuple[str, str], Outcome]


class Everything(logging.Handler):
    """Keeps all that is logged, at any level, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def logged() -> Iterator[list[str]]:
    """What this module's sessions log."""
    root, handler = logging.getLogger(), Everything()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, logged: list[str]) -> Matrix:
    """Every fault at every broker, some at a time."""
    outcomes = run_matrix(tmp_path_factory.mktemp("matrix"))
    print(table(outcomes))
    return {(one.fault.name, one.broker): one for one in outcomes}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("fault", "broker"), CELLS, ids=[f"{b}-{f.name}" for f, b in CELLS])
def test_the_session_survives(matrix: Matrix, fault: Fault, broker: str) -> None:
    """It goes through the right state, tells the gap, has no wrong candle outside of it, and recovers in
    time; what isn't worth a reconnect costs none."""
    assert matrix[fault.name, broker].problems() == []


def test_the_gaps_it_tells_are_needed(matrix: Matrix) -> None:
    """Control: where seconds of ticks are lost, candles are wrong that only the gaps excuse."""
    silent = [one for one in matrix.values() if one.fault.name in ("mute", "half-open", "stall mid-frame")]
    assert len(silent) == 3 * len(ALL)
    assert sum(one.unmarked for one in silent) > 0


def test_no_token_is_logged(matrix: Matrix, logged: list[str]) -> None:
    """At no level, by nobody, in no form that it has on its way: header, URL or body."""
    assert len(matrix) == len(CELLS)
    assert len(brokers.ISSUED) >= len(CELLS)
    text = "\n".join(logged)
    assert "live" in text
    assert [line for line in logged if brokers.MARK in line] == []
    assert [token for token in brokers.ISSUED if token in text] == []


def test_a_lost_and_an_invented_tick_are_seen() -> None:
    """Control: the comparison that all of this rests on finds one missing high and one wrong price."""
    market = Market(count=10, minutes=2, start_ms=minute_start_ms(20261120, 600))
    ticks = market.ticks("dhan")
    assert wrong(market, ticks, ticks, (), []) == []
    candles = market.candles(ticks)
    (name, minute_ms), candle = max(candles.items(), key=lambda item: item[1].high - item[1].open)
    names = {one.keys["dhan"]: one.name for one in market.instruments}
    without = [
        tick
        for tick in ticks
        if (names[tick.key], tick.event_time_ms // MINUTE_MS * MINUTE_MS, tick.last_price)
        != (name, minute_ms, candle.high)
    ]
    assert len(wrong(market, ticks, without, (), [])) == 1
    invented = [*ticks, ticks[-1]._replace(last_price=ticks[-1].last_price + 1)]
    assert any("never sent" in line for line in wrong(market, ticks, invented, (), []))


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    """The document keeps all that is around the table, and one without the marks is refused."""
    document = tmp_path / "feeds.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, "new")
    assert document.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    document.write_text("no marks")
    with pytest.raises(SystemExit, match="should have the lines"):
        write(document, "new")
