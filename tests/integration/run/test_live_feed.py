"""A live feed: what came in is journaled and survives everything, what was missed is told."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest

from ray_ingest import Candles
from ray_ingest.actors.status import Status
from ray_ingest.config import AppConfig, compose
from ray_ingest.journal.reader import JournalReader
from ray_ingest.pipeline import open_store, plan_of, run_plan
from tests.integration.run.in_process import committed, kill, pids_of
from tests.servers import Server, running_server, start_server

pytestmark = pytest.mark.usefixtures("ray_with_dashboard")

LIVE = (
    *("feed.forever=true", "calendar=continuous", "feed.ticks_per_second=3000", "feed.repeat_share=0"),
    *("redis=url", "metrics.port=null", "journal.ticks=all"),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A private server that keeps nothing on disk."""
    with running_server(tmp_path / "server") as started:
        yield started


def live_config(server: Server, tmp_path: Path) -> AppConfig:
    """The simulated exchange at wall-clock pace, its journal in the test's folder."""
    return compose([*LIVE, f"redis.url={server.url}", f"journal.folder={tmp_path / 'journal'}"])


class Run:
    """A live run that is asked to stop when `enough` says so; `strike` happens once after 3,000 ticks."""

    def __init__(self, config: AppConfig) -> None:
        self.config = config
        self.stop = threading.Event()
        self.struck_at = 0

    def strike(self, status: Status) -> None:
        """What happens to it."""

    def go_on_until(self, status: Status) -> bool:
        """Whether the run has shown what it should."""
        return committed(status) > self.struck_at + 3_000

    def __call__(self) -> None:
        """Run to the end."""
        with open_store(self.config) as store:
            plan = plan_of(self.config, store.url, f"test-{uuid4().hex[:8]}")
            run_plan(plan, self.config.redis.give_up_s, self.stop, self._watch)

    def _watch(self, status: Status) -> None:
        if not self.struck_at and committed(status) > 3_000:
            self.struck_at = committed(status)
            self.strike(status)
        elif self.struck_at and self.go_on_until(status):
            self.stop.set()


def assert_candles_are_the_journals(url: str, folder: Path) -> None:
    """Every journaled tick is in its candle exactly once: number of ticks, high and low of every minute."""
    reader = JournalReader(folder)
    assert len(reader.producers()) == 1
    with Candles(url) as candles:
        names = candles.instruments()
        assert len(names) == 200
        for name in names:
            exchange, token = name.split("|")
            found = candles.history(name)
            ticks = reader.ticks(exchange, token, 0, 2**62)
            wanted = (
                ticks.group_by(pl.col("event_time_ms") // 60_000, maintain_order=True)
                .agg(
                    high=pl.col("last_price").max(), low=pl.col("last_price").min(), ticks=pl.len().cast(int)
                )
                .sort("event_time_ms")
                .drop("event_time_ms")
            )
            assert found.select("high", "low", pl.col("ticks").cast(int)).rows() == wanted.rows(), name


def test_a_killed_live_feed_goes_on_with_its_journal_and_tells_the_gap(
    server: Server, tmp_path: Path
) -> None:
    """kill -9 of a live feed: what it had journaled is committed exactly once, the same producer goes on, the
    time nobody listened is recorded as a gap, and the candles at its edges carry the flag."""
    run = Run(live_config(server, tmp_path))
    producers: set[str] = set()

    def strike(status: Status) -> None:
        kill(pids_of(status)["feed[sim]"])

    def go_on_until(status: Status) -> bool:
        producers.update(feed.producer for feed in status.feeds)
        return status.restarts.get("feed[sim]", 0) == 1 and committed(status) > run.struck_at + 3_000

    run.strike, run.go_on_until = strike, go_on_until  # type: ignore[method-assign]
    run()
    assert len(producers - {""}) == 1
    assert_candles_are_the_journals(server.url, tmp_path / "journal")
    with Candles(server.url) as candles:
        gaps = candles.gaps()
        assert gaps["reason"].to_list() == ["restart"]
        assert gaps["instrument"].to_list() == [None]
        edges = [candles.candle(name, gaps["start"][0]) for name in candles.instruments()]
        assert all(edge.gap for edge in edges if edge)
        assert any(edges)


def test_a_wiped_store_is_filled_again_from_the_journal(server: Server, tmp_path: Path) -> None:
    """FLUSHALL under a live feed: everything since the feed's first tick is there again, once."""
    run = Run(live_config(server, tmp_path))

    def strike(status: Status) -> None:
        with server.client() as client:
            client.flushall()

    run.strike = strike  # type: ignore[method-assign]
    run()
    assert_candles_are_the_journals(server.url, tmp_path / "journal")


def test_ticks_wait_in_the_journal_while_the_store_is_away(server: Server, tmp_path: Path) -> None:
    """A live feed goes on without its store for as long as it takes; then every tick of that time is
    committed from the journal, also into a store that has lost everything."""
    run = Run(live_config(server, tmp_path))
    away: list[int] = []
    back: list[Server] = []

    def strike(status: Status) -> None:
        server.kill()

    def go_on_until(status: Status) -> bool:
        queued = sum(feed.queued for feed in status.feeds)
        away.append(queued)
        is_open = any(owner.breaker == "open" for owner in status.owners)
        assert is_open or queued < 60_000, "the breaker stays closed"
        if not back and queued > 6_000 and is_open:
            back.append(start_server(tmp_path / "server"))
        return bool(back) and queued < 1_000

    run.strike, run.go_on_until = strike, go_on_until  # type: ignore[method-assign]
    try:
        run()
        assert max(away) > 6_000
        assert_candles_are_the_journals(server.url, tmp_path / "journal")
    finally:
        for started in back:
            started.stop()


def test_a_stopped_live_feed_goes_on_in_the_next_run_as_the_same_producer(
    server: Server, tmp_path: Path
) -> None:
    """Stopped and started again, it keeps its producer and its offsets, and nothing is lost or doubled."""
    for _ in range(2):
        Run(live_config(server, tmp_path))()
    assert_candles_are_the_journals(server.url, tmp_path / "journal")
    (info,) = JournalReader(tmp_path / "journal").journals()
    with server.client() as client:
        meta = client.hgetall("ray_ingest:meta:0")
        offsets = {key: int(value) for key, value in meta.items() if key.startswith(b"offset:")}
    assert offsets == {f"offset:{info.producer}".encode(): info.end[0]}


def test_a_live_feed_that_starts_while_the_store_is_away_listens(server: Server, tmp_path: Path) -> None:
    """The feed and its store die together: the feed that Ray starts again takes ticks at once, although
    nobody can tell it where it stands, and all of them are committed when the store is back."""
    run = Run(live_config(server, tmp_path))
    heard: list[int] = []
    back: list[Server] = []

    def strike(status: Status) -> None:
        server.kill()
        kill(pids_of(status)["feed[sim]"])

    def go_on_until(status: Status) -> bool:
        (feed,) = status.feeds
        if not back and status.restarts.get("feed[sim]") and feed.queued > 3_000:
            heard.append(feed.queued)
            back.append(start_server(tmp_path / "server"))
        return bool(back) and feed.queued < 1_000 and feed.received > 3_000

    run.strike, run.go_on_until = strike, go_on_until  # type: ignore[method-assign]
    try:
        run()
        assert heard
        assert_candles_are_the_journals(server.url, tmp_path / "journal")
    finally:
        for started in back:
            started.stop()
