"""`python -m ray_ingest.status`: how the running system is, on a terminal again every second."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.live import Live

from ray_ingest.command_line import INTERRUPTED
from ray_ingest.ports import LOOPBACK
from ray_ingest.schema import MetricsConfig
from ray_ingest.status.asking import NotRunningError, look
from ray_ingest.status.glance import glance
from ray_ingest.status.view import screen

EVERY_S = 1.0
LEGEND = "Ctrl-C leaves"


def main(argv: Sequence[str] | None = None) -> int:
    """Show it; the exit code is 0, 3 when nothing runs, and the line that says so goes to stderr."""
    arguments = _parser().parse_args(argv)
    url = arguments.url or f"http://{LOOPBACK}:{arguments.port}"
    try:
        if arguments.json or arguments.once or not _can_write_over():
            _show_once(url, arguments.json)
        else:
            _show_on(url)
    except NotRunningError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0 if sys.stdout.isatty() else INTERRUPTED
    return 0


def _can_write_over() -> bool:
    """Whether this is a terminal that moves its cursor: on TERM=dumb the page is shown once, as in a pipe."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ray_ingest.status", description="How the running system is; Ctrl-C leaves it running."
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--port", type=int, default=MetricsConfig().port, help="metrics.port of the run")
    place.add_argument("--url", help="the same as an address, such as http://127.0.0.1:9464")
    parser.add_argument("--once", action="store_true", help="show it once, as in a pipe")
    parser.add_argument("--json", action="store_true", help="once, as one JSON object")
    return parser


def _show_once(url: str, as_json: bool) -> None:
    """Two looks, because rates need them."""
    first = look(url)
    time.sleep(EVERY_S)
    seen = glance(look(url), first)
    if as_json:
        print(msgspec.json.encode(seen).decode())
    else:
        Console().print(screen(seen), highlight=False)


def _show_on(url: str) -> None:
    """Until Ctrl-C, or until the run has ended: what was seen last stays on the screen."""
    before = look(url)
    console = Console()
    with Live(screen(glance(before), LEGEND), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(EVERY_S)
            try:
                now = look(url)
            except NotRunningError:
                break
            live.update(screen(glance(now, before), LEGEND), refresh=True)
            before = now
    console.print("it answers no longer: the run has ended, or its supervisor is being started again")


if __name__ == "__main__":
    sys.exit(main())
