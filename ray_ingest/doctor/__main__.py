"""`python -m ray_ingest.doctor [settings as for the main job]`: what is wrong, and what mends it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ray_ingest import logs
from ray_ingest.command_line import INTERRUPTED
from ray_ingest.config import compose
from ray_ingest.doctor import Finding, Verdict, examine
from ray_ingest.errors import RayIngestError

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Look at everything; the exit code is 0 when nothing is wrong (warnings may be), 1 when something is,
    2 for settings that can't be used."""
    arguments = _parser().parse_args(argv)
    try:
        config = compose(arguments.settings)
        logs.set_up(logs.LogSettings("error"), "doctor")
        console = Console()
        if arguments.json or not console.is_terminal:
            found = list(examine(config))
        else:
            with console.status("looking …"):
                found = list(examine(config))
    except RayIngestError as error:
        print(f"ray-ingest: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    if arguments.json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(console, found)
    return int(any(finding.verdict is Verdict.WRONG for finding in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ray_ingest.doctor",
        description="Is this machine fit to run with these settings? Exit code 0: yes, 1: no.",
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="as for python -m ray_ingest.main")
    parser.add_argument("--json", action="store_true", help="one JSON list")
    return parser


def _show(console: Console, found: Sequence[Finding]) -> None:
    """A table, and below it what mends what, in lines to be copied."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in found:
        colour = _COLOURS[finding.verdict]
        table.add_row(Text(finding.check), Text(finding.verdict, colour), Text(finding.found))
    console.print(table)
    mending = [finding for finding in found if finding.mend]
    if mending:
        console.print("\nto mend:")
    for finding in mending:
        console.print(Text(f"  {finding.check}: {finding.mend}"), soft_wrap=True)
    counts = {
        verdict: sum(f.verdict is verdict for f in found) for verdict in (Verdict.WRONG, Verdict.WARNING)
    }
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
    console.print(f"\n{told or 'all is well'}")


if __name__ == "__main__":
    sys.exit(main())
