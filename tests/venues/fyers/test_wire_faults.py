"""How the wire tells of tokens, refusals, closings and silence, and that it always ends."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from websockets.datastructures import Headers

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.fyers_frames import DATA
from tests.venues.fyers import encoding as hsm
from tests.venues.fyers.conftest import SUBSCRIPTIONS, Connect
from tests.venues.fyers.venue import AUTH, SUBSCRIBE, FyersVenue, access_token
from tests.venues.venue import VenueTick

KEYS = [subscription.key for subscription in SUBSCRIPTIONS[:3]]
TICKS = [VenueTick(key, 100.05, 1, 1_765_770_000_000, 10, None) for key in KEYS]


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "no JWT"),
        ("secret", "no JWT"),
        ("secret.secret.secret", "no JWT"),
        (access_token("secret", expires_s=1_000), "expired"),
    ],
)
def test_an_unusable_token_is_not_sent(venue: FyersVenue, connect: Connect, token: str, why: str) -> None:
    """A token that can't be good ends the wire before it connects, and isn't shown."""
    _, recorder = connect(token=token)
    trouble, text = recorder.wait_failed()
    assert trouble is Trouble.TOKEN
    assert why in text
    assert "secret" not in text
    assert venue.attempts == 0


def test_a_token_with_its_app_id_is_taken(venue: FyersVenue, opened: Connect) -> None:
    """Fyers hands tokens out as APPID:jwt; that works too, whatever the length of the app id."""
    for app in ("A", "AB", "ABC", "ABCD-100"):
        opened(token=f"{app}:{access_token()}")


def test_11001_is_a_matter_of_the_token(venue: FyersVenue, connect: Connect) -> None:
    """A refused auth leaves the socket open at Fyers; the wire says that the token is the trouble."""
    venue.refuse(11001)
    _, recorder = connect()
    assert recorder.wait_failed() == (Trouble.TOKEN, "11001: Fyers doesn't accept the access token")
    assert recorder.states == ["connected"]


def test_a_token_that_expires_meanwhile_is_told(venue: FyersVenue, opened: Connect) -> None:
    """The server's word on a live connection ends it as a token's trouble, and a new token is let in."""
    _, recorder = opened()
    venue.expire_token()
    assert recorder.wait_failed()[0] is Trouble.TOKEN
    venue.accept_token(access_token("new"))
    opened(token=access_token("new"))


@pytest.mark.parametrize(
    ("status", "trouble"), [(401, Trouble.TOKEN), (403, Trouble.TOKEN), (503, Trouble.REFUSED)]
)
def test_a_refused_handshake_is_told(
    venue: FyersVenue, connect: Connect, status: int, trouble: Trouble
) -> None:
    """HTTP 401 and 403 are the token's, the rest is the server's."""
    venue.refuse(status)
    _, recorder = connect()
    assert recorder.wait_failed() == (trouble, f"HTTP {status}")


@pytest.mark.parametrize(
    ("status", "answer", "trouble"),
    [
        (401, {"s": "error", "code": -15, "message": "secret"}, Trouble.TOKEN),
        (200, {"s": "error", "code": -17, "message": "secret"}, Trouble.TOKEN),
        (429, {"s": "error", "code": 429, "message": "secret"}, Trouble.REFUSED),
        (503, ["secret"], Trouble.REFUSED),
        (200, {"secret": 1}, Trouble.PROTOCOL),
    ],
)
def test_a_refused_conversion_is_told(
    venue: FyersVenue,
    opened: Connect,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    answer: Any,
    trouble: Trouble,
) -> None:
    """Where the SDK subscribes to nothing and says nothing, the wire says why, without the server's text."""

    def refuse(path: str, headers: Headers) -> tuple[int, object]:
        return status, answer

    monkeypatch.setattr(venue, "rest_refusal", refuse)
    _, recorder = opened(KEYS)
    told, why = recorder.wait_failed()
    assert told is trouble
    assert f"HTTP {status}" in why
    assert "secret" not in why


def test_a_refused_subscription_is_told(venue: FyersVenue, opened: Connect) -> None:
    """Too many instruments for the plan: a message in words whose code is passed on."""
    _, recorder = opened()
    venue.send_raw(hsm.custom(51001, "secret", SUBSCRIBE))
    assert recorder.wait_failed() == (
        Trouble.REFUSED,
        "51001: more instruments than the plan of this account allows",
    )


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_closing_is_told(venue: FyersVenue, opened: Connect, code: int) -> None:
    """Whatever the code: the SDK doesn't reconnect, and the wire says it is over."""
    _, recorder = opened(KEYS)
    venue.wait_subscribed(KEYS)
    venue.close(code)
    assert recorder.wait_failed() == (Trouble.CLOSED, f"the server closed the connection, code {code}")


def test_an_abort_is_told(venue: FyersVenue, opened: Connect) -> None:
    """A TCP reset is the network's."""
    _, recorder = opened(KEYS)
    venue.wait_subscribed(KEYS)
    venue.abort()
    assert recorder.wait_failed()[0] is Trouble.NETWORK


def test_an_absent_server_is_told(connect: Connect) -> None:
    """Nobody listens there: told at once, by the exception's name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    _, recorder = connect(url=f"ws://127.0.0.1:{port}/")
    assert recorder.wait_failed() == (Trouble.NETWORK, "ConnectionRefusedError")


def test_a_redirect_is_followed(venue: FyersVenue, opened: Connect) -> None:
    """A 302 leads to a working connection."""
    venue.redirect()
    opened()
    assert venue.attempts == 2


def test_a_silent_server_is_given_up(venue: FyersVenue, connect: Connect) -> None:
    """No answer to the handshake within `connect_s` is the network's, and nothing of it runs on."""
    venue.half_open(new=True)
    wire, recorder = connect(connect_s=0.3)
    assert recorder.wait_failed()[0] is Trouble.NETWORK
    assert wire.close(5)


def test_a_mute_server_answers_pings(venue: FyersVenue, opened: Connect) -> None:
    """Without data the pongs are signs of life, and the wire fails nothing by itself."""
    _, recorder = opened(KEYS, ping_s=0.05)
    venue.wait_subscribed(KEYS)
    venue.mute()
    before = recorder.life
    recorder.wait(lambda: recorder.life >= before + 5)
    assert not recorder.failures


def test_a_half_open_connection_is_closed_at_once(venue: FyersVenue, opened: Connect) -> None:
    """Nothing passes, so no close frame is waited for, which the SDK's library does for three seconds."""
    wire, _ = opened(KEYS, ping_s=0.05)
    venue.wait_subscribed(KEYS)
    venue.half_open()
    assert wire.close(2.5)


def test_a_stall_in_the_middle_of_a_frame_is_told(venue: FyersVenue, opened: Connect) -> None:
    """The SDK would wait for the last byte for ever; the wire gives up after `connect_s`."""
    wire, recorder = opened(KEYS)
    venue.wait_subscribed(KEYS)
    assert wire._transport._tcp.gettimeout() == 10.0
    wire._transport._tcp.settimeout(0.5)  # connecting needs more on a busy machine
    venue.stall_mid_frame()
    venue.publish(TICKS)
    assert recorder.wait_failed() == (Trouble.NETWORK, "WebSocketTimeoutException")


def test_odd_control_messages_do_no_harm(venue: FyersVenue, opened: Connect) -> None:
    """Truncated and unknown messages count as signs of life, and data goes on."""
    _, recorder = opened(KEYS)
    venue.wait_subscribed(KEYS)
    odd = [
        b"",
        b"\0",
        b"\0\0\x01",
        b"\0\0\x04\0",
        b"\0\0\x33\x09",
        b"\xff" * 40,
        hsm.answer(AUTH)[:6],
        "text",
    ]
    venue.send_raw(*odd)
    venue.publish(TICKS)
    recorder.wait(lambda: recorder.frames[-1][2] == DATA)
    assert not recorder.failures


def test_closing_while_symbols_are_asked_is_told(
    venue: FyersVenue, opened: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A REST call that hangs can't be ended: `close` says so in its time, and True once it is over."""
    asked, answer = threading.Event(), threading.Event()
    wire, _ = opened()
    plain = wire._rest.post

    def hang(url: str, **arguments: Any) -> Any:
        asked.set()
        answer.wait(20)
        return plain(url, **arguments)

    monkeypatch.setattr(wire._rest, "post", hang)
    wire.subscribe(KEYS)
    assert asked.wait(10)
    assert not wire.close(0.2)
    answer.set()
    assert wire.close(10)
