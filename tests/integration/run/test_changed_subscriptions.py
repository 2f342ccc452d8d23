"""What live feeds subscribe, changed while a run went on, holds when all of Ray is started again."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ray_ingest.actors.live import digest_of, encoded
from ray_ingest.actors.status import Status
from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.pipeline import run_plan
from tests.integration.run.live_market import NAMES
from tests.integration.run.test_failover import market_in, plan_for
from tests.servers import Server, running_server

pytestmark = pytest.mark.usefixtures("ray_with_dashboard")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A private server that keeps nothing on disk."""
    with running_server(tmp_path / "server") as started:
        yield started


def test_a_new_ray_is_told_what_was_subscribed_last(server: Server, tmp_path: Path) -> None:
    """The plan only knows what was subscribed when the run began."""
    changed = (*(Subscription(name, name) for name in NAMES[:1]),)
    plan = plan_for(server, market_in(tmp_path), "failover", f"test-{uuid4().hex[:8]}", partitions=1)
    stop = threading.Event()

    def watch(status: Status) -> None:
        told = {feed.name: feed.subscriptions for feed in status.feeds}
        if told.get("fyers") == digest_of(encoded(changed)):
            stop.set()

    run_plan(plan, 60, stop, watch, changed={"fyers": changed})
    assert (tmp_path / "fyers.subscribed").read_text().splitlines() == NAMES[:1]
