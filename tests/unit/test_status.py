"""One run's story out of several supervisors' statuses."""

from ray_ingest.actors.messages import FeedStats, OhlcStats
from ray_ingest.actors.status import Base, Status, Story, as_ended


def status(incarnation: str, *, ohlc_pid: int = 1, feeds: bool = True, closed_before: int = 0) -> Status:
    """One owner that has closed 90 candles, and one feed."""
    owners = [OhlcStats("ohlc[0/1]", "1-a", ohlc_pid, closed=90)] if feeds else []
    feed = FeedStats("sim", "p", 2, "running", committed=50)
    bases = {"p": Base(closed_before, {})} if feeds else {}
    return Status(
        owners,
        [feed] if feeds else [],
        {},
        bases,
        {},
        0,
        closed_before=closed_before,
        incarnation=incarnation,
    )


def test_a_run_began_with_its_first_supervisor() -> None:
    """One that is started again counts from when it began; what the run closed and where its producers stood
    at its start doesn't move, and that it was started again is counted."""
    story = Story("supervisor")
    assert story.told(status("a", closed_before=10)).closed == 80
    later = story.told(status("b", closed_before=70))
    assert later.closed == 80
    assert later.bases == {"p": Base(10, {})}
    assert later.restarts == {"supervisor": 1}


def test_a_supervisor_that_has_seen_nothing_yet_shows_what_was_seen_before() -> None:
    """Its first status has no actors; figures and the state of the feeds stay, so no run ends by it."""
    story = Story("supervisor")
    story.told(status("a"))
    told = story.told(status("b", feeds=False))
    assert [owner.closed for owner in told.owners] == [90]
    assert [feed.state for feed in told.feeds] == ["running"]


def test_an_actor_that_died_together_with_its_supervisor_is_counted() -> None:
    """Its process is another one than the supervisor before had seen."""
    story = Story("supervisor")
    story.told(status("a"))
    assert story.told(status("b", ohlc_pid=7)).restarts == {"supervisor": 1, "ohlc[0/1]": 1}
    assert story.told(status("b", ohlc_pid=7)).restarts == {"supervisor": 1, "ohlc[0/1]": 1}
    assert story.told(status("b", ohlc_pid=8)).restarts == {"supervisor": 1, "ohlc[0/1]": 2}


def test_a_driver_that_comes_back_knows_what_its_supervisor_counted() -> None:
    """Restarts before it came are in the first status it sees."""
    first = status("a")
    first.restarts = {"feed[sim]": 2}
    assert Story("supervisor").told(first).restarts == {"feed[sim]": 2}


def test_a_run_whose_feeds_are_not_known_yet_is_not_over() -> None:
    """A new supervisor hasn't started its feeds; stopping waits for them instead of for nobody."""
    assert not status("a", feeds=False).over


def test_a_feed_that_dies_after_its_end_has_ended() -> None:
    """While it is stopped, a new process that has read little of the source hides nothing of what the run
    did; only what it still has to send counts. One that fails says so."""
    ended = FeedStats("sim", "p", 2, "ended", committed=50)
    again = FeedStats("sim", "p", 3, "stopped", committed=7, over=True, queued=1)
    told = as_ended(ended, again)
    assert (told.state, told.committed, told.pid, told.over, told.queued) == ("ended", 50, 3, True, 1)
    assert as_ended(ended, FeedStats("sim", "p", 3, "failed", error="x")).state == "failed"
    running = FeedStats("sim", "p", 2, "running", committed=50)
    assert as_ended(running, again) is again
