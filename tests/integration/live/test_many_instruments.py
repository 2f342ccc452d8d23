"""What is told to actors may be large: thousands of instruments survive the death of whoever told it."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import uuid4

import pytest

from ray_ingest.actors.options import SUPERVISOR
from ray_ingest.actors.status import Status
from ray_ingest.clock import epoch_ms
from ray_ingest.config import compose
from ray_ingest.pipeline import open_store, plan_of, run_plan
from tests.integration.live.exchange import Exchange
from tests.integration.run.in_process import kill, pids_of
from tests.servers import Server
from tests.venues.market import Market

COUNT = 2_000


def test_a_feed_of_thousands_is_started_again_after_its_supervisor_was(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor dies, later the feed that it had started with 2,000 instruments: both go on, and the
    feed subscribes all of them again."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    market = Market(count=COUNT, minutes=1, updates=1, start_ms=epoch_ms())
    stop = threading.Event()
    struck: list[str] = []

    def watch(status: Status) -> None:
        live = [c.state for feed in status.feeds for c in feed.connections] == ["live"]
        pids = pids_of(status)
        if not live or len(exchange.venues["upstox"].subscribed()) < COUNT:
            return
        if not struck:
            struck.append(SUPERVISOR)
            kill(pids[SUPERVISOR])
        elif len(struck) == 1 and status.restarts.get(SUPERVISOR):
            struck.append("feed[upstox]")
            kill(pids["feed[upstox]"])
        elif len(struck) == 2 and status.restarts.get("feed[upstox]"):
            stop.set()

    with Exchange(tmp_path, market, ["upstox"]) as exchange:
        config = compose(
            [
                *("feed=upstox", "redis=url", f"redis.url={server.url}", "metrics.port=null"),
                *(f"journal.folder={tmp_path / 'journal'}", *exchange.overrides),
            ]
        )
        with open_store(config) as store:
            plan = plan_of(config, store.url, f"test-{uuid4().hex[:8]}")
            run_plan(plan, config.redis.give_up_s, stop, watch)
    assert struck == [SUPERVISOR, "feed[upstox]"]
