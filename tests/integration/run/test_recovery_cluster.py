"""A driver that is killed on a cluster: its actors go on, and the same command finds them again."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.integration.run.processes import ROOT, running
from tests.servers import Server, running_server

MARKET = ("feed.minutes=40", "feed.ticks_per_second=60", "feed.speed=100", "metrics.port=null")
"""A session of some thirty seconds."""
HEAD = {"num_cpus": 2, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of one node, without a dashboard."""
    before = dict(os.environ)
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    head = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        yield head.address
    finally:
        head.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A private server."""
    with running_server(tmp_path) as started:
        yield started


def test_a_driver_that_was_killed_comes_back(cluster: str, server: Server, tmp_path: Path) -> None:
    """Feeds go on while there is no driver. Any command is refused while the driver lives, and another plan
    also when it is dead, each with one line, exit code 2; the same command finds the actors, shows progress,
    and reports the whole run: no actor was started twice, none is left."""
    where = ("ray=cluster", f"ray.address={cluster}", "redis=url", f"redis.url={server.url}")
    with running(tmp_path / "run", *MARKET, *where) as first:
        first.wait_for("sim running")
        with running(tmp_path / "second", *MARKET, *where) as second:
            assert second.end() == 2
        assert second.errors.count("\n") == 1
        assert "a run is under way in the Ray namespace ray_ingest" in second.errors
        first.process.kill()
        first.process.wait()
    with server.client() as client:
        before = offset(client)
        deadline_s = time.monotonic() + 20
        while offset(client) == before:
            assert time.monotonic() < deadline_s, "the feed went on without a driver"
            time.sleep(0.05)  # between two looks
    with running(tmp_path / "other", *MARKET, *where, "feed.seed=8") as other:
        assert other.end() == 2
    assert other.errors.count("\n") == 1
    assert "a run with other settings goes on" in other.errors
    with running(tmp_path / "run", *MARKET, *where) as again:
        again.wait_for("sim ")  # running, or ended by now
        assert again.end() == 0, again.errors
        equal, expected = again.verdict()
        assert equal == expected > 2_000
        assert again.report["restarts"] == 0
        assert again.report["ticks_already_committed"] == 0, "the report is of the whole run"


def offset(client: object) -> int:
    """The sum of all committed offsets."""
    found = 0
    for key in client.scan_iter("ray_ingest:*"):  # type: ignore[attr-defined]
        if client.type(key) == b"hash":  # type: ignore[attr-defined]
            values = client.hgetall(key)  # type: ignore[attr-defined]
            found += sum(int(value) for name, value in values.items() if name.startswith(b"offset:"))
    return found
