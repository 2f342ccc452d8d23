"""The unmodified SDK on a local server that speaks Upstox's protocol: subscribing, receiving, ending."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.venues.upstox import encoding
from tests.venues.upstox.listening import NOW_MS, Memory, decoded, live, wire
from tests.venues.upstox.venue import UpstoxVenue
from tests.venues.venue import VenueTick

KEYS = ["NSE_INDEX|Nifty 50", *(f"NSE_FO|{35_000 + number}" for number in range(1_999))]
FEW = KEYS[:3]


@pytest.fixture
def venue() -> Iterator[UpstoxVenue]:
    """One that has just opened."""
    with UpstoxVenue() as running:
        yield running


def ticks_of(keys: Sequence[str], step: int = 0) -> list[VenueTick]:
    """A tick of each, other values in each step; an index has only a price."""
    return [
        VenueTick(key, 100.0 + number / 20 + step, None, NOW_MS + step, None, None)
        if "INDEX" in key
        else VenueTick(
            key, 100.0 + number / 20 + step, 75, NOW_MS + step, 1_000 + number + 75 * step, 150 * (number + 1)
        )
        for number, key in enumerate(keys)
    ]


def without_volume(tick: VenueTick) -> VenueTick:
    """As ltpc tells it."""
    return tick._replace(last_qty=None, day_volume=None, oi=None)


def wait_ticks(memory: Memory, count: int) -> None:
    """Until so many feeds have come."""
    parse = encoding.proto.FeedResponse.FromString
    memory.wait(lambda: sum(len(parse(frame).feeds) for frame in memory.frames) >= count)


@pytest.mark.parametrize("mode", encoding.MODES)
def test_two_thousand_instruments_are_subscribed_and_what_is_sent_is_decoded(
    venue: UpstoxVenue, mode: str
) -> None:
    """A full connection in every mode: nothing is lost, and each tick has the values that were sent."""
    with live(venue, KEYS, mode) as (_, memory):
        sent = ticks_of(KEYS) + ticks_of(KEYS, 1)
        assert venue.publish(sent) == len(sent)
        wait_ticks(memory, len(sent))
        wanted = [without_volume(tick) for tick in sent] if mode == "ltpc" else sent
        assert sorted(decoded(memory, KEYS)) == sorted(wanted)
        assert memory.said == ["connected", "opened"]
        assert not memory.failures


def test_subscriptions_go_out_in_messages_of_bounded_size_with_the_mode_asked_for(venue: UpstoxVenue) -> None:
    """A message of a few dozen kilobytes may be refused or split by what lies between."""
    with live(venue, KEYS[:1_200], "option_greeks") as (ours, _):
        ours.unsubscribe(KEYS[:600])
        venue.wait_for(lambda: len(venue.requests) == 5, 20.0)
    assert [request["method"] for request in venue.requests] == ["sub"] * 3 + ["unsub"] * 2
    assert [len(request["data"]["instrumentKeys"]) for request in venue.requests] == [500, 500, 200, 500, 100]
    assert {request["data"].get("mode") for request in venue.requests[:3]} == {"option_greeks"}


def test_instruments_come_and_go_on_a_live_connection(venue: UpstoxVenue) -> None:
    """Subscribing more and fewer needs no new connection, and what is left goes on."""
    with live(venue, FEW[:2]) as (ours, memory):
        ours.subscribe(FEW[2:])
        ours.unsubscribe(FEW[:1])
        venue.wait_for(
            lambda: venue.subscribed() == set(FEW[1:]) if False else len(venue.requests) == 3, 20.0
        )
        assert venue.subscribed() == set(FEW[1:])
        assert venue.publish(ticks_of(FEW)) == 2
        wait_ticks(memory, 2)
        assert {tick.key for tick in decoded(memory, FEW)} == set(FEW[1:])
        assert venue.connections == venue.attempts == 1


def test_a_snapshot_comes_on_subscribing_even_a_stale_one(venue: UpstoxVenue) -> None:
    """The cached first message reaches the decoder as what it is: a tick with its own, old time."""
    old = ticks_of(FEW)[1]._replace(event_time_ms=NOW_MS - 86_400_000)
    venue.publish(ticks_of(FEW))
    venue.stale[old.key] = old
    with live(venue, FEW[:2]) as (_, memory):
        wait_ticks(memory, 2)
        assert sorted(decoded(memory, FEW)) == sorted([ticks_of(FEW)[0], old])


def test_the_markets_status_is_a_frame_without_ticks(venue: UpstoxVenue) -> None:
    """The greeting goes to the listener like all else, so that recordings are whole."""
    with live(venue) as (_, memory):
        memory.wait(lambda: bool(memory.frames))
        assert encoding.proto.FeedResponse.FromString(memory.frames[0]).type == encoding.MARKET_INFO
        assert not decoded(memory, FEW)


def test_a_redirect_is_followed_with_the_token(venue: UpstoxVenue) -> None:
    """Upstox's endpoint answers with a 302 to where the data comes from."""
    venue.redirect()
    with live(venue, FEW) as (_, memory):
        assert venue.attempts == 2
        assert memory.said == ["connected", "connected", "opened"]
        venue.publish(ticks_of(FEW))
        wait_ticks(memory, 3)


def test_frames_in_many_small_segments_arrive_whole(venue: UpstoxVenue) -> None:
    """TCP may cut anywhere."""
    with live(venue, FEW) as (_, memory):
        venue.split(3)
        venue.publish(ticks_of(FEW))
        wait_ticks(memory, 3)
        assert sorted(decoded(memory, FEW)) == sorted(ticks_of(FEW))


def test_pongs_are_signs_of_life(venue: UpstoxVenue) -> None:
    """Quiet hours have no data: the connection's own heartbeat must count."""
    with live(venue, ping_s=1.0) as (_, memory):
        memory.wait(lambda: memory.signs >= 2)
        assert not memory.failures


def test_closing_ends_every_thread_and_says_nothing_more(venue: UpstoxVenue) -> None:
    """A closed wire leaves nothing that a new one could stumble over."""
    before = set(threading.enumerate())
    with live(venue, FEW, ping_s=2.0) as (ours, memory):
        started = set(threading.enumerate()) - before
        assert len(started) == 3
        assert all(thread.daemon for thread in started)
        assert ours.close(10.0)
    assert not [thread for thread in started if thread.is_alive()]
    assert not memory.failures
    venue.wait_connections(0)


def test_a_wire_that_was_never_started_can_be_closed() -> None:
    """The session closes what it has, however far it got."""
    assert wire("ws://127.0.0.1:9/", Memory()).close(1.0)
