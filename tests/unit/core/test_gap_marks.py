"""Gap notes in what a commit says: marks on the minutes they touch, intervals to record, and no tick."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.core.directory import Directory, ProducerNames
from ray_ingest.core.flush_plan import Coalescer, FlushPlan, Pending
from ray_ingest.core.gap_marks import GAP_MARK, GapMarks
from ray_ingest.core.gaps import gap_notes, gap_of_all
from ray_ingest.core.partition import partition_of
from ray_ingest.model import ALL_INSTRUMENTS, GapReason, Phase
from tests.calendars import calendar, day, ms
from tests.unit.core.tick_makers import OPEN_MS, Tick, rows

NAMES = ("NSE_FO|8765", "NSE_INDEX|Nifty 50", "NASDAQ|AAPL", "NSE_INDEX|Nifty_50", "MCX_FO|1")
"""The third has no calendar, the fourth collides with the second: neither ever has a candle."""

FRIDAY, SATURDAY, MONDAY = "2026-11-20", "2026-11-21", "2026-11-23"
REASON = GapReason.DISCONNECT
Place = tuple[str, str, str, str]


class Owner:
    """An owner of one partition and a producer that named all its instruments to it."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        self.directory = Directory(calendar(), partition, partitions)
        self.names = ProducerNames(self.directory)
        self.names.extend(0, [(*name.split("|"), "sim") for name in NAMES])  # type: ignore[misc]
        self.coalescer = Coalescer(self.directory, calendar())

    def plan(self, *blocks: npt.NDArray[np.void], watermark_ms: int = 0) -> FlushPlan:
        """The commit of these blocks of TICK rows, each taken by itself."""
        for block in blocks:
            self.coalescer.take(Pending("p", self.names, block))
        return self.coalescer.plan(watermark_ms)

    def marked(self, *blocks: npt.NDArray[np.void]) -> set[Place]:
        """(instrument, date, HH:MM, phase) of the marks in the commit of these blocks, each there once."""
        plan = self.plan(*blocks)
        found = []
        for row in plan.rows:
            if row["kind"] == GAP_MARK:
                name = self.directory.instruments[int(plan.group_instrument[row["group"]])].name
                date = str(np.datetime64(int(plan.group_day[row["group"]]), "D"))
                at = f"{row['minute'] // 60:02d}:{row['minute'] % 60:02d}"
                found.append((name, date, at, Phase(row["phase"]).label))
        assert len(found) == len({*found})
        return {*found}


def note(instrument: int, start: str, end: str, missing: int = -1) -> npt.NDArray[np.void]:
    """A note of one instrument, with IST times."""
    return gap_notes([instrument], [ms(start)], [ms(end)], [missing], REASON)


@pytest.mark.parametrize(
    ("start", "end", "places"),
    [
        (f"{FRIDAY} 11:00:30", f"{FRIDAY} 11:00:40", [(FRIDAY, "11:00", "regular")]),
        (f"{FRIDAY} 11:00:30", f"{FRIDAY} 11:00:30", [(FRIDAY, "11:00", "regular")]),
        (f"{FRIDAY} 11:00", f"{FRIDAY} 11:03", [(FRIDAY, "11:00", "regular"), (FRIDAY, "11:03", "regular")]),
        (f"{FRIDAY} 06:00", f"{FRIDAY} 09:20", [(FRIDAY, "09:00", "pre_open"), (FRIDAY, "09:20", "regular")]),
        (f"{FRIDAY} 15:30", f"{FRIDAY} 22:00", [(FRIDAY, "15:30", "regular"), (FRIDAY, "15:39", "regular")]),
        (f"{FRIDAY} 15:00", f"{MONDAY} 08:00", [(FRIDAY, "15:00", "regular"), (FRIDAY, "15:39", "regular")]),
        (f"{FRIDAY} 15:00", f"{MONDAY} 10:00", [(FRIDAY, "15:00", "regular"), (MONDAY, "10:00", "regular")]),
        (f"{FRIDAY} 18:00", f"{MONDAY} 08:00", []),
        (f"{SATURDAY} 10:00", f"{SATURDAY} 12:00", []),
        (f"{FRIDAY} 11:03", f"{FRIDAY} 11:00", []),
    ],
)
def test_first_and_last_minute_of_the_interval_within_sessions(
    start: str, end: str, places: list[tuple[str, str, str]]
) -> None:
    """Over nights, weekends and outside hours: only minutes the calendar knows, and the interval as told;
    what touches no session, such as a night without a program, is no gap."""
    owner = Owner()
    assert owner.marked(note(0, start, end)) == {(NAMES[0], *place) for place in places}
    plan = owner.plan(note(0, start, end, missing=7))
    told = [("p", ms(start), ms(end), "disconnect", NAMES[0], 7)]
    assert plan.gaps == (told if places else [])


@pytest.mark.parametrize(("first_ms", "last_ms"), [(-1, 2**60), (0, ms(f"{FRIDAY} 11:00")), (2**53, 2**60)])
def test_absurd_times_stay_within_the_calendar(first_ms: int, last_ms: int) -> None:
    """A note with a broken clock costs no years of search and marks at most two minutes."""
    notes = gap_notes([0], [first_ms], [last_ms], [-1], REASON)
    assert len(Owner().marked(notes)) <= 2


def test_a_note_of_all_means_the_producers_instruments_with_a_session() -> None:
    """Each by its own hours; those that are always rejected are left out; recorded as one interval."""
    owner = Owner()
    marked = owner.marked(gap_of_all(ms(f"{FRIDAY} 15:35"), ms(f"{FRIDAY} 15:45"), GapReason.RESTART))
    assert {(name, at) for name, _, at, _ in marked} == {
        (NAMES[0], "15:35"),
        (NAMES[0], "15:39"),
        (NAMES[4], "15:35"),
        (NAMES[4], "15:45"),
        *((NAMES[1], at) for name, _, at, _ in marked if name == NAMES[1]),
    }
    from_ms, to_ms = ms(f"{FRIDAY} 11:00"), ms(f"{FRIDAY} 11:01")
    plan = owner.plan(gap_of_all(from_ms, to_ms, GapReason.RESTART))
    assert plan.gaps == [("p", from_ms, to_ms, "restart", "", -1)]


def test_a_note_of_all_marks_nothing_of_other_partitions() -> None:
    """A producer names all its instruments to every owner; each owner writes only its own."""
    interval = ms(f"{FRIDAY} 11:00"), ms(f"{FRIDAY} 11:00")
    whole = Owner().marked(gap_of_all(*interval, REASON))
    parts = [Owner(number, 2).marked(gap_of_all(*interval, REASON)) for number in range(2)]
    assert parts[0] | parts[1] == whole
    for number, part in enumerate(parts):
        assert {partition_of(*name.split("|"), 2) for name, *_ in part} <= {number}
    assert parts[0]
    assert parts[1]


@pytest.mark.parametrize("instrument", [2, 3])
def test_an_instrument_that_is_rejected_is_only_recorded(instrument: int) -> None:
    """Its ticks make no candle, so there is none to mark; that they are missing is still told."""
    plan = Owner().plan(note(instrument, f"{FRIDAY} 11:00", f"{FRIDAY} 11:00"))
    assert (len(plan.rows), plan.gaps[0].instrument) == (0, NAMES[instrument])


def test_notes_are_no_ticks() -> None:
    """Beside ticks in one block: rows of ticks as without them, counted apart, and nothing runs or closes."""
    ticks = rows([Tick(0, 0, volume=5), Tick(1, 60_000)])
    notes = np.concatenate(
        (note(0, f"{FRIDAY} 09:15", f"{FRIDAY} 09:18"), gap_of_all(OPEN_MS, OPEN_MS + 1, REASON))
    )
    plain, mixed = Owner(), Owner()
    block = np.concatenate((notes[:1], ticks[:1], notes[1:], ticks[1:]))
    mixed.coalescer.take(Pending("p", mixed.names, block))
    assert len(mixed.coalescer) == 4
    expected, plan = (
        plain.plan(ticks, watermark_ms=OPEN_MS + 60_000),
        mixed.plan(watermark_ms=OPEN_MS + 60_000),
    )
    own = plan.rows[plan.rows["kind"] != GAP_MARK]
    columns = [name for name in own.dtype.names or () if name != "group"]
    assert own[columns].tolist() == expected.rows[columns].tolist()
    assert (plan.ticks, plan.counters) == (2, {"count:p:gap_notes": 2})
    assert mixed.directory.open_end_ms.tolist() == plain.directory.open_end_ms.tolist()
    assert len(mixed.coalescer) == 0
    assert mixed.plan().gaps == []


def test_a_commit_of_notes_alone_runs_and_closes_nothing() -> None:
    """Offsets move on, minutes don't, whatever the watermark."""
    owner = Owner()
    plan = owner.plan(note(0, f"{FRIDAY} 11:00", f"{FRIDAY} 11:00"), watermark_ms=2**62)
    assert (plan.rows["kind"].tolist(), plan.ticks) == ([GAP_MARK], 0)
    assert owner.directory.open_candles == 0
    assert len(owner.plan(watermark_ms=2**62).rows) == 0


def test_a_note_of_all_needs_no_name() -> None:
    """An owner takes it without knowing any instrument; of a tick or a note of one it has to know which."""
    names = ProducerNames(Directory(calendar()))
    everything, first = np.array([ALL_INSTRUMENTS], np.uint32), np.array([0, ALL_INSTRUMENTS], np.uint32)
    assert names.cover(everything[:0])
    assert names.cover(everything)
    assert not names.cover(first)
    names.extend(0, [("NSE_FO", "8765", "sim")])
    assert names.cover(first)
    assert not names.cover(first + np.uint32(1))


def test_a_note_told_any_number_of_times_is_recorded_once() -> None:
    """Each row that a journal lost is read as the same note: one interval and one mark a minute, in one block
    or several, at the cost of one; every row is counted."""
    owner, at = Owner(), (ms(f"{FRIDAY} 11:00"), ms(f"{FRIDAY} 11:02"))
    lost = np.repeat(gap_of_all(*at, GapReason.JOURNAL), 50_000)
    other = note(0, f"{FRIDAY} 11:05", f"{FRIDAY} 11:05")
    marks = GapMarks(owner.directory, calendar())
    with pytest.MonkeyPatch.context() as patched:
        searches: list[int] = []
        edges = GapMarks._edges

        def counted(self: GapMarks, class_index: int, *rest: Any) -> Any:
            searches.append(class_index)
            return edges(self, class_index, *rest)

        patched.setattr(GapMarks, "_edges", counted)
        marks.take("p", owner.names, lost)
        assert len(searches) == len({*searches})
    assert marks.gaps == [("p", *at, "journal", "", -1)]
    plan = owner.plan(lost, np.concatenate((lost, other, lost)), watermark_ms=0)
    assert [gap.reason for gap in plan.gaps] == ["journal", "disconnect"]
    assert plan.counters == {"count:p:gap_notes": 150_001}


minutes = st.sampled_from(["09:05", "09:15", "09:16", "15:39", "15:41"])
pieces = st.tuples(st.sampled_from([*range(len(NAMES)), ALL_INSTRUMENTS]), minutes, minutes, st.booleans())


@settings(max_examples=100)
@given(st.lists(pieces, max_size=12), st.integers(0, 12))
def test_rows_are_in_the_stores_order_and_marks_dont_depend_on_cuts(
    drawn: list[tuple[int, str, str, bool]], cut: int
) -> None:
    """Ascending by group, ticks and orders by minute, then marks by minute; however notes are cut into
    batches the same minutes are marked."""
    blocks = []
    for instrument, start, end, is_tick in drawn:
        if is_tick and instrument != ALL_INSTRUMENTS:
            blocks.append(rows([Tick(instrument, ms(f"{FRIDAY} {start}") - OPEN_MS, volume=3)]))
        else:
            times = sorted((ms(f"{FRIDAY} {start}"), ms(f"{FRIDAY} {end}")))
            blocks.append(gap_notes([instrument], times[:1], times[1:], [-1], REASON))
    plan = Owner().plan(*blocks, watermark_ms=2**62)
    order = [
        (int(row["group"]), bool(row["kind"] == GAP_MARK), int(row["minute"]), int(row["kind"]))
        for row in plan.rows
    ]
    assert order == sorted(set(order))
    pairs = list(zip(plan.group_instrument.tolist(), plan.group_day.tolist(), strict=True))
    assert pairs == sorted({*pairs})
    assert {on for _, on in pairs} <= {day(FRIDAY)}
    owner = Owner()
    at_once = owner.marked(*blocks)
    assert owner.marked(*blocks[:cut]) | owner.marked(*blocks[cut:]) == at_once
