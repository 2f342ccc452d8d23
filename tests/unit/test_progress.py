"""What is shown of a run while it goes, and what of it goes to the log: each thing once."""

import io
import logging
import threading

import pytest
from rich.console import Console

from ray_ingest.actors.messages import FeedStats, OhlcStats
from ray_ingest.actors.status import Base, Status
from ray_ingest.progress import STARTING, STOPPING, Progress


class Clock:
    """The time that the progress sees, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("ray_ingest.progress.time.monotonic", lambda: self.now_s)


def status(state: str = "running", committed: int = 0, closed: int = 0, **more: object) -> Status:
    """One feed, one owner; 1,000 ticks were committed before the run."""
    samples = more.pop("samples", {})
    feed = FeedStats("sim", "p", 1, state, committed=1_000 + committed, queued=7, samples=samples)  # type: ignore[arg-type]
    owner = OhlcStats("ohlc[0/1]", "1-a", 2, closed=closed, trouble=str(more.pop("trouble", "")))
    return Status([owner], [feed], more.pop("restarts", {}), {"p": Base(1_000, {})}, {}, 0)  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that goes when the test says so."""
    return Clock(monkeypatch)


def shown(clock: Clock, *steps: tuple[float, Status], stop: threading.Event | None = None) -> list[str]:
    """The lines in a pipe when each status is shown so many seconds after the one before."""
    out = io.StringIO()
    with Progress(Console(file=out, width=80), stop or threading.Event()) as progress:
        for pause_s, step in steps:
            clock.now_s += pause_s
            progress.show(step)
    return out.getvalue().splitlines()


def test_in_a_pipe_there_is_a_plain_line_every_five_seconds(clock: Clock) -> None:
    """Nothing before a feed runs; then this run's ticks and their rate; the end is told once, at once."""
    lines = shown(
        clock,
        (1, status("starting")),
        (1, status(committed=0)),
        (0.2, status(committed=10)),
        (4.8, status(committed=5_000, closed=20)),
        (0.1, status("ended", 6_000, 30)),
        (0.1, status("ended", 6_000, 30)),
    )
    assert lines == [
        STARTING,
        "sim running: 0 ticks (0/s), 7 queued, 0 candles closed",
        "sim running: 5,000 ticks (1,000/s), 7 queued, 20 candles closed",
        "sim ended: 6,000 ticks committed, 30 candles closed",
    ]


def test_figures_do_not_fall_when_an_actor_starts_anew(clock: Clock) -> None:
    """A restarted actor counts from nothing; what a person saw committed stays committed."""
    lines = shown(clock, (1, status(committed=900, closed=9)), (6, status(committed=-1_000, closed=0)))
    assert lines[-1] == "sim running: 900 ticks (0/s), 7 queued, 9 candles closed"


def test_a_signal_is_answered_at_once(clock: Clock) -> None:
    """Whoever pressed Ctrl-C sees that it was heard and what pressing it again would do, once."""
    stop = threading.Event()
    stop.set()
    assert shown(clock, (1, status()), (0.1, status()), stop=stop).count(STOPPING) == 1


def test_what_must_not_be_missed_is_logged_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A sample of each kind of reject, a restart, and the store's absence and return, however often it
    flickers in between; never the same line again."""
    caplog.set_level(logging.WARNING)
    away = "the store at unix:///s can't be reached"
    shown(
        clock,
        (0, status(samples={"price": "a", "token": "d"})),
        (0.1, status(samples={"price": "b", "future": "e"}, trouble=away)),
        (0.1, status()),
        (0.1, status(trouble=away)),
        (0.1, status(restarts={"ohlc[0/1]": 1})),
        (2.0, status(restarts={"ohlc[0/1]": 1})),
    )
    assert [record.getMessage() for record in caplog.records] == [
        "rejected a tick, price: a",
        "rejected a tick, token: d",
        "rejected a tick, future: e",
        f"{away}; ticks wait meanwhile",
        "ohlc[0/1] was restarted and goes on",
        "the store is back",
    ]
