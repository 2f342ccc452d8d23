"""The receiver: a live source never waits, a repeatable one loses nothing, and what is missed is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ray_ingest.actors.receiver import Receiver
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.errors import InputError
from ray_ingest.feeds.source import Disconnected
from ray_ingest.model import ALL_INSTRUMENTS, GapReason, TickColumns

PATIENCE_S = 20


def block(*ticks: tuple[int, int]) -> TickColumns:
    """Raw ticks of (instrument, event time), received when they happened."""
    ids = np.array([instrument for instrument, _ in ticks], np.uint32)
    times = np.array([time_ms for _, time_ms in ticks], np.int64)
    return TickColumns(ids, times, np.ones(len(ticks)), times, times, times, times)


@dataclass
class ListSource:
    """A source of given blocks; "now" stands for the wall clock, so that nothing of it is paced."""

    items: list[TickColumns | Disconnected | Exception]
    live: bool
    name: str = "list"
    identity: str = "list"
    paced_by: str | None = "receive_time_ms"
    table: InstrumentTable = field(default_factory=InstrumentTable)

    def blocks(self, start_ms: int) -> Iterator[TickColumns | Disconnected]:
        """The items; an exception is raised."""
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item


def received(receiver: Receiver) -> list[int]:
    """Event times in the buffer."""
    times: list[int] = []
    while (taken := receiver.buffer.take()) is not None:
        times += taken[0].event_time_ms.tolist()
    return times


def run_to_end(source: ListSource, capacity: int) -> Receiver:
    """A receiver whose source is over."""
    receiver = Receiver(source, None, capacity)
    receiver.start()
    assert receiver.over.wait(PATIENCE_S)
    return receiver


def test_a_live_sources_ticks_beyond_the_buffer_are_dropped_and_noted() -> None:
    """The source's thread goes on when the buffer is full: what is dropped is counted and becomes notes of
    the instruments and minutes concerned."""
    source = ListSource([block((0, 10), (1, 20)), block((0, 30), (0, 40), (2, 60_050)), block((3, 50))], True)
    receiver = run_to_end(source, capacity=3)
    assert received(receiver) == [10, 20, 50]
    assert receiver.dropped == 3
    notes = receiver.take_notes()
    assert notes is not None
    assert notes[["instrument", "event_time_ms", "last_qty", "oi"]].tolist() == [
        (0, 30, 40, 2),
        (2, 60_050, 60_050, 1),
    ]
    assert set(notes["day_volume"].tolist()) == {GapReason.OVERFLOW}
    assert receiver.take_notes() is None


def test_a_repeatable_sources_ticks_wait_for_room() -> None:
    """Nothing is dropped: its thread waits until the buffer is taken from."""
    source = ListSource([block((0, n)) for n in range(100)], False)
    receiver = Receiver(source, None, 3)
    receiver.start()
    times: list[int] = []
    while len(times) < 100:
        times += received(receiver)
    assert receiver.over.wait(PATIENCE_S)
    assert times == list(range(100))
    assert receiver.dropped == 0


def test_a_disconnect_is_a_note_of_all_instruments() -> None:
    """What a source missed while it was not connected concerns every instrument."""
    receiver = run_to_end(ListSource([block((0, 5)), Disconnected(6, 9), block((0, 10))], True), 10)
    notes = receiver.take_notes()
    assert notes is not None
    assert notes[["instrument", "event_time_ms", "last_qty", "day_volume"]].tolist() == [
        (ALL_INSTRUMENTS, 6, 9, GapReason.DISCONNECT)
    ]
    assert received(receiver) == [5, 10]


def test_a_gap_of_some_instruments_is_a_note_of_each() -> None:
    """A connection that carried them was down, or had no room; the others' candles stay whole. A gap of none
    is no note."""
    gaps = [Disconnected(6, 9, (2, 5), GapReason.OVERFLOW), Disconnected(7, 8, ())]
    receiver = run_to_end(ListSource([block((0, 5)), *gaps], True), 10)
    notes = receiver.take_notes()
    assert notes is not None
    assert notes[["instrument", "event_time_ms", "last_qty", "day_volume", "oi"]].tolist() == [
        (2, 6, 9, GapReason.OVERFLOW, -1),
        (5, 6, 9, GapReason.OVERFLOW, -1),
    ]


def test_ticks_that_nothing_paces_are_taken_as_they_come() -> None:
    """Event times ahead of the clock hold nothing back, and blocks without ticks take no room."""
    later_ms = 2**52
    source = ListSource([block(), block((0, later_ms)), block()], True, paced_by=None)
    receiver = run_to_end(source, 10)
    assert receiver.buffer.take() is not None
    assert receiver.buffer.take() is None


def test_a_stopped_receiver_closes_what_its_source_holds_open() -> None:
    """A source that waits for the world gives empty blocks; sockets are closed before `over` is set."""

    class WaitingSource(ListSource):
        closed = False

        def blocks(self, start_ms: int) -> Iterator[TickColumns | Disconnected]:
            """Nothing, for ever."""
            try:
                while True:
                    yield block()
            finally:
                self.closed = True

    source = WaitingSource([], True, paced_by=None)
    receiver = Receiver(source, None, 1)
    receiver.start()
    receiver.stop()
    assert receiver.over.wait(PATIENCE_S)
    assert source.closed


def test_an_error_of_the_source_is_kept_as_one_line() -> None:
    """What was received before it stays; an unexpected error is told with the source's name."""
    bad_file = InputError("x.csv: no such column")
    assert run_to_end(ListSource([block((0, 5)), bad_file], False), 10).error is bad_file
    broken = run_to_end(ListSource([block((0, 5)), ValueError("odd")], False), 10)
    assert str(broken.error) == "source list: ValueError: odd"
    assert received(broken) == [5]


def test_a_receiver_stops_also_while_it_waits_for_room_or_was_never_started() -> None:
    """Stopping ends the thread soon, whatever it is doing."""
    receiver = Receiver(ListSource([block((0, n)) for n in range(9)], False), None, 1)
    receiver.start()
    receiver.stop()
    assert receiver.over.wait(PATIENCE_S)
    idle = Receiver(ListSource([], False), None, 1)
    idle.stop()
    assert idle.over.wait(0)
