"""Actors: named as they should be, asking for no CPU, and replaced when they are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.util.state import list_actors

from ray_ingest.actors.status import Status
from tests.integration.run.in_process import (
    assert_all_candles_right,
    committed,
    kill,
    market_config,
    run_watched,
)
from tests.servers import Server, running_server

pytestmark = pytest.mark.usefixtures("ray_with_dashboard")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A private server."""
    with running_server(tmp_path) as started:
        yield started


def test_three_partitions_are_three_legible_actors_that_ask_for_no_cpu(server: Server) -> None:
    """With partitions=3 every candle is right; the dashboard shows each actor's role in its name and repr;
    all of them together take no CPU, so that any number of them starts on two cores."""
    config = market_config(server, "ingest.partitions=3", "feed.speed=max")
    seen: dict[str, str] = {}
    free: list[float] = []

    def look(status: Status) -> None:
        if not seen and committed(status):
            address = ray.get_runtime_context().gcs_address  # others may run on this machine
            actors = list_actors(address, filters=[("state", "=", "ALIVE")], detail=True)
            seen.update({actor.name: actor.repr_name for actor in actors})
            free.append(ray.cluster_resources()["CPU"] - ray.available_resources().get("CPU", 0.0))

    report = run_watched(config, look)
    names = {"supervisor", "feed[sim]", "ohlc[0/3]", "ohlc[1/3]", "ohlc[2/3]"}
    assert seen == {name: name for name in names}
    assert free == [0.0]
    assert report.restarts == 0
    assert_all_candles_right(config, server)
    assert not ray.util.list_named_actors(all_namespaces=True), "a run ends its actors"


@pytest.mark.parametrize("victim", ["ohlc[0/1]", "feed[sim]"])
def test_a_killed_actor_is_replaced_and_every_candle_is_right(server: Server, victim: str) -> None:
    """kill -9 of the process of an OHLC actor or a feed in mid-run loses and doubles nothing: the run ends
    by itself, its candles equal the oracle's, and the report counts the restart."""
    config = market_config(server)
    killed: list[int] = []

    def strike(status: Status) -> None:
        pids = {owner.name: owner.pid for owner in status.owners}
        pids |= {f"feed[{feed.name}]": feed.pid for feed in status.feeds}
        if not killed and committed(status) > 5_000:
            kill(pids[victim])
            killed.append(pids[victim])

    report = run_watched(config, strike)
    assert killed
    assert report.restarts == 1
    assert report.ticks_already_committed == 0, "all of it is this run's work"
    assert_all_candles_right(config, server)
