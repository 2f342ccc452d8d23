"""`python -m ray_ingest.journal` as users meet it: tables, one line for every fault, files that replay."""

from pathlib import Path

import polars as pl
import pytest

from ray_ingest.errors import InputError
from ray_ingest.feeds.replay_source import ReplaySource
from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.journal.__main__ import main
from ray_ingest.journal.reader import TICKS_SCHEMA, JournalReader
from tests.integration.journal.recording import market, record
from tests.unit.journal.tick_rows import NAMES, open_journal, ticks


def test_list_shows_each_journal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe a line a producer, tab-separated: name, offsets, ticks, times in IST."""
    assert main(["list", "--folder", str(folder)]) == 0
    header, line = (text.split("\t") for text in capsys.readouterr().out.splitlines())
    (info,) = JournalReader(folder).journals()
    shown = dict(zip(header, line, strict=True))
    assert shown["producer"] == info.producer
    assert int(shown["ticks"]) == sum(info.end)
    assert shown["to (IST)"].startswith("2026-11-20 09:")


def test_verify_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 without a word on stdout for a whole journal; 1 and a line with file and byte otherwise."""
    journal = open_journal(tmp_path, segment_bytes=1)
    for number in range(3):
        journal.append(0, ticks([number]))
    journal.close()
    assert main(["verify", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
    path = sorted(tmp_path.rglob("*.seg"))[1]
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["verify", "--folder", str(tmp_path)]) == 1
    assert f"{path}: damaged from byte 0 to its end" in capsys.readouterr().out.splitlines()


def test_export_chooses(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export of one instrument and range holds what the reader gives for it, in replay's columns."""
    (info,) = JournalReader(folder).journals()
    exchange, token, _ = JournalReader(folder).names(info.producer)[0]
    output = tmp_path / "one.parquet"
    chosen = ["--exchange", exchange, "--token", token, "--producer", info.producer]
    times = ["--from", "2026-11-20T09:16", "--to", "2026-11-20T09:18"]
    assert main(["export", str(output), "--folder", str(folder), *chosen, *times]) == 0
    start_ms = 1_795_146_360_000
    expected = JournalReader(folder).ticks(exchange, token, start_ms, start_ms + 120_000)
    exported = pl.read_parquet(output)
    assert exported.schema == TICKS_SCHEMA
    assert exported.equals(expected)
    assert len(expected) > 10
    assert capsys.readouterr().out == f"{output}: {len(expected)} ticks\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list", "--folder", "/nonexistent"], 7, "there is no such folder"),
        (["export", "ticks.txt"], 2, ".parquet or .csv"),
        (["export", "t.parquet", "--producer", "nobody"], 2, "--producer nobody: there is sim-"),
        (["export", "t.parquet", "--from", "noon"], 2, "'noon' is not a time"),
        (["rebuild", "--calendar", "lunar"], 2, "lunar"),
        ([], 2, "COMMAND"),
    ],
)
def test_mistakes_get_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """A user's mistake is one line on stderr and an exit code, never a traceback."""
    given = arguments if "--folder" in arguments or not arguments else [*arguments, "--folder", str(folder)]
    assert main(given) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_replay_of_a_journal_is_the_same_every_time(folder: Path) -> None:
    """Same content, same identity and same blocks: a replay of a journal can be resumed like any other."""
    first, again = (ReplaySource(folder, "replay", 1_000) for _ in range(2))
    assert first.identity == again.identity
    blocks = [[block.day_volume.tolist() for block in source.blocks(0)] for source in (first, again)]
    assert blocks[0] == blocks[1]
    assert max(map(len, blocks[0])) <= 1_000
    one = ReplaySource(next(folder.iterdir()), "replay", 1_000)  # a producer's own folder will do as well
    assert one.identity == first.identity


def test_a_journal_of_a_replay_is_not_replayed_beside_its_original(folder: Path, tmp_path: Path) -> None:
    """Journals of replays in the same folder repeat the others' ticks: they are passed over."""
    source = ReplaySource(folder, "replay", 5_000)
    producer = record(source, market(), tmp_path)
    with pytest.raises(InputError, match="holds no file"):
        ReplaySource(tmp_path, "replay", 5_000)
    alone = ReplaySource(tmp_path / producer, "replay", 5_000)
    assert sum(map(len, alone.blocks(0))) == sum(map(len, source.blocks(0)))


def test_a_journal_that_is_written_is_not_replayed(tmp_path: Path) -> None:
    """It would be another replay after every restart: it is refused in one line."""
    journal = Journal.open(JournalSettings(tmp_path, "no"), "sim", 1, 1)
    journal.learn(NAMES)
    with pytest.raises(InputError, match="is writing"):
        ReplaySource(tmp_path, "replay", 1_000)
    journal.close()
