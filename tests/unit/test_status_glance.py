"""The glance: what is told of two statuses, and how it looks on a terminal."""

import io

import pytest
from rich.console import Console

from ray_ingest.actors.messages import ConnectionStats, FeedStats, OhlcStats
from ray_ingest.actors.status import Status
from ray_ingest.status.glance import Glance, Seen, duration_text, glance
from ray_ingest.status.view import screen

NOW_MS = 1_795_000_000_000


def status(feeds: list[FeedStats], owners: list[OhlcStats] | None = None, **more: object) -> Status:
    """With no restarts and nobody silent, unless said otherwise."""
    given: dict[str, object] = {"restarts": {}, "bases": {}, "silent_since_ms": {}, "metrics_port": 1}
    return Status(owners or [], feeds, **(given | more))  # type: ignore[arg-type]


def seen(shown: Status, after_s: float = 0.0) -> Seen:
    """So long after the first look."""
    return Seen(shown, NOW_MS + int(after_s * 1000), 50.0 + after_s)


def feed(received: int = 0, state: str = "live", why: str = "", **more: object) -> FeedStats:
    """A live one with two connections, one of which is in `state` for 12 s."""
    connections = [
        ConnectionStats("upstox[0]", "live", NOW_MS - 60_000, last_frame_ms=NOW_MS - 250, reconnects=1),
        ConnectionStats("upstox[1]", state, NOW_MS - 12_000, why, last_frame_ms=NOW_MS - 9_000),
    ]
    given: dict[str, object] = {"received": received, "live": True, "connections": connections, "queued": 7}
    return FeedStats("upstox", "p", 1, "running", **(given | more))  # type: ignore[arg-type]


def screen_text(shown: Glance, width: int = 80) -> str:
    """As it is written to a file."""
    out = io.StringIO()
    Console(file=out, width=width).print(screen(shown), highlight=False)
    return out.getvalue()


def test_rates_are_those_between_two_looks() -> None:
    """Ticks a second of feeds and partitions, and the mean flush of late, not of all times."""
    before = status(
        [feed(100)], [OhlcStats("ohlc[0/1]", "o", 2, ticks_committed=50, flushes=10, flush_s=9.0)]
    )
    now = status([feed(500)], [OhlcStats("ohlc[0/1]", "o", 2, ticks_committed=450, flushes=20, flush_s=9.02)])
    shown = glance(seen(now, 2.0), seen(before))
    assert shown.feeds[0].ticks_per_s == 200
    assert shown.partitions[0].ticks_per_s == 200
    assert shown.partitions[0].flush_ms == pytest.approx(2.0)
    assert shown.troubles == []
    assert "all is well" in screen_text(shown)


def test_a_restarted_actor_has_no_negative_rate() -> None:
    """It counts from nothing again."""
    shown = glance(seen(status([feed(3)]), 1.0), seen(status([feed(500)])))
    assert shown.feeds[0].ticks_per_s == 0


def test_a_feed_is_as_its_worst_connection() -> None:
    """With since when and why; the newest tick is that of any connection; reconnects are those of all."""
    shown = glance(seen(status([feed(state="backing off", why="HTTP 503")])))
    found = shown.feeds[0]
    assert (found.state, found.since_ms, found.why) == ("backing off", NOW_MS - 12_000, "HTTP 503")
    assert (found.lag_s, found.reconnects) == (0.25, 1)
    assert shown.troubles == ["upstox is backing off: HTTP 503"]
    text = screen_text(shown)
    assert "1 to look at" in text
    assert "12.0 s" in text


def test_whatever_is_wrong_is_said_in_words() -> None:
    """A silent actor, a store that is away, a journal that waits, dropped ticks, ticks sent again."""
    owner = OhlcStats(
        "ohlc[0/1]", "o", 2, trouble="no store", trouble_since_ms=NOW_MS - 90_000, breaker="open"
    )
    broken = feed(waits_for="disk full", dropped=5, to_recover=6, active=False)
    silent = {"feed[upstox]": NOW_MS - 3_000}
    told = status([broken], [owner], restarts={"ohlc[0/1]": 2}, silent_since_ms=silent)
    shown = glance(seen(told))
    assert shown.feeds[0].state == "silent"
    assert shown.troubles == [
        "feed[upstox] has not answered for 3.0 s",
        "ohlc[0/1] can't commit for 1 min: no store",
        "upstox waits: disk full",
        "upstox dropped 5 ticks: its buffer was full",
        "upstox sends 6 ticks again, which the store has lost",
    ]
    text = screen_text(shown)
    assert "restarts: ohlc[0/1] 2" in text
    assert "standby" in text
    assert "away" in text


def test_what_made_no_candle_is_told_by_reason() -> None:
    """Of feeds and owners together; gap notes are gaps, not ticks."""
    owner = OhlcStats("ohlc[0/1]", "o", 2, noted={"holiday": 1_000, "price": 1, "gap_notes": 3})
    shown = glance(seen(status([feed(rejected={"price": 2})], [owner])))
    assert shown.without_candle == {"price": 3, "holiday": 1_000}
    text = screen_text(shown)
    assert "ticks without a candle: holiday 1,000, price 3" in text
    assert "gaps: 3; listed by python -m ray_ingest.candles [--url … | --data-dir …] gaps\n" in text


def outside(ticks: int, rows: int = 9, why: str = "outside_session") -> list[OhlcStats]:
    """An owner that wrote so many rows, and took so many ticks while the market was closed."""
    return [OhlcStats("ohlc[0/1]", "o", 2, ticks_committed=ticks, rows=rows, noted={why: ticks})]


@pytest.mark.parametrize("why", ["outside_session", "holiday"])
def test_an_endless_simulation_of_a_closed_market_is_something_to_look_at(why: str) -> None:
    """Its ticks of late made no candle, so nobody waits for candles that don't come; it says what helps."""
    simulation = FeedStats("sim", "p", 1, "running", received=900, live=True)
    before, now = status([simulation], outside(400, why=why)), status([simulation], outside(900, why=why))
    (trouble,) = glance(seen(now, 1.0), seen(before)).troubles
    assert "the market is closed by the calendar" in trouble
    assert "calendar=continuous" in trouble
    assert glance(seen(now)).troubles == []


@pytest.mark.parametrize(
    ("name", "live", "now"),
    [
        ("upstox", True, outside(900)),
        ("sim", False, outside(900)),
        ("sim", True, outside(900, rows=10)),
        ("sim", True, outside(400)),
    ],
)
def test_ticks_out_of_hours_are_otherwise_routine(name: str, live: bool, now: list[OhlcStats]) -> None:
    """Brokers send cached ones at night, a bounded day has an end, and where a candle grows all is well."""
    sender = FeedStats(name, "p", 1, "running", received=900, live=live)
    shown = glance(seen(status([sender], now), 1.0), seen(status([sender], outside(400))))
    assert shown.troubles == []


def test_a_screen_of_80_columns_holds_it() -> None:
    """No line is cut short or wrapped, with three feeds and large numbers."""
    feeds = [
        FeedStats(
            name, "p", 1, "running", received=123_456_789, live=True, queued=1_234_567, latency_ms=[12.3]
        )
        for name in ("upstox", "fyers", "dhan")
    ]
    owners = [OhlcStats(f"ohlc[{n}/2]", "o", 2, rows=12_345_678, closed=123_456, flushes=1) for n in range(2)]
    shown = glance(seen(status(feeds, owners), 1.0), seen(status(feeds, owners)))
    text = screen_text(shown)
    assert "…" not in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert all(text.count(name) == 1 for name in ("upstox", "fyers", "dhan", "ohlc[0/2]", "ohlc[1/2]"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.0, "0.0 s"), (3.24, "3.2 s"), (61, "1 min"), (7_500, "2 h 05 min"), (200_000, "2 d")],
)
def test_durations(seconds: float, text: str) -> None:
    """As short as a table needs them."""
    assert duration_text(seconds) == text
