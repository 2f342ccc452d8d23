"""Actors killed, frozen, and all together: the run ends by itself all the same, every candle right."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from ray_ingest.actors.options import SUPERVISOR
from ray_ingest.actors.status import Status
from tests.integration.run.in_process import (
    assert_all_candles_right,
    committed,
    kill,
    market_config,
    pids_of,
    run_watched,
)
from tests.servers import Server, running_server

pytestmark = pytest.mark.usefixtures("ray_with_dashboard")

ALL = ("supervisor", "ohlc[0/1]", "feed[sim]")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A private server."""
    with running_server(tmp_path) as started:
        yield started


@pytest.mark.parametrize("victims", [(SUPERVISOR,), ALL], ids=["supervisor", "all-at-once"])
def test_a_killed_supervisor_finds_its_actors_again(server: Server, victims: tuple[str, ...]) -> None:
    """kill -9 of the supervisor, alone or with all it watches, in mid-run: the one that comes after it starts
    no second owner or feed, the totals are those of the whole run, restarts are counted, and none is left."""
    config = market_config(server)
    struck: dict[str, int] = {}
    after: set[tuple[str, int]] = set()

    def watch(status: Status) -> None:
        if not struck and committed(status) > 5_000:
            struck.update({name: pid for name, pid in pids_of(status).items() if name in victims})
            for pid in struck.values():
                kill(pid)
        elif struck:
            after.update((name, pid) for name, pid in pids_of(status).items() if pid not in struck.values())

    report = run_watched(config, watch)
    assert set(struck) == set(victims)
    assert report.restarts == len(victims)
    assert sorted(name for name, _ in after) == sorted(ALL), "one of each, and no more"
    assert report.ticks_already_committed == 0
    assert_all_candles_right(config, server)
    assert not ray.util.list_named_actors(all_namespaces=True)


@pytest.mark.parametrize("victim", ALL)
def test_a_frozen_actor_is_replaced(server: Server, victim: str) -> None:
    """SIGSTOP: an actor that says nothing for ray.silent_s is killed and started again, and the run ends."""
    config = market_config(server, "ray.silent_s=3")
    frozen: list[psutil.Process] = []

    def watch(status: Status) -> None:
        if not frozen and committed(status) > 5_000:
            pid = pids_of(status)[victim]
            frozen.append(psutil.Process(pid))
            os.kill(pid, signal.SIGSTOP)

    try:
        report = run_watched(config, watch)
        assert report.restarts == 1
        assert not frozen[0].is_running()
    finally:
        for process in frozen:
            if process.is_running():
                process.kill()
    assert_all_candles_right(config, server)


@pytest.mark.parametrize("victims", [("feed[sim]",), (SUPERVISOR, "ohlc[0/1]")], ids=["feed", "supervisor"])
def test_actors_killed_when_the_run_is_to_end(server: Server, victims: tuple[str, ...]) -> None:
    """What dies as the last tick is committed is started again and stopped like the others: the run ends
    soon, its totals are whole, and every candle is right."""
    config = market_config(server, "feed.speed=max")
    killed_s: list[float] = []

    def watch(status: Status) -> None:
        if status.finished and not killed_s:
            for victim in victims:
                kill(pids_of(status)[victim])
            killed_s.append(time.monotonic())

    report = run_watched(config, watch)
    assert time.monotonic() - killed_s[0] < 25, "nobody waited for an actor that hadn't heard of the stop"
    assert report.restarts == len(victims)
    assert report.ticks_applied > 50_000
    assert_all_candles_right(config, server)


def test_a_supervisor_that_freezes_while_it_stops_is_replaced(server: Server) -> None:
    """SIGSTOP as the run is to end: the driver notices, as it does in mid-run, and the next one stops all."""
    config = market_config(server, "feed.speed=max", "ray.silent_s=3")
    frozen: list[int] = []

    def watch(status: Status) -> None:
        if status.finished and not frozen:
            frozen.append(status.pid)
            os.kill(status.pid, signal.SIGSTOP)

    report = run_watched(config, watch)
    assert report.restarts == 1
    assert not psutil.pid_exists(frozen[0])
    assert_all_candles_right(config, server)
