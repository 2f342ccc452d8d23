"""A live run on a broker's server under a real Prometheus: what can go wrong with a broker is told."""

from __future__ import annotations

import base64
import json
import signal
import threading
import time
from pathlib import Path

from ray_ingest.ports import next_free_port
from tests.integration.monitoring.expectations import BROKER_ALERTS, check_panels, check_words
from tests.integration.monitoring.prometheus import prometheus
from tests.integration.run.processes import running
from tests.servers import running_server
from tests.venues.brokers import new_token
from tests.venues.upstox.venue import UpstoxVenue
from tests.venues.venue import VenueTick

KEYS = ["NSE_FO|8765", "NSE_FO|8766"]
LIVE = (
    *("ray.dashboard=false", "feed=upstox", "calendar=continuous", f"instruments=[{','.join(KEYS)}]"),
    *("session.stall_s=1", "session.longest_wait_s=1", "redis=url", "log.level=error"),
)
EVERY_S = 0.05


class Exchange:
    """Publishes ticks through a venue, which may be down."""

    def __init__(self, venue: UpstoxVenue) -> None:
        self._venue = venue
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._volume = 0
        self._thread = threading.Thread(target=self._trade, daemon=True)

    def __enter__(self) -> Exchange:
        self._venue.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._thread.join(30)
        self._venue.stop()

    def stop(self) -> None:
        """The server is gone."""
        with self._turn:
            self._venue.stop()

    def start(self) -> None:
        """It is back at the same address."""
        with self._turn:
            self._venue.start()

    def _trade(self) -> None:
        while not self._closed.wait(EVERY_S):
            self._volume += 75
            now_ms, price = time.time_ns() // 1_000_000, 100 + self._volume % 1_000 / 20
            with self._turn:
                if self._venue.is_up:
                    self._venue.publish([VenueTick(k, price, 75, now_ms, self._volume, 10) for k in KEYS])


def ending_token(seconds: float) -> str:
    """A JWT that says it ends so soon."""
    claims = {"exp": int(time.time() + seconds), "jti": new_token("upstox")}
    parts = ({"alg": "none"}, claims, {"none": ""})
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)


def write(path: Path, token: str) -> None:
    """As whoever logs in does it."""
    partial = path.with_suffix(".new")
    partial.touch(0o600)
    partial.write_text(token)
    partial.replace(path)


def test_alerts_of_a_broker_fire_and_clear(tmp_path: Path) -> None:
    """A token about to end, a mute feed, a server that is gone, a token refused: Prometheus tells each
    by its name, and that it is over; every panel has data in between."""
    port, token = next_free_port(18_960), tmp_path / "upstox.token"
    write(token, ending_token(600))
    venue = UpstoxVenue()
    with (
        Exchange(venue) as exchange,
        running_server(tmp_path / "server") as store,
        prometheus(tmp_path / "prometheus", port) as server,
        running(
            tmp_path / "run",
            *LIVE,
            f"brokers.upstox.url={venue.url}",
            f"brokers.upstox.token_file={token}",
            f"redis.url={store.url}",
            f"metrics.port={port}",
            f"journal.folder={tmp_path / 'journal'}",
        ) as run,
    ):
        server.wait_value("ray_ingest:ticks_processed:rate1m", lambda rate: rate > 10)
        server.wait_firing("TokenExpiring")
        server.wait_quiet("TokenExpiring")
        check_panels(server, with_brokers=True)

        venue.mute()
        server.wait_firing("FeedStale", "NoTicks")
        venue.heal()
        server.wait_quiet("TokenExpiring")

        exchange.stop()
        server.wait_firing("FeedBackingOff")
        exchange.start()
        server.wait_quiet("TokenExpiring")

        venue.expire_token()
        server.wait_firing("TokenExpired")
        renewed = new_token("upstox")
        venue.accept_token(renewed)
        write(token, renewed)
        server.wait_quiet()

        run.interrupt(signal.SIGTERM)
        assert run.end() == 0, run.errors
        assert server.fired.keys() >= BROKER_ALERTS
        check_words(server)
