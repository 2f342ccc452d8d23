"""Trimming by age and size never takes what may still be needed."""

from pathlib import Path

import pytest

from ray_ingest.journal import Journal, retention
from tests.unit.journal.tick_rows import DAY_MS, open_journal, ticks

NOW_MS = 2**45  # long after anything was written
GENEROUS = {"keep_days": 10**9, "keep_bytes": 2**60}


def journal_of_days(folder: Path, **limits: int) -> Journal:
    """Six ticks of three days, two a day, each in a segment of its own, and the last one's that is open."""
    journal = open_journal(folder, segment_bytes=1, **{**GENEROUS, **limits})
    for number in range(6):
        journal.append(0, ticks([number], day=number // 2))
    return journal


def test_old_segments_go(tmp_path: Path) -> None:
    """Past `keep_days` all goes but the newest session day, and the bytes freed are told."""
    journal = journal_of_days(tmp_path, keep_days=7)
    before = sum(path.stat().st_size for path in tmp_path.rglob("*.seg"))
    freed = journal.trim([6, 0], NOW_MS)
    assert journal.first(0) == 4
    assert freed == before - sum(path.stat().st_size for path in tmp_path.rglob("*.seg"))
    journal.close()


def test_young_segments_stay(tmp_path: Path) -> None:
    """What was written within `keep_days` stays while there is room."""
    journal = journal_of_days(tmp_path, keep_days=7)
    assert journal.trim([6, 0], journal.last_written_ms + 6 * DAY_MS) == 0
    assert journal.first(0) == 0
    journal.close()


def test_too_much_goes_oldest_first(tmp_path: Path) -> None:
    """Over `keep_bytes` no more goes than has to."""
    journal = journal_of_days(tmp_path, keep_bytes=5 * 76)
    assert journal.trim([6, 0], 0) == 76
    assert journal.first(0) == 1
    journal.close()


def test_what_is_not_committed_stays(tmp_path: Path) -> None:
    """A store that comes back gets every tick it has not committed, however old and many."""
    journal = journal_of_days(tmp_path, keep_days=0, keep_bytes=0)
    journal.trim([3, 0], NOW_MS)
    assert journal.first(0) == 3
    journal.close()


def test_without_that_guard_uncommitted_ticks_would_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: with no regard to what is committed, trimming takes what was kept above."""
    guarded = retention._may_go
    monkeypatch.setattr(retention, "_may_go", lambda segment, committed, day: guarded(segment, 2**63, day))
    journal = journal_of_days(tmp_path, keep_days=0, keep_bytes=0)
    journal.trim([3, 0], NOW_MS)
    assert journal.first(0) == 4
    journal.close()


def test_the_newest_session_day_stays_in_all_partitions(tmp_path: Path) -> None:
    """A wiped store gets the whole day again: committed or not, today stays in every partition."""
    journal = journal_of_days(tmp_path, keep_days=0, keep_bytes=0)
    for number in range(3):
        journal.append(1, ticks([number], day=number))
    journal.trim([6, 3], NOW_MS)
    assert (journal.first(0), journal.first(1)) == (4, 2)
    journal.close()


def test_without_that_guard_today_would_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with every tick on a day of its own, all but the open segment goes."""
    monkeypatch.setattr(retention, "session_day", lambda event_ms: object())
    journal = journal_of_days(tmp_path, keep_days=0, keep_bytes=0)
    journal.trim([6, 0], NOW_MS)
    assert journal.first(0) == 5
    journal.close()
