"""SIGINT and SIGTERM in mid-run: a graceful stop, from which the same command goes on."""

import signal
from pathlib import Path

from tests.integration.run.processes import QUICK, running

MARKET = ("feed.minutes=40", "feed.ticks_per_second=60", *QUICK)
SPEEDS = {signal.SIGINT: 250, signal.SIGTERM: 450}
"""Market seconds a second: the session has forty minutes after sixteen before the open, and a plain line of
progress comes every five seconds, so at the second one the later run has come further than the earlier."""


def test_a_session_stopped_twice_still_ends_right(tmp_path: Path) -> None:
    """The first signal drains, flushes, writes the report and exits 0, whichever of the two it is. The
    same command then goes on where each left off, nothing is applied twice, and the finished session's
    candles all equal the oracle's. No process, socket or file is left by any of them."""
    applied = 0
    for number, speed in SPEEDS.items():
        with running(tmp_path, *MARKET, f"feed.speed={speed}") as run:
            run.wait_for("sim running")
            run.wait_for("sim running")
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
        assert equal == expected > 2_000
