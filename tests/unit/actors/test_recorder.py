"""The recorder: ids outlive their source, nothing is journaled twice, a restart remembers what was sent."""

from pathlib import Path

import numpy as np

from ray_ingest.actors.recorder import Recorder
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.gaps import gap_of_all, is_note
from ray_ingest.core.preparation import Preparation
from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.model import ALL_INSTRUMENTS, GapReason
from tests.unit.actors.test_receiver import ListSource
from tests.unit.core.tick_makers import OPEN_MS, Tick, columns, rows

NO_FILTER = FilterSettings(1, 0.0, (), (), (), ())


def opened(folder: Path, source: ListSource, partitions: int = 1) -> Recorder:
    """A recorder over the folder's journal of a feed called "f"."""
    journal = Journal.open(JournalSettings(folder, "no"), "f", partitions, 1)
    return Recorder(journal, source, partitions)


def source_of(*tokens: str, live: bool = True) -> ListSource:
    """A source that knows these tokens, numbered in this order."""
    source = ListSource([], live)
    for token in tokens:
        source.table.intern("NSE_EQ", token, "sim")
    return source


def names(recorder: Recorder, ticks: np.ndarray) -> list[str]:
    """The tokens of journaled rows."""
    return [recorder.table.entries[number].token for number in ticks["instrument"].tolist()]


def test_ids_are_the_journals_whatever_the_source_numbers_them(tmp_path: Path) -> None:
    """A feed that starts again may number its instruments otherwise; the journal's ids go on."""
    first = opened(tmp_path, source_of("A", "B"))
    first.append(0, rows([Tick(0, 1), Tick(1, 2)]))
    first.close()
    again = opened(tmp_path, source_of("C", "B"))
    sent = again.append(0, rows([Tick(0, 3), Tick(1, 4)]))
    assert names(again, sent) == ["C", "B"]
    assert names(again, again.sequence(0).read(0, 10)) == ["A", "B", "C", "B"]
    again.close()


def test_a_source_read_again_is_journaled_once(tmp_path: Path) -> None:
    """A repeatable source sends everything again after a restart: what is journaled is passed over, however
    it is cut into blocks."""
    ticks = [Tick(0, n) for n in range(7)]
    first = opened(tmp_path, source_of("A", live=False))
    first.append(0, rows(ticks[:3]))
    first.append(0, rows(ticks[3:5]))
    first.close()
    again = opened(tmp_path, source_of("A", live=False))
    sent = [len(again.append(0, rows(part))) for part in (ticks[:1], ticks[1:4], ticks[4:6], ticks[6:])]
    assert sent == [0, 0, 1, 1]
    assert again.sequence(0).read(0, 10).tolist() == rows(ticks).tolist()
    again.close()


def test_a_live_source_goes_on_behind_what_is_journaled(tmp_path: Path) -> None:
    """What a live feed receives after a restart is new, also when the store was ahead of the journal."""
    first = opened(tmp_path, source_of("A"))
    first.append(0, rows([Tick(0, 1)]))
    first.close()
    again = opened(tmp_path, source_of("A"))
    again.sequence(0).skip_to(5)
    assert len(again.append(0, rows([Tick(0, 2), Tick(0, 3)]))) == 2
    assert again.sequence(0).end == 7
    again.close()


def test_what_is_told_of_some_instruments_says_nothing_of_the_others(tmp_path: Path) -> None:
    """Of two partitions one has only ticks of what is apart: the others were told of until their own newest.
    Where they have none at all, what is remembered begins with the first tick; nothing is 0."""
    source = source_of("A", "B")
    recorder = opened(tmp_path, source, partitions=2)
    apart, nothing = np.array([1], np.uint32), np.zeros(0, np.uint32)
    assert recorder.told_until_ms(apart) == recorder.told_until_ms(nothing) == 0
    recorder.append(0, rows([Tick(1, 10), Tick(1, 40)]))
    assert recorder.told_until_ms(apart) == OPEN_MS + 10
    recorder.append(
        1,
        np.concatenate([rows([Tick(1, 20), Tick(0, 30), Tick(1, 50)]), gap_of_all(1, 2, GapReason.RESTART)]),
    )
    assert recorder.told_until_ms(apart) == OPEN_MS + 30
    assert recorder.told_until_ms(nothing) == recorder.silent_since_ms == OPEN_MS + 40
    recorder.close()


def test_a_repeat_is_one_also_after_a_restart(tmp_path: Path) -> None:
    """Brokers send a cached snapshot to whoever connects: the last tick of each instrument is remembered,
    gap notes aside, and other partitions' too."""
    first = opened(tmp_path, source_of("A", "B"), partitions=2)
    first.append(0, rows([Tick(0, 10, volume=5)]))
    first.append(1, np.concatenate([rows([Tick(1, 20, volume=6)]), gap_of_all(1, 2, GapReason.RESTART)]))
    first.close()
    source = source_of("B", "A")
    again = opened(tmp_path, source, partitions=2)
    preparation = Preparation(source.table, NO_FILTER, 1, 60_000)
    again.remind(preparation)
    again.close()
    cached = [(1, 10, 5), (0, 20, 6), (0, 30, 6)]
    (ticks,) = preparation.prepare(
        columns(*({"instrument": i, "event_time_ms": OPEN_MS + at, "day_volume": v} for i, at, v in cached)),
        OPEN_MS + 1_000,
    )
    assert ticks["event_time_ms"].tolist() == [OPEN_MS + 30]
    assert preparation.counts.repeated == 2


def test_notes_of_all_keep_meaning_all(tmp_path: Path) -> None:
    """The id that stands for every instrument is no instrument's."""
    recorder = opened(tmp_path, source_of("A"))
    sent = recorder.append(0, np.concatenate([gap_of_all(1, 2, GapReason.DISCONNECT), rows([Tick(0, 3)])]))
    assert sent["instrument"].tolist() == [ALL_INSTRUMENTS, 0]
    assert is_note(sent).tolist() == [True, False]
    recorder.close()
