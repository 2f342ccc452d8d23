"""From a `Status` to what the rules look at."""

from ray_ingest.actors.messages import ConnectionStats, FeedStats, OhlcStats
from ray_ingest.actors.status import Base, Status
from ray_ingest.alerts.health import health_of
from ray_ingest.core.alert_conditions import Totals
from ray_ingest.core.connection import State


def test_a_status_is_read_right() -> None:
    """The trouble that began first, connections, and what was counted in this run only: figures that
    producers brought along don't count."""
    owners = [
        OhlcStats("ohlc[0/2]", "1-a", 1, closed=90, trouble_since_ms=2_000, last_trouble="later"),
        OhlcStats("ohlc[1/2]", "1-b", 2, closed=20, trouble_since_ms=1_000, last_trouble="first"),
    ]
    owners[0].counts = {"p": {"gap_notes": 5}}
    owners[1].counts = {"p": {"gap_notes": 2}}
    feed = FeedStats("upstox", "p", 3, "running", committed=700, dropped=3, latency_ms=[1.0, 9.0])
    feed.dropped_frames = {"odd": 4}
    feed.connections = [ConnectionStats("upstox-0", "token expired", 500, "HTTP 401")]
    bases = {"p": Base(200, {"gap_notes": 4})}
    status = Status(owners, [feed], {"ohlc[0/2]": 1}, bases, {"ohlc[1/2]": 900}, 0, closed_before=10)
    health = health_of(status, 5_000)
    assert (health.now_ms, health.store_trouble, health.store_since_ms) == (5_000, "first", 1_000)
    assert (health.restarts, health.silent_since_ms) == ({"ohlc[0/2]": 1}, {"ohlc[1/2]": 900})
    assert health.gaps == {"upstox": 3}
    assert health.totals == Totals(ticks=500, candles=100, gaps=3, dropped=7, lag_ms=9.0)
    (connection,) = health.feeds[0].connections
    assert (connection.state, connection.since_ms, connection.why) == (State.TOKEN_EXPIRED, 500, "HTTP 401")


def test_nothing_is_known_at_first() -> None:
    """A supervisor that has just begun has neither owners nor feeds."""
    health = health_of(Status([], [], {}, {}, {}, 0), 1)
    assert (health.store_trouble, health.feeds, health.totals) == ("", (), Totals())
