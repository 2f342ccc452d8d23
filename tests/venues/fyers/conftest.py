"""A venue for each test, and wires to it that are closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from ray_ingest.feeds.brokers.fyers import ADAPTER, FyersWire
from ray_ingest.feeds.session.adapter import Credentials, Subscription, WireSettings
from tests.venues.fyers.listening import Recorder
from tests.venues.fyers.venue import FyersVenue, access_token

Connect = Callable[..., tuple[FyersWire, Recorder]]
SUBSCRIPTIONS = tuple(Subscription(f"NSE_EQ|{1000 + i}", f"NSE:S{i}-EQ") for i in range(2000))


@pytest.fixture
def venue() -> Iterator[FyersVenue]:
    """Running."""
    with FyersVenue() as running:
        yield running


@pytest.fixture
def connect(venue: FyersVenue) -> Iterator[Connect]:
    """connect(token=…, connect_s=…, url=…) starts a wire; it and its listener."""
    wires: list[FyersWire] = []

    def start(
        token: str | None = None, connect_s: float = 10.0, url: str | None = None, ping_s: float = 5.0
    ) -> tuple[FyersWire, Recorder]:
        recorder = Recorder()
        settings = WireSettings(url or venue.url, "full", ping_s, connect_s)
        credentials = Credentials("APP-100", access_token() if token is None else token)
        wire = ADAPTER.wire(settings, credentials, recorder)
        wires.append(wire)
        wire.start()
        return wire, recorder

    yield start
    closed = [wire.close(5) for wire in wires]
    assert all(closed)


@pytest.fixture
def opened(connect: Connect) -> Callable[..., tuple[FyersWire, Recorder]]:
    """opened(keys) is a wire that the venue has let in."""

    def open_one(keys: Sequence[str] = (), **settings: object) -> tuple[FyersWire, Recorder]:
        wire, recorder = connect(**settings)
        recorder.wait(lambda: "opened" in recorder.states)
        if keys:
            wire.subscribe(keys)
        return wire, recorder

    return open_one
