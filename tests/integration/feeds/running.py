"""A broker source at work on a thread of its own, and what came out of it."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray_ingest.core.backoff import BackoffSettings
from ray_ingest.core.connection import ConnectionStatus, State
from ray_ingest.core.stall import StallSettings
from ray_ingest.feeds.session.adapter import Subscription, WireSettings
from ray_ingest.feeds.session.settings import BrokerSettings, SessionSettings
from ray_ingest.feeds.session.source import BrokerSource
from ray_ingest.feeds.session.tokens import TokenSettings
from ray_ingest.feeds.source import Disconnected
from ray_ingest.model import TickColumns
from tests.calendars import load
from tests.integration.feeds.tiny_broker import TinyAdapter, TinyVenue
from tests.venues.venue import VenueTick

PATIENCE_S = 20.0
TOKEN = "first-token-of-the-tests"  # noqa: S105
ALWAYS_OPEN = load("continuous")
NEVER_OPEN = ALWAYS_OPEN | {"first_date": "2099-01-01"}

SESSION = SessionSettings(
    backoff=BackoffSettings(first_s=0.05, longest_s=0.2, refused_first_s=0.05, refused_longest_s=0.2),
    stall=StallSettings(mute_s=60.0),
)


def subscriptions(*keys: str) -> tuple[Subscription, ...]:
    """Of the tiny broker."""
    return tuple(Subscription(f"NSE_EQ|{key.upper()}", key) for key in keys)


def settings_for(venue: TinyVenue, token_file: Path, *keys: str, **changes: Any) -> BrokerSettings:
    """Quick ones."""
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    settings = BrokerSettings(
        broker="tiny",
        wire=WireSettings(venue.url, "only", ping_s=5.0, connect_s=5.0),
        subscriptions=subscriptions(*keys),
        connections=2,
        instruments_per_connection=100,
        token=TokenSettings("tiny", "", token_file, TinyAdapter.environment, look_s=0.02),
        calendar=ALWAYS_OPEN,
        session=SESSION,
    )
    return replace(settings, **changes)


class Running:
    """`ticks` are (name, price) and `gaps` in the order they came; `error` is what ended the source."""

    def __init__(self, source: BrokerSource, venue: TinyVenue) -> None:
        self.source, self.venue = source, venue
        self.ticks: list[tuple[str, float]] = []
        self.received_ms: list[int] = []
        self.gaps: list[Disconnected] = []
        self.states: list[tuple[State, ...]] = []
        self.rounds_ms: list[int] = []
        self.error: Exception | None = None
        self.price = 100.0
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Looked at after each block; `AssertionError` when it takes too long or the source is over."""
        met = False

        def over() -> bool:
            nonlocal met
            met = condition()
            return met or not self.thread.is_alive()

        with self._changed:
            found = self._changed.wait_for(over, PATIENCE_S)
            assert found, f"{what}: {self.source.connections()} {self.states}"
            assert met, f"{what}: {self.error} {self.states}"

    def statuses(self, *states: State) -> list[ConnectionStatus]:
        """As soon as the connections are in these states."""
        seen: list[ConnectionStatus] = []

        def as_wanted() -> bool:
            seen[:] = self.source.connections()
            return [status.state for status in seen] == list(states)

        self.wait(as_wanted, str(states))
        return seen

    def live(self, connections: int = 1) -> None:
        """As soon as all are live, and the venue knows it."""
        self.statuses(*[State.LIVE] * connections)

    def publish(self, *keys: str) -> float:
        """One tick each; returns their price, once the source has given all of them."""
        self.venue.wait_subscribed(keys)
        self.price += 1.0
        price, wanted = self.price, {(f"NSE_EQ|{key.upper()}", self.price) for key in keys}
        now_ms = 1_700_000_000_000 + int(price)
        self.venue.publish([VenueTick(key, price, None, now_ms, None, None) for key in keys])
        self.wait(lambda: wanted <= set(self.ticks), f"ticks of {keys}")
        return price

    def names(self, gap: Disconnected) -> list[str] | None:
        """Of its instruments."""
        if gap.instruments is None:
            return None
        return sorted(self.source.table.entries[number].name for number in gap.instruments)

    def stop(self) -> None:
        """Close the generator on its own thread, and wait for that."""
        self._stopping.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def _run(self) -> None:
        blocks = self.source.blocks(0)
        assert isinstance(blocks, Generator)
        try:
            for block in blocks:
                with self._changed:
                    self._keep(block)
                    self._changed.notify_all()
                if self._stopping.is_set():
                    break
        except Exception as error:
            self.error = error
        finally:
            blocks.close()
            with self._changed:
                self._changed.notify_all()

    def _keep(self, block: TickColumns | Disconnected) -> None:
        self.rounds_ms.append(time.monotonic_ns() // 1_000_000)
        states = tuple(status.state for status in self.source.connections())
        if not self.states or self.states[-1] != states:
            self.states.append(states)
        if isinstance(block, Disconnected):
            self.gaps.append(block)
        else:
            for number, price, at in zip(
                block.instrument, block.last_price, block.receive_time_ms, strict=True
            ):
                self.ticks.append((self.source.table.entries[number].name, float(price)))
                self.received_ms.append(int(at))


@contextmanager
def running(
    venue: TinyVenue, token_file: Path, *keys: str, adapter: TinyAdapter | None = None, **changes: Any
) -> Iterator[Running]:
    """A source at work until the block ends."""
    settings = settings_for(venue, token_file, *keys, **changes)
    run = Running(BrokerSource(settings, adapter or TinyAdapter()), venue)
    try:
        yield run
    finally:
        run.stop()
