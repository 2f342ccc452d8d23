"""How a connection to Dhan ends, and that it ends: the SDK neither retries nor leaves anything behind."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers import dhan_sdk
from ray_ingest.feeds.brokers.dhan import ADAPTER
from ray_ingest.feeds.session.adapter import Credentials, Keys, WireSettings
from ray_ingest.feeds.session.settings import SessionSettings
from tests.venues.dhan import packets
from tests.venues.dhan.listening import NOW_MS, TOKEN, Memory, live, wire
from tests.venues.dhan.venue import DhanVenue
from tests.venues.venue import VenueTick

NEW = "new.token"


def test_close_says_goodbye(venue: DhanVenue) -> None:
    """The server hears RequestCode 12, the listener nothing, and no thread is left."""
    with live(venue) as (made, memory):
        assert made.close(5.0)
        venue.wait_connections(0)
        assert venue.farewells == 1
        assert not memory.failures
        made.subscribe(["NSE_EQ:1"])
        assert made.close(5.0)


def test_close_without_start() -> None:
    """A wire that was never begun is closed at once."""
    settings = WireSettings("ws://127.0.0.1:9", "full")
    assert ADAPTER.wire(settings, Credentials("1", TOKEN), Memory()).close(1.0)


def test_close_while_connecting(venue: DhanVenue) -> None:
    """An attempt that gets no answer is given up at once when asked to."""
    venue.half_open(new=True)
    with wire(venue.url) as (made, memory):
        memory.wait_said("connected")
        assert made.close(2.0)
        assert memory.said == ["connected"]


@pytest.mark.parametrize(
    ("status", "trouble"), [(401, Trouble.TOKEN), (403, Trouble.TOKEN), (503, Trouble.REFUSED)]
)
def test_refused_at_the_handshake(venue: DhanVenue, status: int, trouble: Trouble) -> None:
    """The status decides whether it is the token; one attempt is made and no more."""
    venue.refuse(status)
    with wire(venue.url) as (_, memory):
        assert memory.wait_failure() == (trouble, f"Dhan refused the connection: HTTP {status}")
        assert "opened" not in memory.said
    assert venue.attempts == 1


@pytest.mark.parametrize("reason", [805, 806, 807, 808, 809])
def test_disconnected_with_a_reason(venue: DhanVenue, reason: int) -> None:
    """Dhan lets in, says why in a packet and closes: the decoder's verdict names it."""
    venue.refuse(reason)
    with wire(venue.url) as (_, memory):
        assert memory.wait_failure() == (Trouble.CLOSED, "Dhan closed the connection: code 1000")
        decoder = ADAPTER.decoder(Keys("dhan"))
        for frame in memory.frames:
            decoder.decode(frame, NOW_MS)
        assert decoder.verdict is not None
        assert decoder.verdict[0] is (Trouble.TOKEN if reason in (807, 808, 809) else Trouble.REFUSED)
        assert f"Dhan {reason}: " in decoder.verdict[1]
    assert venue.attempts == 1


def test_a_token_that_expires(venue: DhanVenue) -> None:
    """807 comes on the live connection and on the next one, until the token is a new one."""
    with live(venue) as (_, memory):
        venue.expire_token()
        memory.wait_failure()
        assert memory.frames[-1] == packets.disconnect(807)
    venue.accept_token(NEW)
    with wire(venue.url) as (_, memory):
        memory.wait_failure()
        assert memory.frames == [packets.disconnect(807)]
    with wire(venue.url, token=NEW) as (made, memory):
        memory.wait_said("opened")
        made.subscribe(["NSE_EQ:1"])
        venue.wait_subscribed(["NSE_EQ:1"])


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_closed_by_the_server(venue: DhanVenue, code: int) -> None:
    """Any close code ends it, said once; the SDK's own reconnect stays off."""
    with live(venue) as (_, memory):
        venue.close(code)
        assert memory.wait_failure() == (Trouble.CLOSED, f"Dhan closed the connection: code {code}")
    assert memory.said.count("failed") == 1
    assert venue.attempts == 1


def test_reset(venue: DhanVenue) -> None:
    """A TCP reset is the network's trouble."""
    with live(venue) as (_, memory):
        venue.abort()
        assert memory.wait_failure() == (Trouble.NETWORK, "connection to Dhan lost")


def test_half_open(venue: DhanVenue) -> None:
    """A connection over which nothing passes is noticed by its missing pong, and closes."""
    with live(venue, ping_s=0.3) as (made, memory):
        venue.half_open()
        assert memory.wait_failure() == (Trouble.NETWORK, "no answer from Dhan in time")
        assert made.close(60.0)


def test_half_open_is_closed_in_time(venue: DhanVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that never answers the close doesn't hold it up: the library would wait for it."""
    monkeypatch.setattr(dhan_sdk, "connect", partial(dhan_sdk.connect, close_timeout=1_000))
    assert SessionSettings().close_s > dhan_sdk._GOODBYE_S
    with live(venue) as (made, _):
        venue.half_open()
        assert made.close(60.0)


def test_mute_but_alive(venue: DhanVenue) -> None:
    """Pongs without data are signs of life, not frames."""
    with live(venue, ping_s=0.7) as (_, memory):
        venue.mute()
        memory.wait(lambda: memory.said.count("heard") >= 2)
        assert not memory.failures


def test_server_absent() -> None:
    """At the first connect already: one line, no dead thread, no retry."""
    with DhanVenue() as gone:
        url = gone.url
    with wire(url) as (_, memory):
        assert memory.wait_failure() == (Trouble.NETWORK, "Dhan can't be reached: ConnectionRefusedError")


def test_no_answer_at_the_handshake(venue: DhanVenue) -> None:
    """Connecting ends after its time limit."""
    venue.half_open(new=True)
    with wire(venue.url, connect_s=0.3) as (_, memory):
        assert memory.wait_failure() == (Trouble.NETWORK, "no answer from Dhan in time")


def test_stalled_in_mid_frame(venue: DhanVenue) -> None:
    """Half a frame is none: the missing pong ends the connection, and nothing of it was handed on."""
    with live(venue, ping_s=0.7) as (made, memory):
        made.subscribe(["NSE_EQ:1"])
        venue.wait_subscribed(["NSE_EQ:1"])
        memory.wait(lambda: len(memory.frames) == 2)
        venue.stall_mid_frame()
        venue.publish([VenueTick("NSE_EQ:1", 100.0, 1, NOW_MS, 10, None)])
        assert memory.wait_failure()[0] is Trouble.NETWORK
        assert len(memory.frames) == 2


def test_more_than_100_in_a_message_is_refused(venue: DhanVenue) -> None:
    """Negative control of the server: it would notice if the batches grew."""
    with live(venue) as (made, memory):
        listed = [{"ExchangeSegment": "NSE_EQ", "SecurityId": str(number)} for number in range(101)]
        request = {"RequestCode": 21, "InstrumentCount": 101, "InstrumentList": listed}
        asyncio.run_coroutine_threadsafe(made._feed.ws.send(json.dumps(request)), made._feed.loop).result(5)
        assert memory.wait_failure() == (Trouble.CLOSED, "Dhan closed the connection: code 1008")
