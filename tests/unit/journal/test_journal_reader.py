"""Readers beside a writer: what was appended, by instrument and time, and every flipped byte."""

import os
from pathlib import Path

import polars as pl
import pytest

from ray_ingest.core.gaps import gap_of_all
from ray_ingest.errors import JournalError
from ray_ingest.journal import Journal, JournalSettings, reader
from ray_ingest.journal.check import verify
from ray_ingest.journal.reader import TICKS_SCHEMA, JournalReader
from ray_ingest.model import GapReason
from tests.unit.journal.tick_rows import DAY_MS, MORNING_MS, NAMES, open_journal, ticks

ALWAYS = (0, 2**60)


def one_partition(folder: Path, name: str = "sim", segment_bytes: int = 64 << 20) -> Journal:
    """A journal in one partition, its names learnt."""
    journal = Journal.open(JournalSettings(folder, "no", segment_bytes), name, 1, 1)
    journal.learn(NAMES)
    return journal


def test_ticks_are_read_beside_the_writer(tmp_path: Path) -> None:
    """What was appended is read at once: one instrument's ticks, missing integers null, no gap notes."""
    journal = one_partition(tmp_path)
    rows = ticks(range(6))
    rows["oi"][2] = 7
    journal.append(0, rows)
    written_ms = journal.last_written_ms
    journal.append(0, gap_of_all(MORNING_MS, MORNING_MS + 5, GapReason.RESTART))
    frame = JournalReader(tmp_path).ticks("nse_fo", "8765", *ALWAYS)
    assert frame.schema == TICKS_SCHEMA
    assert frame["day_volume"].to_list() == [0, 2, 4]
    assert frame["oi"].to_list() == [None, 7, None]
    assert frame["last_qty"].null_count() == 3
    assert set(frame["receive_time_ms"]) == {written_ms}
    assert frame.select("exchange", "token", "source").unique().row(0) == ("NSE_FO", "8765", "sim")
    journal.close()


def test_both_forms_of_a_token_are_understood(tmp_path: Path) -> None:
    """A token is found as its feed wrote it and as keys carry it."""
    journal = one_partition(tmp_path)
    journal.append(0, ticks(range(4)))
    found = [
        JournalReader(tmp_path).ticks("NSE_EQ", token, *ALWAYS) for token in ("Some Share", "Some_Share")
    ]
    assert found[0]["token"].to_list() == ["Some Share"] * 2
    assert found[0].equals(found[1])
    journal.close()


def test_producers_follow_one_another(tmp_path: Path) -> None:
    """Ticks come by producer, the oldest first, then by offset; without any it is an empty typed frame."""
    empty = JournalReader(tmp_path / "absent").ticks("NSE_FO", "8765", *ALWAYS)
    assert empty.equals(pl.DataFrame(schema=TICKS_SCHEMA))
    older, newer = one_partition(tmp_path, "zebra"), one_partition(tmp_path, "ant")
    newer.append(0, ticks([0]))
    older.append(0, ticks([2, 4]))
    newer.append(0, ticks([6]))
    frame = JournalReader(tmp_path).ticks("NSE_FO", "8765", *ALWAYS)
    expected = [2, 4, 0, 6] if _created(older, tmp_path) < _created(newer, tmp_path) else [0, 6, 2, 4]
    assert frame["day_volume"].to_list() == expected
    older.close()
    newer.close()


def _created(journal: Journal, folder: Path) -> tuple[int, str]:
    producers = {p.producer: p.created_ms for p in JournalReader(folder).producers()}
    return producers[journal.producer], journal.producer


def test_only_segments_of_the_range_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of one day reads that day's files and no others: their times are in the index."""
    journal = one_partition(tmp_path, segment_bytes=1)
    for day in range(4):
        journal.append(0, ticks([2 * day], day=day))
    opened: list[str] = []
    whole = reader.segment_blocks

    def counting(path: Path, *rest: object) -> object:
        opened.append(path.name)
        return whole(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "segment_blocks", counting)
    day_ms = MORNING_MS + 2 * DAY_MS
    frame = JournalReader(tmp_path).ticks("NSE_FO", "8765", day_ms, day_ms + 1_000)
    assert frame["day_volume"].to_list() == [4]
    assert opened == [f"{2:020d}.seg"]
    journal.close()


def test_an_unfinished_block_is_not_read_and_no_fault(tmp_path: Path) -> None:
    """A reader that comes in the midst of a write sees the blocks before it, and verify is content."""
    journal = one_partition(tmp_path)
    journal.append(0, ticks(range(4)))
    size = next(tmp_path.rglob("*.seg")).stat().st_size
    journal.append(0, ticks(range(4, 8)))
    os.truncate(next(tmp_path.rglob("*.seg")), size + 100)
    reader_ = JournalReader(tmp_path)
    (info,) = reader_.journals()
    assert info.end == [4]
    assert list(verify(reader_, reader_.producers()[0])) == []
    journal.close()
    assert [fault.what for fault in verify(reader_, reader_.producers()[0])] == [
        f"torn at byte {size}: its last 100 bytes are cut when it is next written"
    ]


def test_what_is_there_is_listed(tmp_path: Path) -> None:
    """Offsets by partition, bytes, and the first and last times of each journal."""
    journal = open_journal(tmp_path)
    journal.append(0, ticks([3, 5]))
    journal.append(1, ticks([8]))
    (info,) = JournalReader(tmp_path).journals()
    assert (info.name, info.producer, info.partitions) == ("sim", journal.producer, 2)
    assert (info.first, info.end) == ([0, 0], [2, 1])
    assert info.size_bytes == 2 * 28 + 3 * 48
    assert (info.oldest_event_ms, info.newest_event_ms) == (MORNING_MS + 3, MORNING_MS + 8)
    assert info.newest_written_ms == journal.last_written_ms
    journal.close()


def test_verify_finds_every_flipped_byte(tmp_path: Path) -> None:
    """Any byte of any segment, index or list of names that is not what was written is reported."""
    journal = open_journal(tmp_path, segment_bytes=1)
    for number in range(3):
        journal.append(0, ticks([number, number + 1]))
    journal.close()
    reader_ = JournalReader(tmp_path)
    (producer,) = reader_.producers()
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".seg", ".idx")]
    assert list(verify(reader_, producer)) == []
    for path in [*files, tmp_path / journal.producer / "instruments"]:
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert path in {fault.path for fault in verify(reader_, producer)}, f"{path}, byte {at}"
        path.write_bytes(whole)
    assert list(verify(reader_, producer)) == []


def test_a_damaged_block_is_never_read(tmp_path: Path) -> None:
    """A reader that comes to a damaged block says so with file and byte instead of going on without it."""
    journal = one_partition(tmp_path, segment_bytes=1)
    for number in range(3):
        journal.append(0, ticks([number]))
    journal.close()
    path = sorted(tmp_path.rglob("*.seg"))[0]
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match=f"{path.name}: damaged at byte 0"):
        JournalReader(tmp_path).ticks("NSE_FO", "8765", *ALWAYS)
