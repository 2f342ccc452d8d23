"""The program as a person starts it: a process of its own, what it says, and what it must leave behind."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psutil

from ray_ingest.main import main
from ray_ingest.store import valkey
from ray_ingest.store.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[3]
MARK = "RAY_INGEST_TEST_RUN"
"""Environment variable by which every process of a run, whoever its parent is by now, is known."""

QUICK = ("ray.dashboard=false", "metrics.port=null")
"""What no test needs unless it is about it."""

GONE_WITHIN_S = 20.0


class Run:
    """A run of the main job with a data folder of its own, in an empty working directory or in `cwd`.

    `program` is where its package is (None: installed for `python`), `terminal` the descriptor of one to run
    on instead of pipes. Several runs may share a `folder`, which holds `cwd`, `store` and reports. The parent
    of an `orphaned` one is the machine's first process, as a service's is; its exit code is not known then.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        program: Path | None = ROOT,
        python: str = sys.executable,
        cwd: Path | None = None,
        terminal: int | None = None,
        orphaned: bool = False,
    ) -> None:
        self.folder = folder
        self.cwd = cwd or folder / "cwd"
        self.cwd.mkdir(parents=True, exist_ok=True)
        self._found = set(self.cwd.iterdir())
        self.mark = uuid4().hex
        self._errors = folder / f"stderr-{self.mark[:8]}"
        self._lines: list[str] = []
        self._report = folder / f"report-{self.mark[:8]}.json"
        launcher = ["setsid", "--fork"] if orphaned else []
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*launcher, *self.command(*arguments, f"report={self._report}", python=python)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if terminal is None else terminal,
                stderr=errors if terminal is None else terminal,
                cwd=self.cwd,
                env=environment(folder, program) | {MARK: self.mark},
                text=True,
                start_new_session=True,
            )

    def command(self, *arguments: str, python: str = sys.executable) -> list[str]:
        """The command line, with the store in this run's folder, unless it is `redis=url`."""
        store = [] if "redis=url" in arguments else [f"redis.data_dir={self.folder / 'store'}"]
        return [python, "-m", "ray_ingest.main", *store, *arguments]

    def wait_for(self, text: str) -> str:
        """Read what it says until a line has `text`; returns that line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never said, but: {self.output} {self.errors}")

    def interrupt(self, number: signal.Signals) -> None:
        """Send it a signal, as a terminal or an operator does: to the main process alone."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; the exit code. It must have left nothing behind but its store's files."""
        assert self.process.stdout
        self._lines += self.process.stdout.readlines()
        code = self.process.wait(60)
        assert "Traceback" not in self.errors + self.output
        assert not [process.cmdline() for process in still_alive(self.mark)]
        assert not store_lives(self.folder)
        assert not [path for path in self.folder.rglob("*") if path.is_socket()]
        assert set(self.cwd.iterdir()) == self._found
        return code

    def verdict(self) -> tuple[int, int]:
        """How many candles equal the oracle's, of how many."""
        found = re.search(r"^([\d,]+) of ([\d,]+) candles equal the oracle's", self.output, re.MULTILINE)
        assert found, self.output
        equal, expected = (int(number.replace(",", "")) for number in found.groups())
        return equal, expected

    @property
    def output(self) -> str:
        """What it has said so far on stdout, as far as it was read."""
        return "".join(self._lines)

    @property
    def errors(self) -> str:
        """What it has said so far on stderr."""
        return self._errors.read_text()

    @property
    def report(self) -> dict[str, Any]:
        """The totals it wrote; the accounts must add up."""
        report: dict[str, Any] = msgspec.json.decode(self._report.read_bytes())
        check_accounts(report)
        return report


def store_lives(folder: Path) -> bool:
    """Whether the embedded store of the runs in `folder` runs."""
    return (folder / "store").exists() and valkey.is_alive(valkey.ServerFiles(folder / "store"))


@contextmanager
def running(folder: Path, *arguments: str, **places: Any) -> Iterator[Run]:
    """A run that is killed, with all its processes, should the test fail before its end."""
    run = Run(folder, *arguments, **places)
    try:
        yield run
    finally:
        for process in still_alive(run.mark, patience_s=0):
            process.kill()
        run.process.wait(30)
        assert run.process.stdout
        run.process.stdout.close()
        if store_lives(folder):
            EmbeddedServer.attach(folder / "store").close()


def in_terminal(folder: Path, *arguments: str, columns: int = 80) -> tuple[int, str]:
    """A whole run on a terminal: its exit code, and all that went to the screen, with control sequences."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    shown = bytearray()
    with Run(folder, *arguments, terminal=theirs).process as process:
        os.close(theirs)
        with suppress(OSError), open(ours, "rb", buffering=0) as screen:  # EIO: nobody writes to it any more
            while data := screen.read(65_536):
                shown += data
        return process.wait(60), shown.decode()


def environment(folder: Path, program: Path | None) -> dict[str, str]:
    """A person's environment whose state folder is the test's, with the package in `program` importable."""
    ours = ("RAY_", "COLUMNS", "LINES", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept |= {"XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm-256color"}
    return kept | ({"PYTHONPATH": str(program)} if program else {})


def command_line(*arguments: str) -> tuple[int, str, str]:
    """The command line in this process, for what ends before Ray starts: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return code, out.getvalue(), err.getvalue()


def check_accounts(report: Mapping[str, Any]) -> None:
    """Every tick that came in is in exactly one account."""
    names = ("applied", "repeated", "already_committed", "filtered")
    counted = sum(report[f"ticks_{name}"] for name in names) + sum(report["ticks_rejected"].values())
    assert report["ticks_in"] == counted, report


def still_alive(mark: str, patience_s: float = GONE_WITHIN_S) -> list[psutil.Process]:
    """The processes of a run that live on; those that are just ending get `patience_s` to do so."""
    found = [process for process in psutil.process_iter() if _is_marked(process, mark)]
    return psutil.wait_procs(found, timeout=patience_s)[1]


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
