"""`python -m ray_ingest.candles` as a person runs it: on a terminal, in a pipe, mistyped, interrupted."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
import redis

from ray_ingest.candles.__main__ import main
from tests.candle_writer import FUTURE, INDEX, SHARE, Writer
from tests.servers import Server

COMMAND = (sys.executable, "-m", "ray_ingest.candles")


@pytest.fixture
def run(server: Server, writer: Writer, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs a command on the written store in this process: (exit code, stdout, stderr)."""

    def run_here(*arguments: str) -> tuple[int, str, str]:
        code = main(["--url", server.url, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_here


def test_list_shows_every_instrument_on_a_line_of_its_own(run) -> None:  # type: ignore[no-untyped-def]
    """Names as the feeds wrote them, ready for a shell loop."""
    assert run("list") == (0, f"{SHARE}\n{FUTURE}\n{INDEX}\n", "")


def test_latest_and_confirmed_in_a_pipe_are_tab_separated(run) -> None:  # type: ignore[no-untyped-def]
    """A header and a line a candle, nulls empty; without names all instruments."""
    code, out, _ = run("latest", FUTURE)
    head, line = (text.split("\t") for text in out.splitlines())
    row = dict(zip(head, line, strict=True))
    assert code == 0
    assert row["timestamp"] == "2026-11-20T09:18:00+05:30"
    assert (row["close"], row["oi"], row["final"]) == ("203.0", "", "false")
    assert len(run("confirmed")[1].splitlines()) == 4


def test_history_comes_as_csv_json_or_tabs(run) -> None:  # type: ignore[no-untyped-def]
    """Each form holds the same candles, with times that name their offset."""
    arguments = ("history", FUTURE, "--start", "2026-11-19", "--end", "2026-11-20")
    csv = pl.read_csv(io.StringIO(run(*arguments, "--csv")[1]))
    lines = [json.loads(line) for line in run(*arguments, "--json")[1].splitlines()]
    assert csv["timestamp"][0] == "2026-11-19T09:15:00+05:30"
    assert csv["close"].to_list() == [100.0, 101.0, 102.0]
    assert lines == csv.to_dicts()
    assert run(*arguments)[1].replace("\t", ",") == run(*arguments, "--csv")[1]


def test_a_chart_in_a_pipe_is_plain_text(run) -> None:  # type: ignore[no-untyped-def]
    """No colour codes, the day and the first minute named."""
    code, out, _ = run("chart", FUTURE, "--end", "2026-11-20")
    assert code == 0
    assert "\x1b" not in out
    assert "NSE_FO|8765, 2026-11-19, 1-minute candles" in out
    assert "09:15" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("latest", "NSE_FO|8756"), 5, "did you mean NSE_FO|8765? (store: unix:///"),
        (("latest", "X|Y"), 5, "is not in the store; `list` lists what it holds (store: unix:///"),
        (("history", FUTURE, "--start", "soon"), 2, "'soon' is not a time"),
        (("history", FUTURE, "--interval", "7m"), 2, "'7m' is not supported"),
        (("follow", "--from-id", "x"), 2, "'x' is not a stream id"),
    ],
)
def test_a_mistake_is_one_line_and_its_exit_code(run, arguments, code, words) -> None:  # type: ignore[no-untyped-def]
    """Nothing on stdout, one line on stderr that says what to do, and the error's own code."""
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1


def test_an_unreachable_store_is_one_line() -> None:
    """Without a server the command says so, in a process of its own, and exits 4."""
    done = subprocess.run([*COMMAND, "--url", "unix:///nowhere/s", "list"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert "can't be reached" in done.stderr


def on_terminal(url: str, *arguments: str) -> tuple[str, str]:
    """What a person sees of a command on a terminal of 80 columns: stdout, and what went to stderr."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [*COMMAND, "--url", url, *arguments], stdout=theirs, stderr=subprocess.PIPE, env=environment
        )
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            seen_enough = False
            while part := screen.read(65_536):
                shown += part
                if arguments[0] == "follow" and not seen_enough and shown.count(b"NSE_") == 2:
                    seen_enough = True
                    process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
        assert process.returncode == (130 if arguments[0] == "follow" else 0)
    return shown.decode(), said.decode()


def test_on_a_terminal_it_is_a_table(server: Server, writer: Writer) -> None:
    """A person sees aligned columns that fit 80 columns, with colours and the running candle marked."""
    writer.client.hset(writer.keys.meta(0), "committed_ms", 1_000)
    shows = (["latest"], "still running"), (["latest"], "last committed"), (["history", FUTURE], "203.00")
    for arguments, words in shows:
        text, _ = on_terminal(server.url, *arguments)
        assert "\x1b[3" in text
        assert "─" in text
        assert "09:18*" in text
        assert words in text
        assert "\t" not in text


def test_on_a_terminal_follow_has_a_header(server: Server, writer: Writer) -> None:
    """Its lines stand under their names, a correction with its number."""
    writer.closed((FUTURE, 555, 1.5, 0), (INDEX, 556, 23_400.05, 2))
    text, _ = on_terminal(server.url, "follow", "--from-id", "0")
    head, first, second = (line for line in text.splitlines()[:3])
    end = head.index("close") + len("close")
    assert (first[:end].split()[-1], second[:end].split()[-1]) == ("1.50", "23400.05")
    assert (len(head), second.split()[-1]) == (80, "2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("history", FUTURE, "--start", "2026-11-21"), "NSE_FO|8765 has no candles in that range"),
        (("gaps",), "no gaps are known in that range"),
    ],
)
def test_on_a_terminal_an_empty_range_is_said(
    server: Server, writer: Writer, arguments: tuple[str, ...], words: str
) -> None:
    """One line instead of a header over nothing."""
    assert on_terminal(server.url, *arguments) == ("", f"{words}\n")


def test_an_empty_store_is_said(server: Server, client: redis.Redis, capsys) -> None:  # type: ignore[no-untyped-def]
    """A list of nothing is no line on stdout and one on stderr, exit code 0; a name is refused with it."""
    for arguments, code in ((["list"], 0), (["latest"], 0), (["latest", FUTURE], 5)):
        assert main(["--url", server.url, *arguments]) == code
        captured = capsys.readouterr()
        assert captured.err.startswith("the store holds no instrument yet (store: unix:///")
        assert captured.err.count("\n") == 1
        assert FUTURE not in captured.out


def test_a_mistyped_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4, one line, and no store there afterwards."""
    assert main(["--data-dir", str(tmp_path / "nosuch"), "list"]) == 4
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"no store in {tmp_path / 'nosuch'}" in captured.err
    assert not list(tmp_path.iterdir())


def test_a_reader_that_has_seen_enough_ends_it_quietly(server: Server, writer: Writer) -> None:
    """`… | head -1` leaves no traceback."""
    for minute in range(555, 755):
        writer.closed(*[(FUTURE, minute, 1.0, revision) for revision in range(50)])
    with subprocess.Popen(
        [*COMMAND, "--url", server.url, "follow", "--from-id", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"NSE_FO|8765\t2026-11-20T09:15:00+05:30\t")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_control_c_ends_follow_quietly(server: Server, writer: Writer) -> None:
    """Interrupted while it waits for the next candle: exit 130 and not a word."""
    writer.closed((FUTURE, 555, 1.0, 0))
    with subprocess.Popen(
        [*COMMAND, "--url", server.url, "follow", "--from-id", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(30) == 130
