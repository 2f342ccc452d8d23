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

from ray_ingest.config import AppConfig, compose
from ray_ingest.errors import ConfigError, RayIngestError
from ray_ingest.pipeline import open_store, run
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
        logging.basicConfig(level=config.log.level.upper(), format="%(levelname)s %(name)s: %(message)s")
        _check_report(config)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _Stop(stop))
        with open_store(config) as url:
            with Progress(console) as progress:
                report = run(config, url, stop, progress.show)
            _write_report(config, report)
            show_summary(console, config, report, url)
    except RayIngestError as error:
        print(f"ray-ingest: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
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


def _check_report(config: AppConfig) -> None:
    """A report that can't be written is known before the run, not after it."""
    if config.report is not None:
        path = Path(config.report).expanduser()
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise ConfigError(f"report={config.report}: must be a file in a folder that exists")


def _write_report(config: AppConfig, report: Report) -> None:
    if config.report is not None:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2)
        Path(config.report).expanduser().write_bytes(text + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
