"""A program of its own, whose Ray, store or driver is killed: it goes on, or the same command does."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ray_ingest.store import valkey
from tests.integration.run.processes import QUICK, Run, running, still_alive

MARKET = ("feed.minutes=40", "feed.ticks_per_second=60", "feed.speed=200", *QUICK)
"""A session of some seventeen seconds."""


def process_of(run: Run, name: str) -> psutil.Process:
    """The run's process of that name."""
    found = [p for p in still_alive(run.mark, patience_s=0) if name_of(p) == name]
    assert len(found) == 1, found
    return found[0]


def name_of(process: psutil.Process) -> str:
    """Its name; none when it has just ended."""
    with suppress(psutil.Error):
        return str(process.name())
    return ""


def agents_of(run: Run) -> list[psutil.Process]:
    """What the run's raylet started that isn't ours: its agents, whose environment says nothing."""
    found = [child for child in process_of(run, "raylet").children() if "Agent" in name_of(child)]
    assert len(found) == 2, found
    return found


def assert_gone(processes: list[psutil.Process], patience_s: float = 5.0) -> None:
    """They have ended, at the latest in so many seconds."""
    left = psutil.wait_procs(processes, timeout=patience_s)[1]
    assert not [p.cmdline() for p in left if p.status() != psutil.STATUS_ZOMBIE]


def assert_right(run: Run) -> None:
    """It ends by itself, leaves nothing, and every candle equals the oracle's."""
    assert run.end() == 0, run.errors
    equal, expected = run.verdict()
    assert equal == expected > 2_000


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_ray_that_dies_is_started_again(tmp_path: Path, name: str) -> None:
    """kill -9 of Ray's own daemons in mid-run: the program says so in one line, starts Ray again and ends
    with every candle right and its accounts complete; no process of either Ray is left."""
    with running(tmp_path, *MARKET) as run:
        run.wait_for("sim running")
        victim, agents = process_of(run, name), agents_of(run)
        victim.kill()
        killed_s = time.monotonic()
        run.wait_for("sim running")
        assert time.monotonic() - killed_s < 60
        assert_gone(agents)
        agents = agents_of(run)
        assert_right(run)
        assert_gone(agents)
        lines = run.errors.splitlines()
        assert any(
            f"Ray's process {name} (pid {victim.pid}) died; Ray and the actors are" in x for x in lines
        )
        assert not [line for line in lines if "raylet)" in line], "Ray's own noise"
        assert run.report["ticks_already_committed"] == 0
        assert run.report["restarts"] >= 1


def test_a_service_outlives_its_ray_and_ends_in_order(tmp_path: Path) -> None:
    """A driver whose parent is an init process is ended by Ray, without a word, when it leaves a raylet that
    is gone: it starts another Ray like any other, and its report and summary are written."""
    with running(tmp_path, *MARKET, orphaned=True) as run:
        run.wait_for("sim running")
        process_of(run, "raylet").kill()
        run.wait_for("sim running")
        assert_right(run)
        assert run.report["restarts"] >= 1


def test_an_embedded_store_that_dies_is_started_again(tmp_path: Path) -> None:
    """kill -9 of the embedded server in mid-run: it is there again within a second, and the run goes on."""
    with running(tmp_path, *MARKET) as run:
        run.wait_for("sim running")
        files = valkey.ServerFiles(tmp_path / "store")
        pid = files.read_pid()
        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        wait_until(lambda: files.read_pid() not in (0, pid))
        assert time.monotonic() - killed_s < 5  # 0.2 s on a quiet machine
        assert_right(run)
        assert "the embedded store died and was started again" in run.errors


def test_a_killed_driver_leaves_nothing_and_the_same_command_resumes(tmp_path: Path) -> None:
    """kill -9 of the main process takes its Ray with it within seconds, but for an agent that Ray itself ends
    within a minute or so; the embedded store it leaves behind is adopted by the same command, which goes on
    from what was committed."""
    with running(tmp_path, *MARKET) as run:
        run.wait_for("sim running")
        run.wait_for("sim running")
        run.process.kill()
        run.process.wait()
        assert not [process.cmdline() for process in still_alive(run.mark, patience_s=15)]
        assert valkey.is_alive(valkey.ServerFiles(tmp_path / "store"))
        with running(tmp_path, *MARKET, "feed.speed=max") as again:
            assert_right(again)
            assert again.report["ticks_already_committed"] > 0


def test_a_second_signal_is_immediate_although_the_store_hangs(tmp_path: Path) -> None:
    """While a drain waits for a frozen store, Ctrl-C ends the run at once, exit code 130; nothing is left,
    a third one changes nothing, and the same command resumes."""
    with running(tmp_path, *MARKET) as run:
        run.wait_for("sim running")
        server = valkey.ServerFiles(tmp_path / "store").read_pid()
        os.kill(server, signal.SIGSTOP)
        try:
            run.interrupt(signal.SIGTERM)
            run.wait_for("Ctrl-C again stops at once")
            time.sleep(1)  # a person looks at it: nothing to wait for
            run.interrupt(signal.SIGINT)
            asked_s = time.monotonic()
            wait_until(lambda: "stopped at once" in run.errors or not actors_of(run))
            assert time.monotonic() - asked_s < 10
            run.interrupt(signal.SIGINT)
        finally:
            os.kill(server, signal.SIGCONT)  # only then can its last client stop it in order
        assert run.end() == 130
        assert "ray-ingest: stopped at once; what wasn't committed is sent again next time" in run.errors
        assert "Traceback" not in run.errors
    with running(tmp_path, *MARKET, "feed.speed=max") as again:
        assert_right(again)


def test_timeout_asks_once(tmp_path: Path) -> None:
    """`timeout` signals the process and its group, so signals come twice at once: that is one request."""
    with running(tmp_path, *MARKET) as run:
        run.wait_for("sim running")
        run.interrupt(signal.SIGSTOP)  # so that both have come when it looks
        run.interrupt(signal.SIGINT)
        run.interrupt(signal.SIGTERM)
        run.interrupt(signal.SIGCONT)
        assert run.end() == 0
        assert "stopped early" in run.output


def actors_of(run: Run) -> list[psutil.Process]:
    """The processes of its actors."""
    return [p for p in still_alive(run.mark, patience_s=0) if name_of(p).startswith("ray::")]


def wait_until(true: Callable[[], bool], timeout_s: float = 30) -> None:
    """Look again and again until it is true."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)  # between two looks
