"""The logs of whole runs: who speaks is on every line, in the file and in Ray's own, and no secret is."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.run.processes import MARK, QUICK, ROOT, environment, still_alive
from tests.servers import free_port, running_server
from tests.venues.upstox.venue import UpstoxVenue

TOKEN = "planted-token-Zm9v/YmFy+x"  # noqa: S105
PASSWORD = "planted/pass:word"  # noqa: S105
ACTORS = {"driver", "supervisor", "ohlc[0/1]", "feed[upstox]"}


@dataclass(frozen=True)
class Logged:
    """What a run left behind: its lines of the log file, and every text it wrote, by where it is."""

    lines: list[dict[str, Any]]
    texts: dict[str, str]
    code: int


@pytest.fixture(scope="module")
def logged() -> Iterator[Logged]:
    """A live run, at `log.level=debug`, that connects, is thrown out, refused for its token, and stopped.

    Ray's session is in the run's own folder, whose name is short because Ray's sockets are in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="ri-", dir="/tmp"))
    try:
        yield _run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path) -> Logged:
    port, mark = free_port(), "logs" + folder.name
    arguments = [
        *QUICK,
        "feed=upstox",
        "calendar=continuous",
        "instruments=[NSE_INDEX|Nifty 50]",
        "redis=url",
        f"redis.url=redis://127.0.0.1:{port}/0",
        "log.level=debug",
        f"log.file={folder / 'logs' / 'ingest.log'}",
        f"journal.folder={folder / 'journal'}",
        f"report={folder / 'report.json'}",
    ]
    secrets = {"UPSTOX_ACCESS_TOKEN": TOKEN, "RAY_INGEST_REDIS_PASSWORD": PASSWORD}
    place = {"RAY_TMPDIR": str(folder), MARK: mark}
    with (
        running_server(folder / "s", "--requirepass", PASSWORD, "--port", str(port), "--bind", "127.0.0.1"),
        UpstoxVenue() as venue,
        (folder / "stdout").open("wb") as out,
        (folder / "stderr").open("wb") as err,
    ):
        command = [sys.executable, "-m", "ray_ingest.main", *arguments, f"brokers.upstox.url={venue.url}"]
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env=environment(folder, ROOT) | secrets | place, cwd=folder
        )
        try:
            venue.wait_subscribed(["NSE_INDEX|Nifty 50"], 90)
            venue.refuse(403)
            venue.abort()
            venue.wait_attempts(2, 60)
            process.send_signal(signal.SIGINT)
            code = process.wait(90)
        finally:
            for left in still_alive(mark, patience_s=0):
                left.kill()
            process.wait(30)
    files = [path for path in folder.rglob("*") if path.is_file() and "journal" not in path.parts]
    texts = {str(path.relative_to(folder)): path.read_text(errors="replace") for path in files}
    lines = [json.loads(line) for line in (folder / "logs" / "ingest.log").read_text().splitlines()]
    return Logged(lines, texts, code)


def test_every_line_of_the_file_says_who_speaks(logged: Logged) -> None:
    """One file holds all actors of the machine, a JSON object a line, with time, level, actor and message;
    the partition is on each line of an owner, the broker on each of a feed."""
    assert logged.code == 0, logged.texts["stderr"]
    assert {line["actor"] for line in logged.lines} == ACTORS
    for line in logged.lines:
        assert {"time", "level", "actor", "logger", "message"} <= line.keys()
        assert line["logger"].startswith("ray_ingest")
        assert line.get("partition") == (0 if line["actor"].startswith("ohlc") else None)
        if line["actor"].startswith("feed"):
            assert line["broker"] == "upstox"


def test_on_stderr_the_same_is_for_a_person(logged: Logged) -> None:
    """The driver's lines, as text, each on one line."""
    shown = logged.texts["stderr"].splitlines()
    assert shown
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ driver: ", line) for line in shown)
    assert len(shown) == sum(line["actor"] == "driver" for line in logged.lines)


def test_rays_dashboard_has_the_actors_lines_too(logged: Logged) -> None:
    """Each actor's stderr, which Ray keeps in a file of its session, has what the actor logged."""
    workers = "".join(text for name, text in logged.texts.items() if re.search(r"worker-.*\.err$", name))
    for actor in ACTORS - {"driver"}:
        assert f" INFO {actor}: begins" in workers


def test_a_planted_secret_is_nowhere(logged: Logged) -> None:
    """Neither the token nor the store's password is in any file of the run: log, stdout, stderr, report, any
    of Ray's logs."""
    assert any("/logs/" in name and "session_" in name for name in logged.texts), "Ray's logs were not read"
    for secret in (TOKEN, PASSWORD, "Zm9v/YmFy", "Zm9v%2FYmFy", "planted"):
        found = [name for name, text in logged.texts.items() if secret in text]
        assert found == []
