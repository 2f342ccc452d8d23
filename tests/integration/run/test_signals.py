"""SIGINT and SIGTERM in mid-run: a graceful stop, from which the same command goes on."""

import re
import signal
from pathlib import Path

from tests.integration.run.processes import QUICK, running

MARKET = ("feed.minutes=80", "feed.ticks_per_second=60", *QUICK)
"""A session of eighty minutes after sixteen before the open; at the speed of below, of some 23 seconds."""
OWN_TICKS = re.compile(r"sim running: [1-9]")
"""A line of progress, which has the ticks of the run itself and comes every five seconds."""


def test_a_session_stopped_twice_still_ends_right(tmp_path: Path) -> None:
    """The first signal drains, flushes, writes the report and exits 0, whichever of the two it is. The
    same command then goes on where each left off, nothing is applied twice, and the finished session's
    candles all equal the oracle's. No process, socket or file is left by any of them."""
    applied = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        with running(tmp_path, *MARKET, "feed.speed=250") as run:
            while not OWN_TICKS.search(run.wait_for("sim running")):
                pass
            run.interrupt(number)
            assert run.end() == 0
            assert "stopped early; the same command goes on from here" in run.output
            assert "equal the oracle's" not in run.output, "half a session has no verdict"
            assert run.errors == ""
            report = run.report
            assert report["ticks_applied"] > 0
            assert report["ticks_already_committed"] >= applied
            applied += report["ticks_applied"]

    with running(tmp_path, *MARKET, "feed.speed=max") as run:
        assert run.end() == 0
        assert run.report["ticks_already_committed"] >= applied
        equal, expected = run.verdict()
        assert equal == expected > 4_000
