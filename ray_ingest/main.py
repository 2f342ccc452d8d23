"""The command line: `python -m ray_ingest.main [group=option] [key=value] …`."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from ray_ingest import logs
from ray_ingest.actors.status import Status
from ray_ingest.alerts import alerter_of
from ray_ingest.command_line import INTERRUPTED
from ray_ingest.config import compose
from ray_ingest.errors import RayIngestError
from ray_ingest.mixing import check_store, check_what_is_emptied
from ray_ingest.pipeline import open_store, run
from ray_ingest.preflight import preflight
from ray_ingest.progress import Progress
from ray_ingest.report import Report
from ray_ingest.resources import resource_dir
from ray_ingest.summary import show_summary

ONE_SIGNAL_S = 0.3


def main(arguments: Sequence[str]) -> int:
    """Run with the given overrides; returns the exit code. Errors are one line on stderr."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(__doc__, "\n", (resource_dir("conf") / "config.yaml").read_text("utf-8"), sep="")
        print("Every setting of every group, such as feed.minutes and redis.url: docs/configuration.md")
        return 0
    console = Console()
    stop = threading.Event()
    try:
        config = compose(arguments)
        logs.set_up(logs.settings_of(config.log), logs.DRIVER)
        preflight(config)
        check_what_is_emptied(config)
        _on_signals(_Stop(stop))
        with alerter_of(config) as alerter, open_store(config) as store:
            check_store(config, store.url)
            with Progress(console, stop) as progress:

                def watch(status: Status) -> None:
                    progress.show(status)
                    alerter.show(status)

                report = run(config, store, stop, watch)
            if config.report is not None:
                _write_report(Path(config.report).expanduser(), report)
            show_summary(console, config, report, store.url, stopped=stop.is_set())
    except RayIngestError as error:
        print(f"ray-ingest: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, SystemExit):  # the latter from Ray's handler of SIGTERM while Ray starts
        print("ray-ingest: stopped at once; what wasn't committed is sent again next time", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Stop:
    """First signal: drain and flush. Second: at once. Later ones change nothing: it ends in order.

    Programs such as `timeout` signal the process and its group, which arrives twice: within `ONE_SIGNAL_S` it
    is one.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._asked_s = 0.0

    def __call__(self, number: int, frame: object) -> None:
        now_s = time.monotonic()
        if not self._stop.is_set():
            self._asked_s = now_s
            self._stop.set()
        elif now_s - self._asked_s > ONE_SIGNAL_S:
            _on_signals(signal.SIG_IGN)
            raise KeyboardInterrupt


def _on_signals(handler: _Stop | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _write_report(path: Path, report: Report) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    _on_signals(signal.SIG_IGN)  # there is nothing left to be stopped
    sys.exit(code)
