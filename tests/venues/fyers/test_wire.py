"""The unmodified SDK against the local Fyers: subscriptions, frames, acknowledgements, and what remains."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ray_ingest.feeds.brokers import fyers
from ray_ingest.feeds.brokers.fyers import ADAPTER, FyersWire
from ray_ingest.feeds.brokers.fyers_frames import DATA
from ray_ingest.feeds.session.adapter import Keys, Subscription
from tests.venues.fyers.conftest import SUBSCRIPTIONS, Connect
from tests.venues.fyers.fuzz import rows
from tests.venues.fyers.listening import Recorder
from tests.venues.fyers.venue import FyersVenue, access_token
from tests.venues.tls import FYERS, Authority, Tunnel, routes
from tests.venues.venue import VenueTick

NOW_MS = 1_765_770_000_000
KEYS = [subscription.key for subscription in SUBSCRIPTIONS]


def ticks_of(keys: list[str], step: int) -> list[VenueTick]:
    """One of each; every third is the same trade as in the step before."""
    moved = [step - (i % 3 == 0) for i in range(len(keys))]
    return [
        VenueTick(key, 100 + i / 20 + s, 5 + s, NOW_MS + 1000 * (i + s), 1000 + 10 * s, 75 * s or None)
        for (i, key), s in zip(enumerate(keys), moved, strict=True)
    ]


def data_frames(recorder: Recorder) -> int:
    """How many came."""
    return sum(frame[2] == DATA for frame in recorder.frames)


def decoded(recorder: Recorder) -> list[tuple[str, float, int | None, int, int | None, int | None]]:
    """All its frames' ticks as the venue knows them."""
    keys = Keys("fyers")
    keys.learn([*SUBSCRIPTIONS, Subscription("NSE_INDEX|Nifty 50", "NSE:NIFTY50-INDEX")])
    symbol_of = {instrument: key for key, instrument in keys.ids.items()}
    decoder = ADAPTER.decoder(keys)
    ticks = [tick for frame in recorder.frames for tick in rows(decoder.decode(frame, NOW_MS))]
    assert not decoder.dropped
    return [(symbol_of[i], price, qty, time_ms, volume, oi) for i, time_ms, price, qty, volume, oi in ticks]


def test_what_is_sent_for_2000_instruments_is_decoded(venue: FyersVenue, opened: Connect) -> None:
    """Subscribed through the SDK's own conversion, every tick of every instrument arrives as it was sent."""
    _, recorder = opened(KEYS)
    venue.wait_subscribed(KEYS)
    sent = [tick for step in range(1, 4) for tick in ticks_of(KEYS, step)]
    for step in range(1, 4):
        assert venue.publish(ticks_of(KEYS, step)) == 2000
    recorder.wait(lambda: data_frames(recorder) == 120)
    assert decoded(recorder) == [tuple(tick) for tick in sent]
    assert recorder.states == ["connected", "opened"]
    assert not recorder.failures


def test_data_frames_are_acknowledged(venue: FyersVenue, opened: Connect) -> None:
    """Every so many frames as the server wants the SDK's acknowledgement is sent, with the right number."""
    _, recorder = opened(KEYS[:2])
    venue.wait_subscribed(KEYS[:2])
    for step in range(45):
        venue.publish(ticks_of(KEYS[:2], step + 1))
    recorder.wait(lambda: data_frames(recorder) == 45)
    venue.wait_for(lambda: len(venue.acks) == 2, 10, "two acknowledgements")
    assert venue.acks == [20, 40]


def test_an_index_has_a_topic_of_its_own(venue: FyersVenue, opened: Connect) -> None:
    """An index is found by its name in the mapping, and its ticks have neither volume nor quantity."""
    _, recorder = opened(["NSE:NIFTY50-INDEX"])
    venue.wait_subscribed(["NSE:NIFTY50-INDEX"])
    venue.publish([VenueTick("NSE:NIFTY50-INDEX", 26_000.25, None, NOW_MS, None, None)])
    recorder.wait(lambda: data_frames(recorder) == 1)
    assert decoded(recorder) == [("NSE:NIFTY50-INDEX", 26_000.25, None, NOW_MS, None, None)]


def test_instruments_change_while_it_runs(venue: FyersVenue, opened: Connect) -> None:
    """All of a former subscription are unsubscribed, where the SDK alone forgets every other one; added and
    returning ones get a snapshot."""
    wire, recorder = opened(KEYS[:6])
    venue.wait_subscribed(KEYS[:6])
    wire.subscribe(KEYS[6:8])
    venue.wait_subscribed(KEYS[:8])
    wire.unsubscribe([*KEYS[:5], "NSE:NEVER-EQ"])
    venue.wait_for(lambda: venue._subscribed() == set(KEYS[5:8]), 10, "five unsubscribed")
    assert venue.publish(ticks_of(KEYS[:8], 1)) == 3
    wire.subscribe(KEYS[:1])
    venue.wait_subscribed([KEYS[0]])
    recorder.wait(lambda: data_frames(recorder) == 2)
    assert [tick[0] for tick in decoded(recorder)] == [*KEYS[5:8], KEYS[0]]


def test_an_unknown_symbol_costs_only_itself(opened: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A symbol that Fyers doesn't know is named in the log, and the others are subscribed."""
    with FyersVenue(fytokens={"NSE:SBIN-EQ": "10100000003045"}) as venue, caplog.at_level(logging.WARNING):
        _, recorder = opened(["NSE:SBIN-EQ", "NSE:GONE-EQ"], url=venue.url)
        venue.wait_subscribed(["NSE:SBIN-EQ"])
        assert "NSE:GONE-EQ" in caplog.text
        assert not recorder.failures


def test_wires_leave_nothing_behind(
    venue: FyersVenue,
    opened: Connect,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One after the other in a process, although the SDK is a singleton: each works, and no thread, file, log
    or print remains."""
    monkeypatch.chdir(tmp_path)
    threads, files = set(threading.enumerate()), []
    for _ in range(3):
        wire, _ = opened(KEYS[:3])
        venue.wait_subscribed(KEYS[:3])
        assert wire.close(5)
        venue.wait_connections(0)
        files.append(len(os.listdir("/proc/self/fd")))
    assert set(threading.enumerate()) == threads
    assert len(set(files)) == 1
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_sdk_alone_forgets_to_unsubscribe(
    venue: FyersVenue, opened: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the bent list the test of changing instruments would see topics stay."""

    def plain(self: FyersWire, symbols: list[str]) -> None:
        self._socket.unsubscribe(symbols, channel=11)

    monkeypatch.setattr(FyersWire, "_unsubscribe", plain)
    wire, _ = opened(KEYS[:6])
    venue.wait_subscribed(KEYS[:6])
    wire.subscribe(KEYS[6:8])
    venue.wait_subscribed(KEYS[:8])
    wire.unsubscribe(KEYS[:6])
    venue.wait_for(lambda: len(venue._subscribed()) < 8, 10, "some unsubscribed")
    assert venue.subscribed() == {KEYS[i] for i in (0, 2, 4, 6, 7)}


def test_the_server_is_pinged_in_its_own_way(
    venue: FyersVenue, opened: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HSM's own ping goes on as the SDK sends it, beside the WebSocket's."""
    monkeypatch.setattr(fyers, "_PING_S", 0.05)
    opened()
    venue.wait_for(lambda: venue.pings >= 3, 10, "three pings")


CHILD = """
import sys
from ray_ingest.feeds.session.adapter import Credentials, WireSettings
from ray_ingest.feeds.brokers.fyers import ADAPTER
from tests.venues.fyers.listening import Recorder
recorder = Recorder()
wire = ADAPTER.wire(WireSettings(None, "full"), Credentials("APP-100", sys.argv[1]), recorder)
wire.start()
recorder.wait(lambda: "opened" in recorder.states)
wire.subscribe(["NSE:SBIN-EQ", "NSE:NIFTY50-INDEX"])
recorder.wait(lambda: len(recorder.frames) == 2)
print(wire.close(5), len(recorder.frames[1]))
"""


def test_the_real_urls_lead_here_through_a_proxy(tmp_path: Path) -> None:
    """Without an endpoint of one's own the SDK's are used, over TLS, for the socket and for REST."""
    authority = Authority(tmp_path)
    with (
        FyersVenue(authority.server(*FYERS)) as venue,
        Tunnel(routes(FYERS, venue.port), authority.ca_file) as tunnel,
    ):
        venue.publish([VenueTick("NSE:SBIN-EQ", 100.05, 1, NOW_MS, 10, None)])
        child = subprocess.run(
            [sys.executable, "-c", CHILD, access_token()],
            env=tunnel.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (child.returncode, child.stderr) == (0, "")
        assert child.stdout.startswith("True ")
        assert set(tunnel.asked) == {f"{host}:443" for host in FYERS}
