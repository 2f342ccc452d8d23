"""The journal and its disk: full, slow or failing, what it says is there is there."""

import logging
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ray_ingest.core.instruments import Instrument
from ray_ingest.errors import JournalError
from ray_ingest.journal import appender, journal, tick_log
from tests.unit.journal.tick_rows import NAMES, everything, open_journal, ticks


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: a write ends short there, then fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing_of_a_block(tmp_path: Path) -> None:
    """What doesn't fit raises and is gone without trace; the same append succeeds once there is room."""
    journal = open_journal(tmp_path)
    journal.append(0, ticks(range(10)))
    (path,) = (tmp_path / journal.producer / "p0").glob("*.seg")
    size = path.stat().st_size
    for room in (0, 1, 28, 100):
        with file_size_limit(size + room), pytest.raises(JournalError, match="make room"):
            journal.append(0, ticks(range(10, 20)))
        assert (path.stat().st_size, journal.end(0)) == (size, 10)
    with file_size_limit(size), pytest.raises(JournalError, match="make room"):
        journal.learn([Instrument("NSE_EQ", f"a token of some length {number}", "s") for number in range(99)])
    assert len(journal.table) == len(NAMES)
    journal.append(0, ticks(range(10, 20)))
    assert everything(journal, 0).tolist() == ticks(range(20)).tolist()
    journal.close()


def open_files() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/dev/fd"))


@pytest.mark.parametrize("ahead", [False, True])
def test_a_segment_that_cannot_be_begun_is_begun_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    """However often a new file is refused, at a segment's end or before the first tick, nothing is left of
    it, no descriptor either, and it works once there is room."""

    def refused(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    journal = open_journal(tmp_path, fsync="everysec", segment_bytes=1)
    folder = tmp_path / journal.producer / "p0"
    if not ahead:
        journal.append(0, ticks([0]))
    start = journal.end(0)
    before = open_files(), sorted(folder.glob("*.seg"))
    with monkeypatch.context() as full:
        full.setattr(tick_log, "sync_folder", refused)
        for _ in range(3):
            with pytest.raises(JournalError, match="no new segment: No space left"):
                journal.skip_to(0, 7) if ahead else journal.append(0, ticks([1]))
            assert (journal.first(0), journal.end(0)) == (0, start)
            assert (open_files(), sorted(folder.glob("*.seg"))) == before
    if ahead:
        journal.skip_to(0, 7)
    journal.append(0, ticks([1, 2]))
    expected = (7, 9) if ahead else (0, 3)
    assert (journal.first(0), journal.end(0)) == expected
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.first(0), journal.end(0)) == expected
    journal.close()


def test_a_segment_that_cannot_be_closed_is_closed_later(tmp_path: Path) -> None:
    """A disk too full for a segment's index refuses the append that would begin the next, until there is
    room."""
    journal = open_journal(tmp_path, segment_bytes=1)
    journal.append(0, ticks([0]))
    for _ in range(3):
        with file_size_limit(8), pytest.raises(JournalError, match="can't be closed"):
            journal.append(0, ticks([1]))
    journal.append(0, ticks([1]))
    assert everything(journal, 0).tolist() == ticks([0, 1]).tolist()
    journal.close()


def test_always_means_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every append has been flushed to disk when it returns."""
    flushed: list[int] = []
    monkeypatch.setattr(appender, "fdatasync", flushed.append)
    journal = open_journal(tmp_path, fsync="always")
    before = len(flushed)
    for number in range(5):
        journal.append(0, ticks([number]))
        assert len(flushed) == before + number + 1
    journal.close()


def test_everysec_flushes_by_itself_off_the_writing_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another call, what was appended is flushed soon by another thread."""
    done, flushed_by = threading.Event(), []

    def fdatasync(descriptor: int) -> None:
        os.fdatasync(descriptor)
        flushed_by.append(threading.current_thread())
        done.set()

    monkeypatch.setattr(journal, "SYNC_EVERY_S", 0.01)
    written = open_journal(tmp_path, fsync="everysec")
    monkeypatch.setattr(appender, "fdatasync", fdatasync)
    written.append(0, ticks([0]))
    assert done.wait(30)
    assert flushed_by[0] is not threading.current_thread()
    written.close()


class Disk:
    """Stands before fdatasync: while `broken` the first flush of each file's pages fails and, as with the
    real one, a second finds nothing to do."""

    def __init__(self) -> None:
        self.broken = False
        self.told: set[tuple[int, int]] = set()
        self.failures = threading.Semaphore(0)

    def fdatasync(self, descriptor: int) -> None:
        """A flush."""
        state = os.fstat(descriptor)
        if self.broken and (state.st_ino, state.st_size) not in self.told:
            self.told.add((state.st_ino, state.st_size))
            self.failures.release()
            raise OSError(5, "Input/output error")


def segments(folder: Path) -> dict[int, int]:
    """Bytes of partition 0's segment files by their first offset."""
    return {int(path.stem): path.stat().st_size for path in sorted(folder.glob("*/p0/*.seg"))}


def test_after_a_failed_flush_ticks_go_on_in_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure in the background is logged once, with what it may cost; appends are refused while the disk
    fails, and then go on in one new segment, flushed before the first returns; nothing is read wrong."""
    disk = Disk()
    monkeypatch.setattr(journal, "SYNC_EVERY_S", 0.01)
    monkeypatch.setattr(appender, "fdatasync", disk.fdatasync)
    written = open_journal(tmp_path, fsync="everysec")
    disk.broken = True
    with caplog.at_level(logging.ERROR):
        written.append(0, ticks([0]))
        assert disk.failures.acquire(timeout=30)
        with pytest.raises(JournalError, match="Input/output error"):
            written.sync()
        for _ in range(3):
            disk.told.clear()
            with pytest.raises(JournalError, match="Input/output error"):
                written.append(0, ticks([1]))
            assert written.end(0) == 1
    disk.broken = False
    written.append(0, ticks([1]))
    written.append(0, ticks([2]))
    written.sync()
    assert segments(tmp_path) == {0: 76, 1: 2 * 76}
    assert everything(written, 0).tolist() == ticks([0, 1, 2]).tolist()
    written.close()
    (record,) = caplog.records
    assert "if the machine loses power" in record.getMessage()
    written = open_journal(tmp_path)
    assert (written.first(0), written.end(0)) == (0, 3)
    written.close()


def test_a_failed_flush_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that tells of a failure once is not believed the second time: closing says so too, and the other
    partition is flushed all the same."""
    disk, written = Disk(), open_journal(tmp_path, fsync="no")
    monkeypatch.setattr(appender, "fdatasync", disk.fdatasync)
    written.append(0, ticks([0]))
    disk.broken = True
    for _ in range(2):
        with pytest.raises(JournalError, match="Input/output error"):
            written.sync()
    flushed: list[int] = []
    monkeypatch.setattr(appender, "fdatasync", flushed.append)
    written.append(1, ticks([0]))
    with pytest.raises(JournalError, match="Input/output error"):
        written.sync()
    assert len(flushed) == 1
    written.append(0, ticks([1]))
    written.sync()
    written.close()


def test_no_never_flushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fsync=no nothing waits for the disk, also where a segment ends and at the end."""

    def fdatasync(descriptor: int) -> None:
        raise AssertionError("flushed")

    monkeypatch.setattr(appender, "fdatasync", fdatasync)
    journal = open_journal(tmp_path, fsync="no", segment_bytes=1)
    for number in range(3):
        journal.append(0, ticks([number]))
    journal.close()


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    """A mistyped fsync is no fsync: it is refused."""
    with pytest.raises(JournalError, match="always, everysec or no"):
        open_journal(tmp_path, fsync="sometimes")


def test_the_size_told_is_that_of_its_files_and_its_disk(tmp_path: Path) -> None:
    """Whoever watches the disk goes by this: bytes and number of segments, and what the disk has left."""
    with closing(open_journal(tmp_path)) as journal:
        journal.append(0, ticks(range(10)))
        size, disk = journal.disk_use(), os.statvfs(tmp_path)
        files = list((tmp_path / journal.producer).rglob("*.seg"))
    assert (size.bytes, size.segments) == (sum(file.stat().st_size for file in files), len(files))
    assert size.disk_bytes == disk.f_blocks * disk.f_frsize
    assert 0 < size.disk_free_bytes <= size.disk_bytes
