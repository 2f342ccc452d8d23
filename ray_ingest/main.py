"""The command line: `python -m ray_ingest.main [group=option] [key=value] …`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from ray_ingest.config import compose
from ray_ingest.errors import RayIngestError
from ray_ingest.pipeline import open_store, run
from ray_ingest.preflight import preflight
from ray_ingest.progress import Progress
from ray_ingest.report import Report
from ray_ingest.resources import resource_dir
from ray_ingest.summary import show_summary

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run with the given overrides; returns the exit code. Errors are one line on stderr."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(__doc__, "\n", (resource_dir("conf") / "config.yaml").read_text("utf-8"), sep="")
        return 0
    console = Console()
    stop = threading.Event()
    try:
        config = compose(arguments)
        logging.basicConfig(
            level=config.log.level.upper(), format="%(levelname)s %(name)s: %(message)s", handlers=[_Log()]
        )
        preflight(config)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _Stop(stop))
        with open_store(config) as url:
            with Progress(console, stop) as progress:
                report = run(config, url, stop, progress.show)
            if config.report is not None:
                _write_report(Path(config.report).expanduser(), report)
            show_summary(console, config, report, url, stopped=stop.is_set())
    except RayIngestError as error:
        print(f"ray-ingest: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, SystemExit):  # the latter from Ray's handler of SIGTERM while Ray starts
        print("ray-ingest: stopped at once; what wasn't committed is sent again next time", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Stop:
    """First signal: drain and flush. Second: at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, number: int, frame: object) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._stop.set()


class _Log(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever stderr is
    """Writes to what stderr is at the moment: while a live line is shown, that is above the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def _write_report(path: Path, report: Report) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
