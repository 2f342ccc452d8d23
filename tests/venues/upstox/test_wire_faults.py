"""What Upstox's wire says when the broker refuses, ends, falls silent or sends nonsense."""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator

import pytest

from ray_ingest.core.connection import Trouble
from tests.venues.upstox import encoding
from tests.venues.upstox.listening import TOKEN, Memory, decoded, live, wire
from tests.venues.upstox.test_wire import FEW, ticks_of
from tests.venues.upstox.venue import UpstoxVenue

PING_S = 0.5


@pytest.fixture
def venue() -> Iterator[UpstoxVenue]:
    """One that has just opened."""
    with UpstoxVenue() as running:
        yield running


def failure(url: str, connect_s: float = 10.0) -> tuple[Trouble, str]:
    """What an attempt to connect ends with."""
    memory = Memory()
    ours = wire(url, memory, connect_s=connect_s)
    ours.start()
    try:
        verdict = memory.wait_failed()
        assert "opened" not in memory.said
        return verdict
    finally:
        assert ours.close(10.0)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (401, Trouble.TOKEN),
        (403, Trouble.TOKEN),
        (429, Trouble.REFUSED),
        (503, Trouble.REFUSED),
        (404, Trouble.PROTOCOL),
    ],
)
def test_a_refusal_is_told_apart_by_its_status(venue: UpstoxVenue, status: int, trouble: Trouble) -> None:
    """Only a bad token is worth reading the token again for."""
    venue.refuse(status)
    assert failure(venue.url) == (trouble, f"HTTP {status} at the handshake")
    assert venue.attempts == 1


def test_a_token_that_has_expired_is_refused_as_one(venue: UpstoxVenue) -> None:
    """After the rollover the handshake says 403."""
    venue.expire_token()
    assert failure(venue.url) == (Trouble.TOKEN, "HTTP 403 at the handshake")


@pytest.mark.parametrize("code", [1000, 1001, 4001])
def test_a_close_by_the_server_is_said_with_its_code(venue: UpstoxVenue, code: int) -> None:
    """Every close is one, 1000 too: the SDK alone would stay away for ever after it."""
    with live(venue, FEW) as (_, memory):
        venue.close(code)
        assert memory.wait_failed() == (Trouble.CLOSED, f"closed by the server, code {code}")


def test_a_reset_connection_is_the_networks(venue: UpstoxVenue) -> None:
    """TCP RST ends the wire at once, and it is said once."""
    with live(venue, FEW) as (_, memory):
        venue.abort()
        assert memory.wait_failed()[0] is Trouble.NETWORK
    assert len(memory.failures) == 1


def test_nobody_listening_is_the_networks() -> None:
    """A refused connection is found at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failure(f"ws://127.0.0.1:{port}/") == (Trouble.NETWORK, "Connection refused")


def test_a_server_that_never_answers_is_given_up_after_the_time_limit() -> None:
    """TCP accepts, nothing follows: connecting has an end, and closing doesn't wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ws://127.0.0.1:{server.getsockname()[1]}/"
        assert failure(url, connect_s=0.5) == (Trouble.NETWORK, "no answer in time")
        memory = Memory()
        ours = wire(url, memory, connect_s=600)
        ours.start()
        memory.wait(lambda: memory.said == ["connected"])
        assert ours.close(12.0)
        assert not memory.failures


def test_closing_at_once_after_starting_leaves_nothing_behind(venue: UpstoxVenue) -> None:
    """However far the attempt has got when it is given up, it doesn't go on by itself."""
    for _ in range(20):
        memory = Memory()
        ours = wire(venue.url, memory)
        ours.start()
        assert ours.close(5.0)
        assert not memory.failures
    venue.wait_connections(0)


def test_what_is_no_websocket_is_no_upstox() -> None:
    """Something else at the address is said to be just that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        memory = Memory()
        ours = wire(f"ws://127.0.0.1:{server.getsockname()[1]}/", memory)
        ours.start()
        client, _ = server.accept()
        with client:
            client.recv(65_536)
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            assert memory.wait_failed()[0] is Trouble.PROTOCOL
        assert ours.close(10.0)


def test_half_open_tcp_is_found_by_the_pongs_that_stop(venue: UpstoxVenue) -> None:
    """No byte and no end come any more; the wire notices by itself, and can be closed."""
    with live(venue, FEW, ping_s=PING_S) as (_, memory):
        memory.wait(lambda: memory.signs > 0)
        venue.half_open()
        assert memory.wait_failed() == (Trouble.NETWORK, "no answer in time")


def test_a_mute_server_that_answers_pings_stays_connected(venue: UpstoxVenue) -> None:
    """Silence of the data alone is for the session to judge, which knows the hours."""
    with live(venue, FEW, ping_s=1.0) as (_, memory):
        venue.mute()
        signs = memory.signs
        memory.wait(lambda: memory.signs > signs + 1)
        assert not memory.failures


def test_a_frame_that_stops_halfway_is_found(venue: UpstoxVenue) -> None:
    """The thread that waits for its rest gives up, and nothing of the frame is handed on."""
    with live(venue, FEW, ping_s=PING_S) as (_, memory):
        memory.wait(lambda: bool(memory.frames))
        venue.stall_mid_frame()
        venue.publish(ticks_of(FEW))
        assert memory.wait_failed()[0] is Trouble.NETWORK
        assert not decoded(memory, FEW)


def test_truncated_and_random_frames_do_not_end_the_connection(venue: UpstoxVenue) -> None:
    """Nonsense is the decoder's to count; what comes after it is received."""
    rng = random.Random(7)
    whole = encoding.frame(ticks_of(FEW), "full")
    with live(venue, FEW) as (_, memory):
        venue.send_raw(*(whole[:end] for end in range(1, len(whole), 50)), "text")
        venue.send_raw(*(rng.randbytes(rng.randrange(300)) for _ in range(100)))
        venue.publish(ticks_of(FEW))
        memory.wait(lambda: whole in memory.frames)
        assert sorted(decoded(memory, FEW))[-3:] == sorted(ticks_of(FEW))
        assert not memory.failures


def test_nothing_that_is_said_or_logged_holds_the_token(
    venue: UpstoxVenue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every way to fail, with every logger at its most talkative: the token shows up nowhere."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "websocket")
    said = []
    for status in (401, 403, 503):
        venue.refuse(status)
        said.append(failure(f"{venue.url}?token={TOKEN}"))
    venue.heal()
    for end in (lambda: venue.close(1001), venue.abort):
        with live(venue, FEW) as (_, memory):
            end()
            said.append(memory.wait_failed())
    captured = capfd.readouterr()
    assert TOKEN not in f"{said}{caplog.text}{captured.out}{captured.err}"
    assert "websocket" not in {record.name for record in caplog.records}
