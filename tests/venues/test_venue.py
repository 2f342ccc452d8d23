"""Each fault of the venues does what it says, seen by a plain client; no broker and no SDK is in this."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
import websocket
from websocket import ABNF, WebSocket

from tests.venues.plain import SILENCE_S, TICKS, PlainVenue, assert_silent
from tests.venues.venue import VenueTick

Connect = Callable[[], WebSocket]


@pytest.fixture
def venue() -> Iterator[PlainVenue]:
    """A venue, after which no thread of it may be left."""
    before = set(threading.enumerate())
    with PlainVenue() as running:
        yield running
    assert set(threading.enumerate()) == before


@pytest.fixture
def connect(venue: PlainVenue) -> Iterator[Connect]:
    """Opens clients that have subscribed to A and B."""
    clients: list[WebSocket] = []

    def one() -> WebSocket:
        client = websocket.create_connection(venue.url, timeout=10)
        clients.append(client)
        client.send(json.dumps(["A", "B"]))
        assert client.recv() == "ok"
        return client

    yield one
    for client in clients:
        client.shutdown()  # type: ignore[no-untyped-call]


def ticks_of(client: WebSocket, count: int) -> list[VenueTick]:
    """The next so many."""
    return [VenueTick(*json.loads(client.recv())) for _ in range(count)]


def pong_comes(client: WebSocket, within_s: float = 10.0) -> bool:
    """Whether a ping is answered."""
    client.ping("alive")
    client.settimeout(within_s)
    try:
        return bool(client.recv_data(control_frame=True)[0] == ABNF.OPCODE_PONG)
    except websocket.WebSocketTimeoutException:
        return False
    finally:
        client.settimeout(10)


def test_every_client_gets_what_it_subscribed_to_in_order(venue: PlainVenue, connect: Connect) -> None:
    """Ticks reach each client by its own keys, and the number handed over is right."""
    both = connect()
    with closing(websocket.create_connection(venue.url, timeout=10)) as only_a:
        only_a.send('["A"]')
        venue.wait_connections(2)
        assert only_a.recv() == "ok"
        assert venue.publish(TICKS) == 3
        assert ticks_of(both, 2) == TICKS
        assert ticks_of(only_a, 1) == TICKS[:1]
        assert_silent(only_a)
    assert venue.subscribed() == {"A", "B"}
    assert venue.last == {"A": TICKS[0], "B": TICKS[1]}


def test_waiting_ends_with_the_thing_or_with_its_deadline(venue: PlainVenue, connect: Connect) -> None:
    """A test waits for what clients do, not for time."""
    connect()
    venue.wait_subscribed({"A", "B"})
    venue.wait_attempts(1)
    with pytest.raises(TimeoutError, match="1 keys subscribed"):
        venue.wait_subscribed({"C"}, timeout_s=0.05)


def test_http_is_served_on_the_same_port(venue: PlainVenue) -> None:
    """An SDK's REST calls reach the venue, with query and body."""
    url = f"http://127.0.0.1:{venue.port}/data/tokens?a=1&b=x%20y"
    with urllib.request.urlopen(url, data=b"body", timeout=10) as answer:
        assert json.load(answer) == ["/data/tokens", {"a": "1", "b": "x y"}, "body"]


@pytest.mark.parametrize("status", [401, 403, 503])
def test_refused_until_healed(venue: PlainVenue, connect: Connect, status: int) -> None:
    """The handshake is answered with the status asked for."""
    venue.refuse(status)
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        connect()
    assert refusal.value.status_code == status
    assert (venue.attempts, venue.connections) == (1, 0)
    venue.heal()
    connect()


def test_a_wrong_path_is_not_found(venue: PlainVenue) -> None:
    """A client that asks for another broker's path isn't let in."""
    with pytest.raises(websocket.WebSocketBadStatusException, match="404"):
        websocket.create_connection(f"ws://127.0.0.1:{venue.port}/other", timeout=10)


def test_redirected_once(venue: PlainVenue, connect: Connect) -> None:
    """The first handshake is sent on by a 302, the second let in."""
    venue.redirect()
    venue.publish(TICKS)
    client = connect()
    assert venue.publish(TICKS) == 2
    assert ticks_of(client, 2) == TICKS
    assert venue.attempts == 2


def test_expired_tokens_are_told_and_no_longer_good(venue: PlainVenue, connect: Connect) -> None:
    """A live connection hears of it and gets no more; only a token named afterwards is good."""
    client = connect()
    assert venue.accepts("old")
    venue.expire_token()
    assert client.recv() == "expired"
    assert venue.publish(TICKS) == 0
    assert not venue.accepts("old")
    venue.accept_token("new")
    assert venue.accepts("new")
    assert not venue.accepts("old")
    venue.heal()
    assert venue.accepts("old")


@pytest.mark.parametrize("code", [1000, 1001])
def test_closed_with_a_code(venue: PlainVenue, connect: Connect, code: int) -> None:
    """The close frame carries the code, and the connection is over."""
    client = connect()
    venue.close(code)
    opcode, frame = client.recv_data_frame(control_frame=True)
    assert (opcode, int.from_bytes(frame.data[:2], "big")) == (ABNF.OPCODE_CLOSE, code)
    venue.wait_connections(0)


def test_aborted_by_reset(venue: PlainVenue, connect: Connect) -> None:
    """The client's socket is reset, not closed."""
    client = connect()
    venue.abort()
    with pytest.raises(ConnectionResetError):
        client.recv()
    venue.wait_connections(0)


def test_mute_answers_pings_and_sends_nothing(venue: PlainVenue, connect: Connect) -> None:
    """A mute venue is alive in every way but its data."""
    client = connect()
    venue.mute()
    assert venue.publish(TICKS) == 0
    assert pong_comes(client)
    assert_silent(client)
    venue.heal()
    venue.publish(TICKS)
    assert ticks_of(client, 2) == TICKS


def test_half_open_passes_nothing_either_way(venue: PlainVenue, connect: Connect) -> None:
    """Neither data, nor pong, nor subscription, nor even a close passes; a new connection is well."""
    client = connect()
    venue.half_open()
    assert venue.publish(TICKS) == 2
    client.send('["C"]')
    assert not pong_comes(client, SILENCE_S)
    venue.close(1000)
    assert_silent(client)
    assert "C" not in venue.subscribed()
    other = connect()
    venue.publish(TICKS)
    assert ticks_of(other, 2) == TICKS


def test_half_open_for_new_connections_too(venue: PlainVenue, connect: Connect) -> None:
    """TCP connects, and that is all, until healed."""
    venue.half_open(new=True)
    with pytest.raises(websocket.WebSocketTimeoutException):
        websocket.create_connection(venue.url, timeout=SILENCE_S)
    venue.heal()
    connect()


def test_stalled_in_the_middle_of_a_frame(venue: PlainVenue, connect: Connect) -> None:
    """Only the beginning of a frame comes, and nothing after it."""
    client = connect()
    venue.stall_mid_frame()
    venue.publish(TICKS[:1])
    assert select.select([client.sock], [], [], 10)[0]
    assert_silent(client)
    assert client.frame_buffer.recv_buffer, "a part of the frame has come"
    venue.publish(TICKS)
    assert_silent(client)


@pytest.mark.parametrize("n_bytes", [1, 7])
def test_split_segments_make_the_same_frames(venue: PlainVenue, connect: Connect, n_bytes: int) -> None:
    """However TCP cuts the stream, the frames are whole."""
    client = connect()
    venue.split(n_bytes)
    venue.publish(TICKS * 50)
    assert ticks_of(client, 100) == TICKS * 50


def test_any_payload_can_be_sent(venue: PlainVenue, connect: Connect) -> None:
    """Broken, random and stale frames are the test's to choose."""
    client = connect()
    venue.send_raw(b"\x00\xff", "text")
    assert client.recv() == b"\x00\xff"
    assert client.recv() == "text"


def test_a_venue_comes_back_on_its_port(connect: Connect, venue: PlainVenue) -> None:
    """A venue that was down is found at the same URL, and while it is down nobody is let in."""
    client, url = connect(), venue.url
    venue.stop()
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        client.recv()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", venue.port), timeout=10)
    venue.start()
    assert venue.url == url
    venue.publish(TICKS)
    venue.wait_connections(0)
    connect()


def test_stopping_forgets_no_connection_of_a_moment_ago() -> None:
    """However far a connection has come when the venue stops, it is ended and no task of it is left."""
    for _ in range(50):
        venue = PlainVenue().start()
        loop = venue._loop
        clients = [socket.create_connection(("127.0.0.1", venue.port), 10) for _ in range(3)]
        venue.stop()
        assert not asyncio.all_tasks(loop)
        for client in clients:
            with closing(client), suppress(ConnectionResetError):
                assert client.recv(1) == b""


def test_a_mistake_in_a_venue_fails_its_test() -> None:
    """What a subclass raises on the venue's thread reaches the test when it stops."""
    venue = PlainVenue().start()
    with closing(websocket.create_connection(venue.url, timeout=10)) as client:
        client.send("no JSON")
        venue.wait_connections(0)
    with pytest.raises(json.JSONDecodeError):
        venue.stop()
