"""Gap notes: what was dropped is told, each instrument's minute once."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.gaps import LostTicks, gap_of_all, is_note
from ray_ingest.model import ALL_INSTRUMENTS, TICK, GapReason, TickColumns

DROPPED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400_000)), max_size=30)


def columns(ticks: list[tuple[int, int]]) -> TickColumns:
    """Raw ticks of (instrument, event time)."""
    ids = np.array([instrument for instrument, _ in ticks], np.uint32)
    times = np.array([time_ms for _, time_ms in ticks], np.int64)
    return TickColumns(ids, times, times.astype(np.float64), times, times, times, times)


@given(blocks=st.lists(DROPPED, max_size=5))
def test_every_dropped_tick_is_in_the_note_of_its_instrument_and_minute(blocks: list) -> None:
    """Notes cover exactly the dropped ticks: their number, first and last time, by instrument and minute."""
    lost = LostTicks()
    for block in blocks:
        lost.add(columns(block))
    dropped = [tick for block in blocks for tick in block]
    assert lost.waiting == lost.total == len(dropped)
    notes = lost.drain()
    assert is_note(notes).all()
    found = {
        (int(n["instrument"]), int(n["event_time_ms"]) // 60_000): (
            int(n["event_time_ms"]),
            int(n["last_qty"]),
            int(n["oi"]),
        )
        for n in notes
    }
    numbers = Counter((instrument, time_ms // 60_000) for instrument, time_ms in dropped)
    assert found == {
        place: (
            min(t for i, t in dropped if (i, t // 60_000) == place),
            max(t for i, t in dropped if (i, t // 60_000) == place),
            number,
        )
        for place, number in numbers.items()
    }
    assert len(notes) == len(found)
    assert not lost.waiting
    assert not len(lost.drain())


def test_a_gap_of_all_instruments_is_one_note() -> None:
    """A restart or a disconnect concerns all instruments of a producer; a plain tick is no note."""
    note = gap_of_all(1_000, 5_000, GapReason.RESTART)
    assert note.tolist() == [(1_000, 0.0, 5_000, GapReason.RESTART, -1, ALL_INSTRUMENTS, 1)]
    assert not is_note(np.zeros(2, TICK)).any()
