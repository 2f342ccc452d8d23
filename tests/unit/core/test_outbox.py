"""An outbox against a plain list: whatever is sent, acknowledged and rewound, no tick is lost or doubled."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ray_ingest.core.outbox import Outbox
from ray_ingest.model import TICK
from tests.unit.core.tick_makers import Tick, rows

COUNTS = st.integers(0, 7)


class OutboxMachine(RuleBasedStateMachine):
    """The twin keeps every tick for ever and three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox()
        self.all: list[int] = []
        self.known = 0
        self.committed = self.cursor = 0

    @rule(count=COUNTS)
    def append(self, count: int) -> None:
        """The source has `count` more ticks; the n-th of the sequence is the same whenever it is sent."""
        fresh = range(self.known, self.known + count)
        self.known += count
        self.all += list(range(len(self.all), self.known))
        self.outbox.append(rows([Tick(0, number) for number in fresh]))

    @rule(limit=COUNTS)
    def take(self, limit: int) -> None:
        """Unsent ticks come in sequence, `limit` at most and as many as there are."""
        start, ticks = self.outbox.take(limit)
        expected = self.all[self.cursor : min(self.cursor + limit, self.known)]
        assert start == self.cursor
        assert ticks.tolist() == rows([Tick(0, number) for number in expected]).tolist()
        self.cursor += len(expected)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """The owner has committed some of the sequence, or says an old number again."""
        offset = data.draw(st.integers(0, max(self.known, self.committed)))
        self.outbox.acknowledge(offset)
        self.committed = max(self.committed, offset)
        self.cursor = max(self.cursor, self.committed)

    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        """The store stands somewhere at or after what is forgotten: all from there on is sent again."""
        offset = data.draw(st.integers(self.committed, max(self.known, self.committed) + 3))
        self.outbox.rewind(offset)
        self.committed = self.cursor = offset

    @rule(ahead=COUNTS)
    def restart(self, ahead: int) -> None:
        """The source starts again from its first tick; the store may remember more than was heard of."""
        self.committed = self.cursor = self.committed + ahead
        self.outbox = Outbox(self.committed)
        self.known = 0

    @precondition(lambda self: self.committed > 0)
    @rule()
    def rewind_too_far(self) -> None:
        """What is forgotten can't be sent again, and asking for it changes nothing."""
        with pytest.raises(ValueError, match="is gone"):
            self.outbox.rewind(self.committed - 1)

    @invariant()
    def figures_agree(self) -> None:
        """Positions and counts are the twin's."""
        box = self.outbox
        assert (box.committed, box.cursor, box.end) == (self.committed, self.cursor, self.known)
        assert len(box) == max(0, self.known - self.committed)
        assert box.unsent == max(0, self.known - self.cursor)


class JournaledOutboxMachine(RuleBasedStateMachine):
    """An outbox over a journal, which here is the list of all ticks; memory holds 5 of them at most."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = rows([])
        self.chunk = 3
        self.outbox = Outbox(0, 0, self.read, capacity=5)
        self.committed = self.cursor = 0

    def read(self, offset: int, limit: int) -> np.ndarray:
        """What a journal gives: at least one tick, perhaps fewer than asked for."""
        assert 0 <= offset < len(self.journal)
        return self.journal[offset : offset + min(limit, self.chunk)]

    @rule(count=COUNTS)
    def append(self, count: int) -> None:
        """Ticks are journaled, then appended."""
        fresh = rows([Tick(0, len(self.journal) + n) for n in range(count)])
        self.journal = np.concatenate([self.journal, fresh])
        self.outbox.append(fresh)

    @rule(limit=st.integers(1, 7))
    def take(self, limit: int) -> None:
        """Unsent ticks come in sequence, at least one if there is one."""
        start, ticks = self.outbox.take(limit)
        assert start == self.cursor
        assert len(ticks) <= limit
        assert len(ticks) > 0 or self.cursor == len(self.journal)
        assert ticks.tolist() == self.journal[start : start + len(ticks)].tolist()
        self.cursor += len(ticks)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """The owner has committed some of what it was sent, or says an old number again."""
        offset = data.draw(st.integers(0, self.cursor))
        self.outbox.acknowledge(offset)
        self.committed = max(self.committed, offset)

    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        """The store stands anywhere, also far behind what it had acknowledged."""
        offset = data.draw(st.integers(0, len(self.journal)))
        self.outbox.rewind(offset)
        self.committed = self.cursor = offset

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        """A new process finds the journal's end and the store's offset."""
        self.committed = self.cursor = data.draw(st.integers(0, len(self.journal)))
        self.outbox = Outbox(self.committed, len(self.journal), self.read, capacity=5)

    @invariant()
    def memory_is_bounded(self) -> None:
        """What is held never exceeds the capacity, or one chunk; positions are the twin's."""
        assert self.outbox.held <= max(5, self.chunk) + 3
        assert (self.outbox.committed, self.outbox.cursor) == (self.committed, self.cursor)
        assert self.outbox.end == len(self.journal)
        assert self.outbox.unsent == len(self.journal) - self.cursor


TestOutboxMachine = OutboxMachine.TestCase
TestJournaledOutboxMachine = JournaledOutboxMachine.TestCase
TestJournaledOutboxMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestOutboxMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_sending_goes_on_where_it_was_after_an_acknowledgement() -> None:
    """Blocks below the cursor are let go one by one, and the next ticks still follow the last sent."""
    outbox = Outbox()
    for start in (0, 2, 4, 6):
        outbox.append(rows([Tick(0, start), Tick(0, start + 1)]))
    sent = []
    for committed in range(7):
        start, ticks = outbox.take(1)
        sent += [(start, len(ticks))]
        outbox.acknowledge(committed)
    assert sent == [(offset, 1) for offset in range(7)]


def test_a_block_of_nothing_shifts_nothing() -> None:
    """An empty block, acknowledged with the one before it, doesn't change which tick is next."""
    outbox = Outbox()
    outbox.append(rows([Tick(0, 0)]))
    outbox.take(1)
    outbox.append(rows([]))
    outbox.acknowledge(1)
    for n in (1, 2):
        outbox.append(rows([Tick(0, n)]))
    assert outbox.take(1)[1].tolist() == rows([Tick(0, 1)]).tolist()


def test_what_is_committed_is_let_go() -> None:
    """Memory is bounded by what is uncommitted: acknowledged blocks are held no longer."""
    outbox = Outbox()
    for _ in range(100):
        outbox.append(np.zeros(10, TICK))
    outbox.take(1_000)
    outbox.acknowledge(995)
    assert len(outbox._blocks) == 1
    outbox.acknowledge(1_000)
    assert not outbox._blocks
