"""A real day of Upstox V3, sent again as protobuf over a socket, against the replay of the same ticks."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.status import Status
from ray_ingest.config import compose
from ray_ingest.convert import main as convert
from ray_ingest.pipeline import open_store, plan_of, run_plan
from ray_ingest.report import Report
from tests.integration.data.harness import System, candles_of
from tests.integration.live.exchange import DEADLINE_S
from tests.integration.live.masters import write_listing
from tests.servers import Server
from tests.venues.brokers import new_token
from tests.venues.upstox.venue import UpstoxVenue
from tests.venues.venue import VenueTick

BURST = 2_000
COMPARED = [
    "instrument",
    "minute_ms",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "oi",
    "ticks",
    "phase",
    "final",
]


@pytest.fixture
def day(shared_data: Path, tmp_path: Path) -> Path:
    """The five captures as one file in arrival order."""
    captures = sorted((shared_data / "upstox_v3_20251215").glob("*.json.gz"))
    output = tmp_path / "day.parquet"
    assert convert(["upstox-v3", *map(str, captures), str(output)]) == 0
    return output


class Burst:
    """A live run of the main job's plan on a venue that sends all ticks as fast as the feed takes them."""

    def __init__(self, ticks: list[VenueTick]) -> None:
        self.feed = FeedStats("", "", 0)
        self.took_s = 0.0
        self._ticks = ticks
        self._venue = UpstoxVenue()
        self._enough = threading.Event()
        self._sender = threading.Thread(target=self._send, daemon=True)

    def run(self, folder: Path, server: Server, prefix: str) -> Report:
        """Until all of them are committed, into the server under `prefix`; instruments are those of the
        stored master."""
        token = folder / "token"
        token.write_text(new_token("upstox"))
        token.chmod(0o600)
        names = folder / "instruments.txt"
        names.write_text("\n".join(dict.fromkeys(tick.key for tick in self._ticks)))
        with self._venue:
            # The recorded market isn't open now, so no silence after it may be taken for a broken socket.
            config = compose(
                [
                    *("feed=upstox", "redis=url", f"redis.url={server.url}", f"redis.prefix='{prefix}'"),
                    *(f"brokers.upstox.url={self._venue.url}", f"brokers.upstox.token_file={token}"),
                    *(f"instruments_file={names}", "session.stall_s=600", "metrics.port=null"),
                    f"journal.folder={folder / 'journal'}",
                ]
            )
            with open_store(config) as store:
                plan = plan_of(config, store.url, f"test-{uuid4().hex[:8]}")
                self._sender.start()
                report = run_plan(plan, config.redis.give_up_s, self._enough, self._watch)
            self._sender.join(DEADLINE_S)
        return report

    def _send(self) -> None:
        self._venue.wait_subscribed({tick.key for tick in self._ticks}, DEADLINE_S)
        self._began_s = time.monotonic()
        for first in range(0, len(self._ticks), BURST):
            self._venue.publish(self._ticks[first : first + BURST])

    def _watch(self, status: Status) -> None:
        for feed in status.feeds:
            self.feed = feed
            if feed.received >= len(self._ticks) and not feed.queued and not self._enough.is_set():
                self.took_s = time.monotonic() - self._began_s
                self._enough.set()


def test_a_real_day_over_the_socket_gives_the_candles_of_its_replay(
    day: Path,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Upstox's real day, encoded by the SDK's own message classes and received through the SDK's socket,
    gives the same candles, row for row, as the replay of the same ticks; nothing is dropped or rejected."""
    rows = pl.read_parquet(day)
    keys = (rows["exchange"] + "|" + rows["token"]).to_list()
    columns = ("last_price", "last_qty", "event_time_ms", "day_volume", "oi")
    ticks = [VenueTick(key, *row) for key, row in zip(keys, rows.select(columns).rows(), strict=True)]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_listing(tmp_path / "state", "upstox", [(key, key) for key in dict.fromkeys(keys)])
    replayed = System(server.url).replay(day)
    burst = Burst(ticks)
    report = burst.run(tmp_path, server, "live:")
    live = candles_of(server.url, "live:")
    assert_frame_equal(live.select(COMPARED), replayed.candles.select(COMPARED))
    assert len(live) > 1_700
    assert (burst.feed.dropped_frames, burst.feed.dropped, report.ticks_rejected) == ({}, 0, {})
    assert (report.ticks_in, report.ticks_applied) == (len(ticks), replayed.report.ticks_applied)
    assert report.ticks_without_candle == replayed.report.ticks_without_candle
    with capsys.disabled():
        rate = len(ticks) / burst.took_s
        print(f"\nUpstox's day: {len(ticks):,} ticks over the socket in {burst.took_s:.1f} s ({rate:,.0f} a "
              f"second), {len(live):,} of {len(replayed.candles):,} candles equal the replay's")  # fmt: skip
