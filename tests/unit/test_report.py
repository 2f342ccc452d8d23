"""The totals of a run: every tick in one account, whatever was committed before and whoever was restarted."""

from ray_ingest.actors.messages import FeedStats, OhlcStats
from ray_ingest.actors.status import Base, Status
from ray_ingest.report import Report, report_of


def status(feed: FeedStats, counts: dict[str, int], base: Base, **figures: int) -> Status:
    """A run's last status: one feed, one owner with the store's `counts` of it, and where it all began."""
    owner = OhlcStats("ohlc[0/1]", "1-a", 12, counts={feed.producer: counts}, **figures)
    return Status([owner], [feed], {}, {feed.producer: base}, {}, 0)


def accounts(report: Report) -> int:
    """The sum that `ticks_in` must be."""
    own = report.ticks_applied + report.ticks_repeated + report.ticks_already_committed
    return own + report.ticks_filtered + sum(report.ticks_rejected.values())


def test_a_first_run_counts_what_feed_and_owner_rejected_once() -> None:
    """Ticks the calendar refused were sent and committed, yet they are rejected ones, not applied ones; those
    of phases without candles are applied, and told apart."""
    feed = FeedStats(
        "sim", "p", 1, "ended", received=100, repeated=5, filtered=2, rejected={"price": 3}, sequence=90,
        committed=90, running_s=2.0,
    )  # fmt: skip
    counts = {"outside_session": 4, "holiday": 1, "pre_open": 7}
    report = report_of(status(feed, counts, Base(0, {}), closed=9, instruments=3))
    assert report.ticks_rejected == {"price": 3, "outside_session": 4, "holiday": 1}
    assert report.ticks_without_candle == {"pre_open": 7}
    assert (report.ticks_applied, report.ticks_already_committed) == (85, 0)
    assert report.ticks_in == accounts(report) == 100
    assert (report.candles_closed, report.instruments) == (9, 3)
    assert report.ticks_per_s == 42.5


def test_a_run_that_repeats_another_applies_and_rejects_nothing_new() -> None:
    """What an earlier run committed is one account, with all that was rejected of it."""
    counts = {"outside_session": 4, "pre_open": 7}
    feed = FeedStats("sim", "p", 1, "ended", received=95, repeated=5, sequence=90, committed=90)
    report = report_of(status(feed, counts, Base(90, dict(counts))))
    assert (report.ticks_applied, report.ticks_already_committed) == (0, 90)
    assert report.ticks_rejected == {}
    assert report.ticks_without_candle == {}
    assert report.ticks_in == accounts(report) == 95


def test_a_resumed_run_counts_only_its_own_part() -> None:
    """Of rejects and of phases without candles, only what came after the earlier run's end."""
    base = Base(40, {"outside_session": 3, "pre_open": 7})
    feed = FeedStats("sim", "p", 1, "ended", received=90, sequence=90, committed=90)
    report = report_of(status(feed, {"outside_session": 5, "pre_open": 7}, base))
    assert (report.ticks_applied, report.ticks_already_committed) == (48, 40)
    assert report.ticks_rejected == {"outside_session": 2}
    assert report.ticks_in == accounts(report) == 90


def test_a_run_stopped_before_it_reached_new_ticks_claims_no_more_than_it_read() -> None:
    """A resumed source reads from its start: of what was committed it may have met only a part again."""
    feed = FeedStats("sim", "p", 1, "stopped", received=30, sequence=30, committed=30)
    report = report_of(status(feed, {}, Base(40, {})))
    assert (report.ticks_applied, report.ticks_already_committed) == (0, 30)
    assert report.ticks_in == accounts(report) == 30


def test_a_run_without_ticks_is_a_report_too() -> None:
    """Nothing divides by the time that nothing took, and there is no latency to tell."""
    report = report_of(status(FeedStats("sim", "p", 1, "ended"), {}, Base(0, {})))
    assert (report.ticks_in, report.ticks_per_s, report.latency_p99_ms) == (0, 0.0, None)
