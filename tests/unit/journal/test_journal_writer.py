"""The writer's promises: one writer, whole blocks or none, on disk when the policy says."""

import os
from pathlib import Path

import pytest

from ray_ingest.core.gaps import gap_of_all
from ray_ingest.core.instruments import Instrument
from ray_ingest.errors import JournalError
from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.journal.reader import JournalReader
from ray_ingest.model import ALL_INSTRUMENTS, GAP_NOTE, GapReason
from tests.unit.journal.tick_rows import MORNING_MS, NAMES, open_journal, ticks


def test_a_live_feed_goes_on_with_its_newest_journal(tmp_path: Path) -> None:
    """The same name, partitions and version find the journal again; another of them begins a new producer."""
    settings = JournalSettings(tmp_path, "no")
    kinds = [("sim", 2, 1), ("sim", 2, 1), ("sim", 1, 1), ("sim", 2, 2), ("other", 2, 1)]
    found = []
    for kind in kinds:
        opened = Journal.open(settings, *kind)
        found.append(opened.producer)
        opened.close()
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_a_given_producer_has_its_own_journal(tmp_path: Path) -> None:
    """A repeatable feed's journal is found by its producer, and refused when it is of another cut."""
    settings = JournalSettings(tmp_path, "no")
    Journal.open(settings, "replay", 2, 1, "replay-abc").close()
    assert Journal.open(settings, "replay", 2, 1, "replay-abc").producer == "replay-abc"
    with pytest.raises(JournalError, match="in 2 partitions"):
        Journal.open(settings, "replay", 3, 1, "replay-abc")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer is refused with the first one's process id, until that one has closed."""
    first = open_journal(tmp_path)
    with pytest.raises(JournalError, match=f"process {os.getpid()} is writing"):
        open_journal(tmp_path)
    first.close()
    first.close()
    open_journal(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """One line says which folder, and which setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"file.*journal\.folder"):
        open_journal(tmp_path / "file" / "journal")


def test_names_keep_their_ids(tmp_path: Path) -> None:
    """Ids are given in order of first sight, once, and are the same in the next process."""
    journal = open_journal(tmp_path)
    third = Instrument("NSE_INDEX", "Nifty 50", "upstox")
    assert journal.learn([third, NAMES[1], third]).tolist() == [2, 1, 2]
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.table.entries == [*NAMES, third]
    assert journal.learn([third, NAMES[0]]).tolist() == [2, 0]
    journal.close()


def test_a_torn_name_is_cut_and_learnt_again(tmp_path: Path) -> None:
    """No tick can refer to names that weren't written whole, so they are simply new again."""
    journal = open_journal(tmp_path)
    path = tmp_path / journal.producer / "instruments"
    whole = path.stat().st_size
    journal.learn([Instrument("NSE_EQ", "1594", "sim")])
    journal.close()
    os.truncate(path, path.stat().st_size - 1)
    journal = open_journal(tmp_path)
    assert len(journal.table) == len(NAMES)
    assert path.stat().st_size == whole
    journal.close()


def test_an_earlier_damaged_name_is_refused(tmp_path: Path) -> None:
    """Ids would shift under ticks that are there already: the file and the byte are named."""
    journal = open_journal(tmp_path)
    path = tmp_path / journal.producer / "instruments"
    journal.learn([Instrument("NSE_EQ", "1594", "sim")])
    journal.close()
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="instruments: damaged at byte 0"):
        open_journal(tmp_path)


def test_it_knows_when_it_was_made_and_how_far_its_ticks_are(tmp_path: Path) -> None:
    """Its age is that of its folder; it is as far as the partition that is behind, whose newest tick counts
    and no note, nor a partition without ticks; the next process knows the same."""
    journal = open_journal(tmp_path, segment_bytes=1)
    (made,) = JournalReader(tmp_path).producers()
    assert journal.created_ms == made.created_ms
    assert journal.last_event_ms == 0
    journal.append(1, gap_of_all(MORNING_MS - 5, MORNING_MS + 5, GapReason.RESTART))
    assert journal.last_event_ms == 0
    journal.append(0, ticks([9]))
    journal.append(0, ticks([4]))
    assert journal.last_event_ms == MORNING_MS + 9
    journal.append(1, ticks([6]))
    journal.skip_to(1, 5)
    assert journal.last_event_ms == MORNING_MS + 6
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.created_ms, journal.last_event_ms) == (made.created_ms, MORNING_MS + 6)
    journal.close()


def test_a_closed_segment_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    """Only the newest segment can be torn by a crash: any other that is short is damage, and is named."""
    journal = open_journal(tmp_path, segment_bytes=1)
    for number in range(3):
        journal.append(0, ticks([number]))
    journal.close()
    first, *_ = sorted((tmp_path / journal.producer / "p0").glob("*.seg"))
    os.truncate(first, 50)
    with pytest.raises(JournalError, match=f"{first.name}: damaged at byte 0"):
        open_journal(tmp_path)


def test_with_a_damaged_segment_moved_away_it_goes_on(tmp_path: Path) -> None:
    """What lies behind the hole is all that counts as there, and new ticks follow it."""
    journal = open_journal(tmp_path, segment_bytes=1)
    for number in range(4):
        journal.append(0, ticks([number]))
    journal.close()
    sorted((tmp_path / journal.producer / "p0").glob("*.seg"))[1].unlink()
    journal = open_journal(tmp_path)
    assert (journal.first(0), journal.end(0)) == (2, 4)
    with pytest.raises(JournalError, match="begins at 2"):
        journal.read(0, 0, 1)
    journal.close()


def test_skipped_rows_are_gap_notes_of_all(tmp_path: Path) -> None:
    """Rows the store has and the journal lost say so, from the newest tick known to the skip."""
    journal = open_journal(tmp_path)
    journal.append(0, ticks([0, 1]))
    written_ms = journal.last_written_ms
    journal.skip_to(0, 5)
    notes = journal.read(0, 2, 100)
    assert len(notes) == 3
    assert set(notes["flags"]) == {GAP_NOTE}
    assert set(notes["instrument"]) == {ALL_INSTRUMENTS}
    assert set(notes["event_time_ms"]) == {MORNING_MS + 1}
    assert set(notes["day_volume"]) == {GapReason.JOURNAL}
    assert notes["last_qty"][0] > MORNING_MS
    assert journal.last_written_ms == written_ms
    journal.close()
