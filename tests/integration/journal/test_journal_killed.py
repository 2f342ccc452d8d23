"""A writer killed at any moment leaves everything whose append had returned."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.journal.check import verify
from ray_ingest.journal.reader import JournalReader
from tests.unit.journal.tick_rows import NAMES, everything, ticks

KILLS = 4


def killed_writer(folder: Path, fsync: str, after: int) -> int:
    """Have a process append, kill it (SIGKILL) once it has said so `after` times; the last end it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.journal.endless_writer", str(folder), fsync],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(after)]
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)  # what it said before it was gone
    return max(int(line) for line in said if line.endswith("\n"))


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_what_was_appended_is_there(tmp_path: Path, fsync: str) -> None:
    """Under every fsync policy, kill after kill: no returned append is lost, and nothing is made up."""
    chance = random.Random(fsync)
    said = 0
    for _ in range(KILLS):
        said = max(said, killed_writer(tmp_path, fsync, chance.randint(1, 300)))
        reader = JournalReader(tmp_path)
        (producer,) = reader.producers()
        assert reader.writer(producer.producer) == ""
        assert all("torn" in fault.what for fault in verify(reader, producer))
        (info,) = reader.journals()
        assert info.end[0] >= said > 0
        blocks = [block.ticks() for block in reader.blocks(producer.producer, 0)]
        numbers = [number for rows in blocks for number in rows["day_volume"].tolist()]
        assert numbers == list(range(info.end[0]))


def test_names_are_there_before_the_ticks_that_use_them(tmp_path: Path) -> None:
    """A killed writer's ticks never carry an id without a name."""
    killed_writer(tmp_path, "no", 1)
    assert JournalReader(tmp_path).names(JournalReader(tmp_path).producers()[0].producer) == [
        (name.exchange, name.token, name.source) for name in NAMES
    ]


def test_another_process_takes_over_where_it_ended(tmp_path: Path) -> None:
    """The lock of a dead process is free at once, the producer the same, and offsets go on."""
    killed_writer(tmp_path, "no", 50)
    (info,) = JournalReader(tmp_path).journals()
    journal = Journal.open(JournalSettings(tmp_path, "no"), "sim", 1, 1)
    assert (journal.producer, journal.end(0)) == (info.producer, info.end[0])
    journal.append(0, ticks([info.end[0]]))
    assert everything(journal, 0)["day_volume"].tolist() == list(range(info.end[0] + 1))
    journal.close()


def test_a_reader_beside_the_writer_sees_whole_ticks_only(tmp_path: Path) -> None:
    """Read again and again while another process writes, a journal is the beginning of what will be there."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.journal.endless_writer", str(tmp_path), "no"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        seen = 0
        for _ in range(15):
            said = int(process.stdout.readline())
            reader = JournalReader(tmp_path)
            (producer,) = reader.producers()
            assert reader.writer(producer.producer) == str(process.pid)
            assert list(verify(reader, producer)) == []
            blocks = [block.ticks() for block in reader.blocks(producer.producer, 0)]
            numbers = [number for rows in blocks for number in rows["day_volume"].tolist()]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) >= max(said, seen)
            seen = len(numbers)
        process.kill()
