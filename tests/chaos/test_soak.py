"""The soak in short: two million ticks instead of a hundred."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_two_million_ticks_leave_right_candles_and_no_process() -> None:
    """A run at speed gives every candle of its market hours and leaves nothing running. (Whether memory stays
    flat shows only in the long run.)"""
    command = [sys.executable, "-m", "tests.chaos.soak", "--ticks=2_000_000", "--hours=2", "--interval-s=0.2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "soak: all well" in done.stdout
