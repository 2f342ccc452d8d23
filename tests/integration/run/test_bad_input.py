"""What users get wrong: one line that says so, no traceback, and whatever is good still becomes candles."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ray_ingest.candles import Candles
from tests.integration.run.bad_ticks import DAY, NEXT_DAY, Tape, at, bad_tape
from tests.integration.run.processes import QUICK, command_line, in_terminal, running
from tests.servers import free_port, running_server

Refusal = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path) -> Refusal:
    """Run the command line; returns the one line it says before anything has started."""

    def run(code: int, *arguments: str) -> str:
        store = [] if "redis=url" in arguments else [f"redis.data_dir={tmp_path / 'store'}"]
        ended, out, err = command_line(*store, *QUICK, *arguments)
        assert (ended, out) == (code, "")
        assert err.startswith("ray-ingest: ")
        assert err.count("\n") == 1
        return err.removeprefix("ray-ingest: ").rstrip("\n")

    return run


def replay(path: Path) -> tuple[str, str]:
    """The arguments that replay a file."""
    return "feed=replay", f"feed.path={path}"


def test_a_file_that_is_not_there_or_can_not_be_read_is_named(tmp_path: Path, refused: Refusal) -> None:
    """A missing file, a folder without ticks, a name of no known kind, and bytes that are no Parquet."""
    assert f"{tmp_path}/none.csv: " in refused(3, *replay(tmp_path / "none.csv"))
    assert f"{tmp_path}/empty: holds no file" in refused(3, *replay(_folder(tmp_path / "empty")))
    (tmp_path / "ticks.txt").write_text("x")
    assert f"{tmp_path}/ticks.txt: is not a file whose name" in refused(3, *replay(tmp_path / "ticks.txt"))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    assert f"{tmp_path}/torn.parquet: can't be read" in refused(3, *replay(tmp_path / "torn.parquet"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path, refused: Refusal) -> None:
    """A file that the user may not read."""
    path = tmp_path / "secret.csv"
    path.touch(mode=0)
    assert f"{path}: can't be read: Permission denied" in refused(3, *replay(path))


def test_a_missing_or_mistyped_column_is_named(tmp_path: Path, refused: Refusal) -> None:
    """Before anything starts, for each file of a folder, with the file and the column."""
    frame = pl.DataFrame(bad_tape().rows[:1]).with_columns(pl.col("day_volume", "oi").cast(pl.Int64))
    folder = _folder(tmp_path / "tapes")
    frame.write_parquet(folder / "1.parquet")
    frame.drop("oi").write_parquet(folder / "2.parquet")
    assert f"{folder}/2.parquet: column 'oi' must be there once" in refused(3, *replay(folder))
    frame.cast({"event_time_ms": pl.String}).write_parquet(folder / "2.parquet")
    assert f"{folder}/2.parquet: column 'event_time_ms' must be integers" in refused(3, *replay(folder))
    (folder / "2.parquet").unlink()
    frame.drop("token").write_csv(folder / "2.csv")
    assert f"{folder}/2.csv: column 'token' must be there once" in refused(3, *replay(folder))
    frame.with_columns(last_price=pl.lit("ten")).write_csv(folder / "2.csv")
    assert f"{folder}/2.csv: column 'last_price', row 2: " in refused(3, *replay(folder))


def test_a_wrong_setting_is_refused_on_the_command_line(refused: Refusal) -> None:
    """An unknown key, a mistyped value, a report that can't be written: exit code 2."""
    assert refused(2, "feed.foo=1") == "feed.foo: unknown setting"
    assert refused(2, "feed.minutes=abc") == "feed.minutes=abc: must be a whole number"
    assert refused(2, "report=/none/at/all.json").startswith("report=/none/at/all.json: must be a file")


def test_a_metrics_port_in_use_is_named(refused: Refusal) -> None:
    """It is found taken before anything starts, and the line says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refused(2, f"metrics.port={port}") == (
            f"metrics.port={port}: address already in use; choose another one, 0 for any, or null for none"
        )


def test_a_data_folder_that_can_not_be_one_is_named(tmp_path: Path, refused: Refusal) -> None:
    """A file in its place."""
    path = tmp_path / "file"
    path.touch()
    assert f"the embedded store can't use {path}" in refused(4, f"redis.data_dir={path}")


def test_a_server_of_ones_own_that_will_not_do_is_refused_with_its_fault(
    tmp_path: Path, refused: Refusal
) -> None:
    """Unreachable, evicting, a read-only replica, or full: exit code 4 and one line."""

    def with_url(url: str) -> str:
        return refused(4, "redis=url", f"redis.url={url}")

    port = free_port()
    assert f"redis://127.0.0.1:{port}/0 can't be reached" in with_url(f"redis://127.0.0.1:{port}")
    with running_server(tmp_path / "1", "--maxmemory-policy", "allkeys-lru") as server:
        assert "may evict candles" in with_url(server.url)
    with running_server(tmp_path / "2", "--replicaof", "127.0.0.1", str(port)) as server:
        assert "is a read-only replica" in with_url(server.url)
    with running_server(tmp_path / "3", "--maxmemory", "1") as server:
        assert "refused a command (command not allowed when used memory" in with_url(server.url)


def test_a_tape_of_bad_ticks_makes_candles_of_the_good_ones(tmp_path: Path) -> None:
    """Every bad tick is counted under its reason and a few of each are shown in the log; the good ones become
    candles, also of tokens beyond ASCII, of one token on two exchanges, of ticks minutes late and of ticks of
    another day. That another program's socket lies where the store's goes does no harm. Replayed again
    nothing is applied, and a person at a terminal is told so."""
    tape = bad_tape()
    arguments = (*QUICK, *replay(tape.write(tmp_path / "bad.parquet")))
    with socket.socket(socket.AF_UNIX) as taken:
        _folder(tmp_path / "store")
        taken.bind(str(tmp_path / "store" / "valkey.sock"))
        taken.listen()
        with running(tmp_path, *arguments) as run:
            assert run.end() == 0
    report = run.report
    assert report["ticks_in"] == len(tape.rows)
    assert report["ticks_rejected"] == tape.rejected
    assert report["ticks_applied"] == len(tape.rows) - sum(tape.rejected.values())
    for reason, number in tape.rejected.items():
        assert f"{number} {reason}" in " ".join(run.output.split())
    _check_samples(run.errors, tape)
    with Candles(data_dir=tmp_path / "store") as candles:
        _check_candles(candles)

    code, shown = in_terminal(tmp_path, *arguments)
    assert code == 0
    assert "nothing was applied: all of it had been committed by an earlier run" in shown


def _check_samples(log: str, tape: Tape) -> None:
    """The log names one rejected tick of every reason but the routine one, cut to a readable length, and
    nothing else."""
    lines = log.splitlines()
    assert lines
    sampled = []
    for line in lines:
        found = re.fullmatch(r"\S+ \S+ WARNING driver: rejected a tick, (\w+): (.*)", line)
        assert found, line
        assert len(line) < 300
        sampled.append(found[1])
    assert sorted(sampled) == sorted(tape.rejected.keys() - {"outside_session"})


def _check_candles(candles: Candles) -> None:
    assert set(candles.instruments()) == {
        "NSE_FO|8765", "NSE_FO|बैंक निफ्टी", "NSE_FO|A B", "NSE_EQ|1333", "BSE_EQ|1333", "NSE_FO|9999",
    }  # fmt: skip
    assert candles.history("NSE_FO|8765", "2025-12-01", "2025-12-31")["ticks"].to_list() == [1]
    assert _closes(candles, "NSE_FO|बैंक निफ्टी") == [7.5]
    assert (_closes(candles, "NSE_EQ|1333"), _closes(candles, "BSE_EQ|1333")) == ([10.0], [20.0])
    late = candles.history("NSE_FO|9999", "2025-12-01", "2025-12-31")
    assert late["timestamp"].dt.epoch("ms").to_list() == [
        at(DAY, "09:16:00"), at(DAY, "09:20:00"), at(NEXT_DAY, "09:15:00"),
    ]  # fmt: skip
    assert late.select("open", "close", "ticks").rows() == [(40.0, 40.0, 1), (50.0, 55.0, 2), (60.0, 60.0, 1)]
    assert late["final"].all()


def _closes(candles: Candles, instrument: str) -> list[float]:
    return candles.history(instrument, "2025-12-01", "2025-12-31")["close"].to_list()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
