"""`python -m ray_ingest.status` beside a run under way: once, as JSON, on a terminal, and without any run."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ray_ingest.status.__main__ import main
from tests.integration.run.processes import Run, running
from tests.servers import free_port

ON_XTERM = os.environ | {"TERM": "xterm-256color"}
ENDLESS = ("feed.forever=true", "calendar=continuous", "feed.speed=20")
LASTING = (*ENDLESS, "ray.dashboard=false", "metrics.port=0")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, str]]:
    """A simulated market that goes on, and the port of its metrics."""
    folder = tmp_path_factory.mktemp("status")
    with running(folder, *LASTING, f"journal.folder={folder / 'journal'}") as started:
        address = started.wait_for("metrics: http").split()[-1]
        started.wait_for("sim running")
        yield started, re.findall(r":(\d+)/", address)[0]


def test_once_as_json_has_the_figures_of_now(
    run: tuple[Run, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A second process needs no Ray to see feeds and partitions with their rates."""
    assert main(["--port", run[1], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (feed,), (partition,) = shown["feeds"], shown["partitions"]
    assert (feed["name"], feed["state"], feed["counts"]) == ("sim", "running", True)
    assert partition["name"] == "ohlc[0/1]"
    assert feed["ticks"] > 0 < partition["ticks"]
    assert feed["ticks_per_s"] > 0 < partition["ticks_per_s"]
    assert partition["breaker"] == "closed"
    assert shown["troubles"] == []


def test_once_is_a_page_of_text(run: tuple[Run, str], capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe, and with --once: tables without control sequences; an address of metrics does, too."""
    url = f"http://127.0.0.1:{run[1]}/metrics"
    assert main(["--url", url, "--once"]) == 0
    text = capsys.readouterr().out
    assert "all is well" in text
    assert "sim" in text
    assert "ohlc[0/1]" in text
    assert "\x1b" not in text
    assert "Ctrl-C" not in text


def test_on_a_terminal_it_goes_on_until_ctrl_c(run: tuple[Run, str]) -> None:
    """The page is written over again every second; Ctrl-C ends it, exit code 0, the cursor shown again."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-m", "ray_ingest.status", "--port", run[1]]
    shown = bytearray()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=ON_XTERM) as process:
        os.close(theirs)
        with suppress(OSError), open(ours, "rb", buffering=0) as screen:
            asked = False
            while data := screen.read(65_536):
                shown += data
                if shown.count(b"ray_ingest at") >= 4 and not asked:
                    asked = True
                    process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    text = shown.decode()
    assert len(set(re.findall(r"ray_ingest at (\d\d:\d\d:\d\d) IST", text))) >= 3
    assert "\x1b[2K" in text
    assert "(Ctrl-C leaves)" in text
    assert text.rindex("\x1b[?25h") > text.rindex("ray_ingest at")
    assert "Traceback" not in text


def test_a_terminal_that_cannot_be_written_over_gets_it_once(run: tuple[Run, str]) -> None:
    """On TERM=dumb nothing would be seen until the end."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ray_ingest.status", "--port", run[1]]
    shown = bytearray()
    with subprocess.Popen(command, stdout=theirs, env=ON_XTERM | {"TERM": "dumb"}) as process:
        os.close(theirs)
        with suppress(OSError), open(ours, "rb", buffering=0) as screen:
            while data := screen.read(65_536):
                shown += data
        assert process.wait(30) == 0
    assert shown.count(b"ray_ingest at") == 1


def test_when_the_run_ends_it_says_so(run: tuple[Run, str]) -> None:
    """What was seen last stays, and below it why nothing comes any more; the run itself ends in order."""
    ours, theirs = pty.openpty()
    shown = bytearray()
    command = [sys.executable, "-m", "ray_ingest.status", "--port", run[1]]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=ON_XTERM) as process:
        os.close(theirs)
        with suppress(OSError), open(ours, "rb", buffering=0) as screen:
            asked = False
            while data := screen.read(65_536):
                shown += data
                if b"ray_ingest at" in shown and not asked:
                    asked = True
                    run[0].interrupt(signal.SIGINT)
        assert process.wait(60) == 0
    assert b"it answers no longer" in shown
    assert run[0].end() == 0


def test_where_nothing_runs_it_says_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 3."""
    port = free_port()
    assert main(["--port", str(port)]) == 3
    told = capsys.readouterr().err
    assert told == (
        f"nothing runs at http://127.0.0.1:{port}: start one with python -m ray_ingest.main, or give --port\n"
    )


def test_what_is_no_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, not a traceback."""
    assert main(["--url", "localhost"]) == 3
    assert capsys.readouterr().err.startswith("localhost is no address")


class Stranger(BaseHTTPRequestHandler):
    """Another program that speaks HTTP."""

    def do_GET(self) -> None:
        """Something else."""
        self.send_response(200 if self.server.server_port % 2 else 404)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_another_program_is_not_taken_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A web server on that port is said to be one, whatever it answers."""
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert main(["--port", str(server.server_port), "--once"]) == 3
        server.shutdown()
        thread.join()
    assert capsys.readouterr().err.startswith("another program answers at http://127.0.0.1:")
