"""The ring of a feed on standby: against a twin that keeps everything and sorts it out at the end."""

from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.gaps import gap_notes
from ray_ingest.core.standby import StandbyRing
from ray_ingest.model import GapReason
from tests.unit.core.tick_makers import OPEN_MS, Tick, rows

KEEP_MS, REACH_MS = 10_000, 60_000


class Received(NamedTuple):
    """A block of ticks and when it was received, ms since `OPEN_MS`."""

    at_ms: int
    ticks: list[Tick]


@st.composite
def streams(draw: st.DrawFn) -> list[Received]:
    """Blocks as they come: event times before their receipt, with and without a cumulative volume."""
    at_ms, blocks = 0, []
    for pause_ms in draw(st.lists(st.sampled_from([0, 1, 500, 4_000, 30_000]), max_size=12)):
        at_ms += pause_ms
        late_ms = st.sampled_from([0, 1, 300, 9_000])
        ticks = draw(st.lists(st.tuples(late_ms, st.integers(-1, 3)), max_size=4))
        blocks.append(Received(at_ms, [Tick(0, at_ms - late, volume=volume) for late, volume in ticks]))
    return blocks


def wanted(stream: list[Received], capacity: int, now_ms: int, since_ms: int) -> list[Tick]:
    """What a ring that had seen this stream is to send: one condition after the other, tick by tick."""
    held = [(block.at_ms, tick) for block in stream for tick in block.ticks][-capacity:]
    sent = []
    for at_ms, tick in held:
        if at_ms < now_ms - REACH_MS:
            continue
        newer = tick.at_ms > since_ms
        recent = at_ms >= now_ms - KEEP_MS or at_ms >= since_ms
        if newer or (recent and tick.volume >= 0):
            sent.append(tick)
    return sent


@given(streams(), st.integers(1, 20), st.sampled_from([0, 1, 2_000, 70_000]), st.integers(0, 70_000))
def test_the_ring_equals_a_list_that_forgets_nothing(
    stream: list[Received], capacity: int, later_ms: int, ago_ms: int
) -> None:
    """Whatever came, when, and however little room there is: exactly the ticks of the last ten seconds, or of
    the time since others counted, are sent, in order; those without a cumulative volume once only."""
    ring = StandbyRing(capacity, REACH_MS)
    for block in stream:
        ring.add(rows(block.ticks), OPEN_MS + block.at_ms)
        assert len(ring) <= capacity
    now_ms = (stream[-1].at_ms if stream else 0) + later_ms
    since_ms = now_ms - ago_ms
    sent = ring.take(OPEN_MS + now_ms, KEEP_MS, OPEN_MS + since_ms)
    assert sent.tolist() == rows(wanted(stream, capacity, now_ms, since_ms)).tolist()
    assert len(ring) == 0
    assert len(ring.take(OPEN_MS + now_ms, KEEP_MS, 0)) == 0


def test_what_was_dropped_is_told_with_what_was_kept() -> None:
    """A note of ticks that found no room goes with the ticks around it, although it has no volume."""
    ring = StandbyRing(10)
    note = gap_notes([0], [OPEN_MS + 1], [OPEN_MS + 2], [3], GapReason.OVERFLOW)
    ring.add(np.concatenate([rows([Tick(volume=5)]), note]), OPEN_MS + 5)
    assert len(ring.take(OPEN_MS + 6, KEEP_MS, OPEN_MS + 4)) == 2
