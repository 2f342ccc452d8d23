"""Logs: each line says who speaks, none holds a secret, and a file is shared by processes and bounded."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ray_ingest import logs
from ray_ingest.config import compose
from ray_ingest.errors import ConfigError
from ray_ingest.logs import LogSettings, SharedFile, set_up, set_up_actor, settings_of
from ray_ingest.redact import register
from ray_ingest.schema import LogConfig

SECRET = 'pa"ss\\wört-of-tests'  # noqa: S105
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ([A-Z]+) (\S+): (.*)")
log = logging.getLogger("ray_ingest.test")
foreign = logging.getLogger("third.party")


class Stderr:
    """What went to stderr so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        """All of it."""
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    """What goes to stderr."""
    return Stderr(capsys)


def test_a_line_says_when_how_grave_who_and_what(stderr: Stderr) -> None:
    """Time in India, level, actor, message, then what else was given; the actor's name says the partition."""
    set_up(LogSettings(), "ohlc[0/1]", partition=0)
    log.warning("went back to %d", 7, extra={"producer": "p 1"})
    found = LINE.fullmatch(stderr.getvalue().rstrip("\n"))
    assert found
    assert found.groups() == ("WARNING", "ohlc[0/1]", "went back to 7 producer=p 1")


def test_a_json_line_has_every_field(stderr: Stderr) -> None:
    """Actor, partition and broker are fields of every line, with the logger and the time with its offset."""
    set_up(LogSettings(format="json"), "feed[upstox]", broker="upstox", partition=None)
    log.error("away\nfor long", extra={"number": 3})
    line = json.loads(stderr.getvalue())
    assert line.pop("time").endswith("+05:30")
    assert line == {
        "level": "error",
        "actor": "feed[upstox]",
        "broker": "upstox",
        "logger": "ray_ingest.test",
        "message": "away\nfor long",
        "number": 3,
    }


def test_a_traceback_is_kept(stderr: Stderr) -> None:
    """A bug's traceback follows its line for a person, and is a field in JSON."""
    for form in ("text", "json"):
        set_up(LogSettings(format=form), "driver")
        try:
            raise ValueError("odd")
        except ValueError:
            log.exception("failed")
    text, _, last = stderr.getvalue().rstrip("\n").rpartition("\n")
    assert text.endswith("ValueError: odd")
    assert json.loads(last)["exception"].endswith("ValueError: odd")


def test_a_message_can_not_pass_for_another_line(stderr: Stderr) -> None:
    """What a server sends can neither begin a line of its own nor speak to the terminal."""
    set_up(LogSettings(), "driver")
    log.warning("why: %s", "a\n2026-01-01 WARNING driver: forged\x1b[2J")
    assert stderr.getvalue().count("\n") == 1
    assert "\x1b" not in stderr.getvalue()
    assert r"a\n2026-01-01 WARNING driver: forged\x1b[2J" in stderr.getvalue()


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["a", "b", "c", "f3"]),
        ("info", ["b", "c", "f3"]),
        ("warning", ["c", "f3"]),
        ("error", []),
    ],
)
def test_levels_are_ours_and_libraries_stay_quiet(level: str, shown: list[str], stderr: Stderr) -> None:
    """`log.level` is for our own messages; those of libraries are shown from warnings on."""
    set_up(LogSettings(level=level, format="json"), "driver")
    log.debug("a")
    log.info("b")
    log.warning("c")
    foreign.debug("f1")
    foreign.info("f2")
    foreign.warning("f3")
    assert [json.loads(line)["message"] for line in stderr.getvalue().splitlines()] == shown


def test_setting_up_again_replaces(stderr: Stderr) -> None:
    """A line is written once, however often logging was set up in the process."""
    for _ in range(3):
        set_up(LogSettings(), "driver")
    log.warning("once")
    assert stderr.getvalue().count("once") == 1


def speak_of_secrets() -> None:
    """In each of the ways a secret may come into a line."""
    register(SECRET)
    foreign.warning("message with %s", SECRET)
    foreign.warning("a field", extra={"given": SECRET, "nested": {"token": SECRET}})
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("a traceback")
    foreign.error("GET wss://host/feed?access_token=never-registered&v=3")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_logged_by_anybody(form: str, tmp_path: Path, stderr: Stderr) -> None:
    """Redaction is the last step: message, fields and traceback, ours and libraries', file and terminal."""
    set_up(LogSettings(format=form, file=tmp_path / "log"), "driver")
    speak_of_secrets()
    for text in (stderr.getvalue(), (tmp_path / "log").read_text("utf-8")):
        assert text.count("***") >= 4
        assert "never-registered" not in text
        for part in (SECRET, "wört-of-tests"):
            assert part not in text
        assert "&v=3" in text


def test_without_redaction_secrets_are_seen(tmp_path: Path) -> None:
    """Negative control: the same lines hold every secret when nothing redacts."""
    program = (
        "import ray_ingest.logs as logs, ray_ingest.redact as redact, tests.unit.test_logs as t\n"
        "logs.install = lambda: None\n"
        "logs.redact = lambda text: text\n"
        "logs.set_up(logs.LogSettings(), 'driver')\n"
        "t.speak_of_secrets()\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(root)},
        timeout=60,
    )
    text = run.stderr.decode()
    assert text.count("of-tests") >= 4
    assert "never-registered" in text


def test_the_file_holds_json_unless_text_is_asked_for(tmp_path: Path, stderr: Stderr) -> None:
    """`auto`: text for the person at the terminal, JSON lines for the programs that read files."""
    for form, is_json in (("auto", True), ("json", True), ("text", False)):
        path = tmp_path / form
        set_up(LogSettings(format=form, file=path), "driver")
        log.warning("hello")
        assert path.read_text().startswith("{") == is_json
    assert LINE.fullmatch(stderr.getvalue().splitlines()[0])


def test_a_full_file_is_renamed_and_old_ones_go(tmp_path: Path) -> None:
    """The disk holds at most six times the size, the newest lines in FILE, none of them lost in between."""
    path = tmp_path / "log"
    set_up(LogSettings(file=path, file_bytes=1_000), "driver")
    for number in range(200):
        log.warning("%d", number)
    files = [path, *(path.with_name(f"log.{n}") for n in range(1, logs.KEPT_FILES + 1))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size < 1_300 for file in files)
    numbers = [
        int(json.loads(line)["message"]) for f in reversed(files) for line in f.read_text().splitlines()
    ]
    assert numbers == list(range(numbers[0], 200))
    assert len(numbers) > 30


WRITER = """
import logging, sys
from pathlib import Path
from ray_ingest.logs import LogSettings, set_up
set_up(LogSettings(file=Path(sys.argv[1]), file_bytes=200_000), f"feed[{sys.argv[2]}]")
sys.stdin.read()  # all begin at once
for number in range(300):
    logging.getLogger("ray_ingest").error("%d %s", number, "x" * (20 if number % 50 else 20_000))
"""


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Lines of several processes, long ones too, never mix, and none is lost when one of them renames it."""
    path = tmp_path / "log"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, str(who)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for who in range(3)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    seen: dict[str, list[int]] = {}
    for file in sorted(tmp_path.iterdir(), reverse=True):
        for line in file.read_text().splitlines():
            parsed = json.loads(line)
            seen.setdefault(parsed["actor"], []).append(int(parsed["message"].split()[0]))
    assert len(list(tmp_path.iterdir())) > 2, "it was never renamed"
    assert {who: sorted(numbers) for who, numbers in seen.items()} == {
        f"feed[{who}]": list(range(300)) for who in range(3)
    }


def test_a_file_that_can_not_be_written_is_refused(tmp_path: Path, stderr: Stderr) -> None:
    """The driver says which setting is wrong; an actor on another machine goes on without the file."""
    (tmp_path / "file").touch()
    settings = LogSettings(file=tmp_path / "file" / "log")
    with pytest.raises(ConfigError, match=r"log\.file=.*/log: can't be written: "):
        set_up(settings, "driver")
    set_up_actor(settings, "ohlc[0/1]", partition=0)
    assert "WARNING ohlc[0/1]: log.file=" in stderr.getvalue()


def test_a_full_disk_is_told_once_and_ends_nothing(stderr: Stderr) -> None:
    """Logging never breaks the ingest, and doesn't flood the terminal with its own trouble."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    set_up(LogSettings(), "driver")
    handler = SharedFile(Path("/dev/full"), 1 << 20)
    logging.getLogger().addHandler(handler)
    for number in range(3):
        log.warning("%d", number)
    logging.getLogger().removeHandler(handler)
    handler.close()
    assert stderr.getvalue().count("log.file=/dev/full: ") == 1
    assert stderr.getvalue().count("WARNING driver: ") == 3


def test_no_settings_change_nothing(stderr: Stderr) -> None:
    """An owner driven inside another program's process leaves that program's logging alone."""
    before = list(logging.getLogger().handlers)
    set_up_actor(None, "ohlc[0/1]")
    assert logging.getLogger().handlers == before


def test_a_relative_file_is_below_the_folder_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors have other working folders: the path they are told is absolute."""
    monkeypatch.chdir(tmp_path)
    assert settings_of(LogConfig(file="here.log")).file == tmp_path / "here.log"
    assert settings_of(LogConfig()).file is None


@pytest.mark.parametrize(
    ("setting", "rule"),
    [("log.format=xml", "one of auto, text, json"), ("log.file_mb=0", "from 0.001 to 10,000")],
)
def test_settings_are_checked(setting: str, rule: str) -> None:
    """By name, before anything starts."""
    with pytest.raises(ConfigError, match=re.escape(setting) + r"(\.0)?: must be " + rule):
        compose([setting])
