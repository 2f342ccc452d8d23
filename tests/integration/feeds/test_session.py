"""The shared session against a real server: whatever happens to connections, ticks come and gaps are told."""

import pickle
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ray_ingest.core.connection import State
from ray_ingest.core.stall import StallSettings
from ray_ingest.errors import ConfigError, ProcessSpentError
from ray_ingest.feeds.session import attempt, link
from ray_ingest.feeds.session.adapter import WireSettings
from ray_ingest.feeds.session.frame_log import read_frames
from ray_ingest.feeds.session.source import BrokerSource
from ray_ingest.feeds.source import Disconnected
from ray_ingest.model import GapReason
from tests.integration.feeds.running import (
    NEVER_OPEN,
    SESSION,
    TOKEN,
    running,
    settings_for,
    subscriptions,
)
from tests.integration.feeds.tiny_broker import TinyAdapter, TinyVenue


@pytest.fixture
def venue() -> Iterator[TinyVenue]:
    """A broker."""
    with TinyVenue() as found:
        yield found


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Where the token is."""
    return tmp_path / "token"


def test_ticks_come_and_the_end_closes_the_connection(venue: TinyVenue, token_file: Path) -> None:
    """What is published for what is subscribed comes out; a closed generator leaves no socket behind."""
    with running(venue, token_file, "a", "b") as run:
        run.live()
        run.publish("a")
        run.publish("a", "b")
        assert run.ticks == [("NSE_EQ|A", 101), ("NSE_EQ|A", 102), ("NSE_EQ|B", 102)]
        assert run.gaps == []
        (status,) = run.source.connections()
        assert (status.name, status.instruments, status.reconnects, status.why) == ("tiny-1", 2, 0, "")
        assert status.since_ms <= run.source.well_since_ms <= run.source.last_tick_ms == run.received_ms[-1]
        assert status.last_frame_ms == run.source.last_tick_ms
    venue.wait_connections(0)
    assert run.error is None
    assert [s.state for s in run.source.connections()] == [State.STOPPED]
    assert run.source.well_since_ms == 0


def restart(venue: TinyVenue) -> None:
    """The server goes down and comes up."""
    venue.stop()
    venue.start()


@pytest.mark.parametrize(
    "fault",
    [lambda venue: venue.close(1000), lambda venue: venue.close(1001), lambda venue: venue.abort(), restart],
    ids=["close-1000", "close-1001", "abort", "restart"],
)
def test_a_lost_connection_is_made_anew_and_its_gap_told(
    venue: TinyVenue, token_file: Path, fault: Callable[[TinyVenue], None]
) -> None:
    """Everything is subscribed again without being asked, and the gap runs from the last tick before the loss
    to the first after it."""
    with running(venue, token_file, "a", "b") as run:
        run.publish("a", "b")
        fault(venue)
        run.wait(lambda: any(State.BACKING_OFF in states for states in run.states), "the loss is seen")
        assert run.source.well_since_ms == 0
        run.live()
        assert run.gaps == []
        run.publish("a", "b")
        (gap,) = run.gaps
        assert (gap.from_ms, gap.to_ms) == (run.received_ms[0] - link.UNDERWAY_MS, run.received_ms[2])
        assert (gap.instruments, gap.reason) == (None, GapReason.DISCONNECT)
        assert run.source.well_since_ms == gap.to_ms
        assert run.source.connections()[0].reconnects == 1


def test_nothing_is_told_for_a_connection_that_never_was_live(venue: TinyVenue, token_file: Path) -> None:
    """A broker that refuses at first has cost no tick of ours that we know of."""
    venue.refuse(503)
    with running(venue, token_file, "a") as run:
        run.wait(lambda: venue.attempts >= 3, "it tries again")
        (status,) = run.statuses(State.BACKING_OFF)
        assert "HTTP 503" in status.why
        venue.heal()
        run.publish("a")
        assert run.gaps == []


def test_while_a_connection_is_down_its_gap_is_told_bit_by_bit(venue: TinyVenue, token_file: Path) -> None:
    """A process that dies during an outage has told of it; the pieces leave nothing out."""
    session = replace(SESSION, tell_gap_s=0.1)
    with running(venue, token_file, "a", session=session) as run:
        run.publish("a")
        venue.refuse(503)
        venue.abort()
        run.wait(lambda: len(run.gaps) >= 3, "gaps are told")
        venue.heal()
        run.publish("a")
        assert run.gaps[0].from_ms == run.received_ms[0] - link.UNDERWAY_MS
        assert run.gaps[-1].to_ms == run.received_ms[1]
        assert all(a.to_ms == b.from_ms for a, b in zip(run.gaps, run.gaps[1:], strict=False))


def test_a_refused_token_waits_for_a_new_one(
    venue: TinyVenue, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker is not hammered with a token it doesn't take; what to do is said; a new file is used at
    once, and no token is seen anywhere."""
    with running(venue, token_file, "a") as run:
        run.publish("a")
        venue.expire_token()
        (status,) = run.statuses(State.TOKEN_EXPIRED)
        assert "write a new one into the file" in status.why
        attempts = venue.attempts
        token_file.write_text("second-token-of-the-tests")
        run.wait(lambda: venue.attempts == attempts + 1, "the new token is tried")
        (status,) = run.statuses(State.TOKEN_EXPIRED)
        assert "HTTP 401" in status.why
        venue.accept_token("third-token-of-the-tests")
        token_file.write_text("third-token-of-the-tests")
        run.publish("a")
        assert venue.attempts == attempts + 2
        assert run.names(run.gaps[-1]) is None
    told = caplog.text + status.why + repr(run.source.connections())
    assert "refuses the token" in told
    assert "token-of-the-tests" not in told


def test_a_refused_token_is_seldom_tried_again(venue: TinyVenue, token_file: Path) -> None:
    """While looking for another one; with the wait of a lost connection it would be tried all the time (the
    control)."""
    token = settings_for(venue, token_file, "a").token
    venue.expire_token()
    with running(venue, token_file, "a") as run:
        run.statuses(State.TOKEN_EXPIRED)
        run.wait(lambda: run.rounds_ms[-1] - run.rounds_ms[0] > 1_000, "a second")
        assert venue.attempts == 1
    with running(venue, token_file, "a", token=replace(token, retry_s=0.05)) as run:
        (first,) = run.statuses(State.TOKEN_EXPIRED)
        run.wait(lambda: venue.attempts > 5, "it is tried again")
        (later,) = run.statuses(State.TOKEN_EXPIRED)
        assert later.since_ms == first.since_ms


def test_a_missing_token_is_waited_for(venue: TinyVenue, token_file: Path) -> None:
    """A file that isn't there yet, or while it is being replaced, ends nothing."""
    settings = settings_for(venue, token_file, "a").token
    with running(
        venue, token_file, "a", token=replace(settings, token_file=token_file.parent / "later")
    ) as run:
        (status,) = run.statuses(State.TOKEN_EXPIRED)
        assert "later can't be read: No such file" in status.why
        (token_file.parent / "later").write_text(TOKEN)
        run.publish("a")


def test_a_new_token_is_taken_up_while_nothing_trades(venue: TinyVenue, token_file: Path) -> None:
    """Before the market opens a connection changes to the new token of its own accord."""
    with running(venue, token_file, "a", calendar=NEVER_OPEN) as run:
        run.live()
        token_file.write_text("second-token-of-the-tests")
        run.wait(lambda: venue.attempts == 2, "it connects anew")
        run.live()


QUICK = StallSettings(mute_s=2.0, snapshot_s=0.0, slot_s=0.0005)


def test_a_mute_connection_is_made_anew(venue: TinyVenue, token_file: Path) -> None:
    """The socket is open and pings are answered, yet nothing comes of what came all the time."""
    with running(venue, token_file, "a", session=replace(SESSION, stall=QUICK)) as run:
        for _ in range(100):
            run.publish("a")
        venue.mute()
        run.wait(lambda: any(State.STALE in states for states in run.states), "the silence is seen")
        venue.wait_attempts(2)  # only then the old connection has gone
        venue.heal()
        run.publish("a")
        assert run.gaps[0].from_ms == run.received_ms[99] - link.UNDERWAY_MS
        assert run.gaps[-1].to_ms == run.received_ms[100]
        assert run.gaps[-1].to_ms - run.gaps[0].from_ms > 1_500


def test_a_quiet_market_is_not_mute(venue: TinyVenue, token_file: Path) -> None:
    """Control of the test above: outside the session the same silence is none."""
    session = replace(SESSION, stall=QUICK)
    with running(venue, token_file, "a", session=session, calendar=NEVER_OPEN) as run:
        for _ in range(100):
            run.publish("a")
        rounds = len(run.rounds_ms)
        run.wait(
            lambda: len(run.rounds_ms) > rounds and run.rounds_ms[-1] > run.rounds_ms[rounds] + 2_500,
            "more than the silence above",
        )
        assert venue.attempts == 1
        assert {state for states in run.states for state in states} <= {
            State.STOPPED, State.CONNECTING, State.AUTHENTICATING, State.LIVE,
        }  # fmt: skip


def test_a_half_open_connection_is_found_in_quiet_hours_too(venue: TinyVenue, token_file: Path) -> None:
    """No pong for a bit more than two pings: the other end is gone, whatever the socket says."""
    wire = WireSettings(venue.url, "only", ping_s=0.8, connect_s=5.0)
    with running(venue, token_file, "a", calendar=NEVER_OPEN, wire=wire) as run:
        run.publish("a")
        venue.half_open()
        run.wait(lambda: venue.attempts == 2, "it connects anew")
        run.live()
        run.publish("a")
        assert any(State.BACKING_OFF in states for states in run.states)


def test_without_looking_for_signs_of_life_a_half_open_connection_stays(
    venue: TinyVenue, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the test above: TCP itself notices nothing."""
    monkeypatch.setattr(link, "HALF_OPEN_PINGS", 1_000)
    wire = WireSettings(venue.url, "only", ping_s=0.8, connect_s=5.0)
    with running(venue, token_file, "a", calendar=NEVER_OPEN, wire=wire) as run:
        run.publish("a")
        venue.half_open()
        began_ms = run.rounds_ms[-1]
        run.wait(lambda: run.rounds_ms[-1] > began_ms + 3_000, "more than three pings")
        run.live()
        assert venue.attempts == 1


def test_a_server_that_never_answers_is_given_up(venue: TinyVenue, token_file: Path) -> None:
    """Connecting has a time limit of the session's, whatever the SDK's is."""
    venue.half_open(new=True)
    wire = WireSettings(venue.url, "only", ping_s=5.0, connect_s=0.2)
    with running(venue, token_file, "a", wire=wire) as run:
        (status,) = run.statuses(State.BACKING_OFF)
        assert status.why == "no connection within 0.2 s"
        venue.heal()


def test_of_two_connections_one_dies_alone(venue: TinyVenue, token_file: Path) -> None:
    """The other's ticks go on, and the gap is of the dead one's instruments only."""
    with running(venue, token_file, "a", "b", "c", "d", instruments_per_connection=2) as run:
        run.live(2)
        run.publish("a", "b", "c", "d")
        venue.refuse(503)
        venue.abort_of("a")
        run.wait(
            lambda: [s.state for s in run.source.connections()] == [State.BACKING_OFF, State.LIVE], "one dies"
        )
        for _ in range(3):
            run.publish("b", "d")
        venue.heal()
        run.live(2)
        run.publish("a", "b", "c", "d")
        (gap,) = run.gaps
        assert run.names(gap) == ["NSE_EQ|A", "NSE_EQ|C"]
        assert gap.from_ms == run.received_ms[run.ticks.index(("NSE_EQ|A", 101))] - link.UNDERWAY_MS


def test_instruments_come_and_go_at_run_time_and_stay_through_a_reconnect(
    venue: TinyVenue, token_file: Path
) -> None:
    """What is added goes to the connection that carries least; what stays is not asked for again; a reconnect
    subscribes what is wanted then."""
    with running(venue, token_file, "a", "b", instruments_per_connection=2) as run:
        run.publish("a", "b")
        run.source.set_subscriptions(subscriptions("b", "c", "d"))
        venue.wait_for(lambda: venue._subscribed() == {"b", "c", "d"}, 20, "subscriptions")
        run.live(2)
        assert [s.instruments for s in run.source.connections()] == [2, 1]
        run.publish("b", "c", "d")
        assert venue.attempts == 2
        assert run.gaps == []
        venue.abort()
        run.wait(lambda: venue.attempts == 4, "both connect anew")
        run.publish("b", "c", "d")
        assert venue.subscribed() == {"b", "c", "d"}
        with pytest.raises(ConfigError, match="5 instruments are too many"):
            run.source.set_subscriptions(subscriptions("a", "b", "c", "d", "e"))
        run.publish("b", "c", "d")


def test_a_connection_that_carries_nothing_is_not_made_anew(venue: TinyVenue, token_file: Path) -> None:
    """Whose instruments are all gone is stopped when it is lost, not backing off for ever, and misses
    nothing; it goes on when there is something to carry again."""
    with running(venue, token_file, "a", "b", instruments_per_connection=1) as run:
        run.publish("a", "b")
        run.source.set_subscriptions(subscriptions("a"))
        venue.wait_for(lambda: venue._subscribed() == {"a"}, 20, "subscriptions")
        venue.abort()
        assert run.statuses(State.LIVE, State.STOPPED)[1].why == "nothing is subscribed"
        run.publish("a")
        assert [run.names(gap) for gap in run.gaps] == [["NSE_EQ|A"]]
        run.source.set_subscriptions(subscriptions("a", "b"))
        run.publish("b")


def test_what_finds_no_room_is_counted_and_told(venue: TinyVenue, token_file: Path) -> None:
    """A session that is held up costs frames, never memory, and never in silence."""
    adapter = TinyAdapter()
    settings = settings_for(venue, token_file, "a", session=replace(SESSION, queue_frames=3))
    blocks = BrokerSource(settings, adapter).blocks(0)
    assert isinstance(blocks, Generator)
    next(block for block in blocks if adapter.wires and venue.connections and venue.subscribed())
    for n in range(20):
        venue.send_raw(b'[["a", 5, %d]]' % n)
    while adapter.wires[0].frames < 20:
        venue.wait_for(lambda: True, 1)
    source_blocks = [next(blocks) for _ in range(10)]
    lost = [block for block in source_blocks if not hasattr(block, "last_price")]
    ticks = [block for block in source_blocks if hasattr(block, "last_price") and len(block.last_price)]
    assert len(ticks) == 3
    assert [gap.reason for gap in lost] == [GapReason.OVERFLOW]
    blocks.close()


def test_frames_that_are_none_are_counted(venue: TinyVenue, token_file: Path) -> None:
    """By the decoder's reasons; a frame on which the decoder fails costs itself only; and a frame that says
    the connection is over ends it."""
    with running(venue, token_file, "a") as run:
        run.publish("a")
        venue.send_raw(b'[["x", 1, 1], ["y", 1, 1]]', b"!")
        run.publish("a")
        assert run.source.dropped() == {"unknown": 2, "decoder_error": 1}
        venue.send_raw(b"bye")
        run.wait(lambda: venue.attempts == 2, "it connects anew")
        run.publish("a")
        assert run.source.dropped() == {"unknown": 2, "decoder_error": 1}


def test_what_found_no_room_is_told_also_when_the_connection_ends(
    venue: TinyVenue, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are told once in a while; those of the last one don't go with the connection."""
    monkeypatch.setattr(attempt, "LOST_S", 1_000.0)
    adapter = TinyAdapter()
    settings = settings_for(venue, token_file, "a", session=replace(SESSION, queue_frames=1))
    source = BrokerSource(settings, adapter)
    blocks = source.blocks(0)
    assert isinstance(blocks, Generator)
    next(block for block in blocks if adapter.wires and venue.subscribed())
    gaps: list[Disconnected] = []
    for _ in range(2):
        seen = adapter.wires[0].frames + 5
        venue.send_raw(*[b'[["a", 5, 1]]'] * 5)
        while adapter.wires[0].frames < seen:
            venue.wait_for(lambda: True, 1)
        gaps += [block for _ in range(4) if isinstance(block := next(blocks), Disconnected)]
    assert len(gaps) == 1
    venue.abort()
    second = next(block for block in blocks if isinstance(block, Disconnected))
    assert second.reason is GapReason.OVERFLOW
    assert source.dropped() == {"frames_overflow": 8}
    blocks.close()


def test_raw_frames_are_recorded_when_asked_for(venue: TinyVenue, token_file: Path, tmp_path: Path) -> None:
    """As they came, each with its time and a number for its wire, those without ticks too."""
    with running(venue, token_file, "a", frames_folder=tmp_path / "frames") as run:
        run.publish("a")
        venue.abort()
        run.wait(lambda: venue.attempts == 2, "it connects anew")
        venue.wait_subscribed(["a"])
        venue.send_raw(b"[]")
        run.publish("a")
    (path,) = (tmp_path / "frames").iterdir()
    described, *frames = read_frames(path)
    assert described.payload == b'[["NSE_EQ|A", "a", 0.05]]'
    assert [frame.connection for frame in frames] == [1, 2, 2]
    assert [frame.received_ms for frame in frames if frame.payload != b"[]"] == run.received_ms


def test_a_wire_that_cannot_be_ended_ends_the_process(venue: TinyVenue, token_file: Path) -> None:
    """The source says so and closes the rest: only a new process helps."""
    adapter = TinyAdapter()
    adapter.stuck = True
    with running(venue, token_file, "a", "b", adapter=adapter, instruments_per_connection=1) as run:
        run.live(2)
        run.publish("a", "b")
        venue.abort_of("a")
        run.thread.join(20)
        assert isinstance(run.error, ProcessSpentError)
    venue.wait_connections(0)


def test_an_sdk_that_raises_says_no_secret(
    venue: TinyVenue, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the error that ends the feed, which other processes tell too, nor its traceback holds one."""
    adapter = TinyAdapter()
    adapter.broken = True
    with running(venue, token_file, "a", adapter=adapter) as run:
        run.thread.join(20)
    assert str(run.error) == "tiny: ValueError: cannot use ***"
    assert "Traceback" in caplog.text
    assert TOKEN not in caplog.text


def test_limits_and_names_are_checked_before_anything_starts(venue: TinyVenue, token_file: Path) -> None:
    """In one line that names the limits, or the name."""
    settings = settings_for(venue, token_file, "a", "b", "c", instruments_per_connection=1)
    with pytest.raises(ConfigError, match=r"brokers\.tiny\.connections=2 .*_per_connection=1, which carry 2"):
        BrokerSource(settings, TinyAdapter())
    nameless = replace(settings, subscriptions=(replace(settings.subscriptions[0], name="SBIN"),))
    with pytest.raises(ConfigError, match=r"'SBIN' is not EXCHANGE\|TOKEN"):
        BrokerSource(nameless, TinyAdapter())
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301
