"""A shared feed's pump: what it takes for counted and for missed, through reconnects and restarts."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ray_ingest.actors.duty import Duty
from ray_ingest.actors.pump import FeedSettings, Pump
from ray_ingest.clock import epoch_ms
from ray_ingest.core.connection import ConnectionStatus, State
from ray_ingest.core.failover import CountedUntil
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.gaps import is_note
from ray_ingest.core.tick_buffer import TickBuffer
from ray_ingest.feeds.session.adapter import EVEN, Uneven
from ray_ingest.journal import JournalSettings
from ray_ingest.model import TickColumns
from tests.unit.actors.test_feed_figures import SENDER
from tests.unit.actors.test_recorder import source_of
from tests.unit.actors.test_sharing import UNEVEN
from tests.unit.actors.test_silence import Connected
from tests.unit.core.tick_makers import columns

COMMON, SOME, ALONE = 0, 1, 2
"""Instruments' ids, see `UNEVEN`."""
LONG_MS = 100_000
UP = ConnectionStatus("x-1", State.LIVE, 1, "", 3)


class Taking(TickBuffer):
    """Something happens when the first block was taken."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__(1_000)
        self._happens = happens
        self._takes = 0

    def take(self) -> tuple[TickColumns, float] | None:
        """A block."""
        self._takes += 1
        if self._takes == 2:
            self._happens()
        return super().take()


def pump_of(folder: Path, uneven: Uneven = UNEVEN) -> tuple[Pump, Connected]:
    """A pump over the folder's journals, and its source, which is connected."""
    source = source_of("A", "B", "C")
    source.__class__ = Connected
    assert isinstance(source, Connected)
    source.uneven, source.states = uneven, (UP, UP)
    journal = JournalSettings(folder, "no")
    settings = FeedSettings(
        "x", lambda: source, None, 1, 1_000, 100, 1_000, FilterSettings(), SENDER, journal, "failover"
    )
    pump = Pump(settings, [None], threading.Event(), duty=Duty(counts=False))
    assert pump._open()
    return pump, source


def close(pump: Pump) -> None:
    """As at the end of its process."""
    assert pump._recorder is not None
    assert pump.sharing is not None
    pump._recorder.close()
    pump.sharing.standby.close()


def put(pump: Pump, instrument: int, ago_ms: int, number: int = 1) -> None:
    """It receives a tick that was traded, and came, so long ago."""
    at_ms = epoch_ms() - ago_ms
    tick = columns({"instrument": instrument, "event_time_ms": at_ms, "day_volume": number})
    assert pump.receiver.buffer.put(tick, time.monotonic() - ago_ms / 1000)


def count(pump: Pump) -> None:
    """Its ticks count from now on."""
    assert pump.sharing is not None
    pump.duty.tell(True, CountedUntil())
    pump.sharing.look()
    pump.sharing.do_duty()


def test_what_a_new_connection_brings_was_not_heard_before_it(tmp_path: Path) -> None:
    """A tick from before a disconnection is still waiting when the connection is back, which brings one at
    once: both are taken together, and what was heard before the connection was well is the first."""
    pump, source = pump_of(tmp_path, EVEN)
    count(pump)
    back_ms = epoch_ms() - 5

    def back() -> None:
        source.states = (replace(UP, since_ms=back_ms),) * 2

    pump.receiver.buffer = Taking(back)
    put(pump, COMMON, LONG_MS)
    put(pump, COMMON, 0, 2)
    pump._take()
    assert pump.duty.well_since_ms == back_ms
    assert pump.duty.heard_before_ms < back_ms
    assert pump.duty.counted.heard_ms >= back_ms
    close(pump)


def test_a_process_that_starts_again_counted_no_further_than_the_common_ticks(tmp_path: Path) -> None:
    """On standby it went on with what others lack: of the rest that says nothing."""
    pump, _ = pump_of(tmp_path)
    count(pump)
    put(pump, COMMON, LONG_MS)
    pump._take()
    counted_ms = pump.duty.counted.event_ms
    pump.duty.wanted = (False, CountedUntil())
    assert pump.sharing is not None
    pump.sharing.do_duty()
    put(pump, SOME, 50)
    put(pump, ALONE, 20)
    pump._take()
    close(pump)
    again, _ = pump_of(tmp_path)
    assert again.duty.counted == CountedUntil(counted_ms, counted_ms)
    close(again)
    even, _ = pump_of(tmp_path, EVEN)
    assert even.duty.counted.event_ms > counted_ms, "the control: their times are later"
    close(even)


def test_what_no_other_has_is_missed_from_when_its_process_was_heard_last(tmp_path: Path) -> None:
    """On standby all it brings of such an instrument may be hours old: what else it journaled tells that it
    listened until just before it ended. The gap is told of that instrument alone."""
    pump, _ = pump_of(tmp_path)
    put(pump, ALONE, LONG_MS)
    put(pump, COMMON, 30)
    pump._take()
    close(pump)
    again, _ = pump_of(tmp_path)
    began_ms = epoch_ms()
    again._take()
    assert again._recorder is not None
    rows = again._recorder.sequence(0).read(1, 10)
    (note,) = rows[is_note(rows)]
    assert began_ms - 5_000 < note["event_time_ms"] <= began_ms
    tokens = [entry.token for entry in again._recorder.table.entries]
    assert tokens[note["instrument"]] == "C"
    close(again)
