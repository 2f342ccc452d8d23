"""An owner's intake against a plain set of offsets: each tick is committed exactly once, in sequence."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ray_ingest.core.intake import Intake


class IntakeMachine(RuleBasedStateMachine):
    """The twin holds the offsets themselves: in the store, in the commit under way, and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.intake = Intake.at(3)
        self.stored = list(range(3))
        self.under_way: list[int] = []
        self.waiting: list[int] = []

    @property
    def taken(self) -> int:
        """How many were accepted."""
        return len(self.stored) + len(self.under_way) + len(self.waiting)

    @rule(back=st.integers(-3, 12), count=st.integers(0, 6), oldest=st.integers(0, 30))
    def accept(self, back: int, count: int, oldest: int) -> None:
        """A batch that continues, repeats, overlaps or skips; of ticks before `oldest` there are none."""
        start = max(0, self.taken - back)
        fresh = self.intake.accept(start, count, oldest)
        expected = max(self.taken, oldest)
        if start > expected:
            assert fresh is None
            return
        assert fresh is not None
        offsets = list(range(start, start + count))[fresh]
        assert offsets == [offset for offset in range(start, start + count) if offset >= expected]
        self.waiting += [*range(self.taken, expected), *offsets]

    @rule()
    def begin(self) -> None:
        """A commit sets out with all that waits; another is under way at most once."""
        if not self.under_way:
            self.under_way, self.waiting = self.waiting, []
            expected = (len(self.stored), len(self.stored) + len(self.under_way))
            assert self.intake.begin() == expected

    @rule()
    def commit(self) -> None:
        """The store has applied it; with none under way nothing changes."""
        self.intake.commit()
        self.stored += self.under_way
        self.under_way = []

    @rule(applied=st.booleans())
    def recover(self, applied: bool) -> None:
        """The connection broke: the store says whether the commit was applied, the rest is sent again."""
        self.stored += self.under_way if applied else []
        self.under_way, self.waiting = [], []
        self.intake.reset(len(self.stored))

    @invariant()
    def every_offset_once(self) -> None:
        """The store's offsets are 0, 1, 2 … without gap or repeat, and the three positions are the twin's."""
        assert self.stored == list(range(len(self.stored)))
        intake = self.intake
        flushing = len(self.stored) + len(self.under_way)
        assert (intake.committed, intake.flushing, intake.accepted) == (
            len(self.stored),
            flushing,
            self.taken,
        )
        assert intake.waiting == (self.taken > len(self.stored))


TestIntakeMachine = IntakeMachine.TestCase
TestIntakeMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_ticks_after_missing_ones_are_refused_whole() -> None:
    """A gap is never jumped, and refusing leaves no trace."""
    intake = Intake.at(10)
    assert intake.accept(11, 5) is None
    assert (intake.committed, intake.flushing, intake.accepted) == (10, 10, 10)
    assert intake.accept(8, 5) == slice(2, 5)


def test_an_owner_behind_all_there_is_goes_on_from_the_oldest() -> None:
    """The store lost ticks that the journal no longer has: they count as passed, also when none come after
    them, and never is anything skipped that still exists."""
    intake = Intake.at(10)
    assert intake.accept(21, 5, oldest=20) is None
    assert intake.accept(20, 5, oldest=20) == slice(0, 5)
    assert intake.begin() == (10, 25)
    behind = Intake.at(10)
    assert behind.accept(20, 0, oldest=20) == slice(0, 0)
    assert (behind.waiting, behind.begin()) == (True, (10, 20))
    ahead = Intake.at(30)
    assert ahead.accept(20, 15, oldest=20) == slice(10, 15)
