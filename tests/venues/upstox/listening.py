"""A session's stand-in for tests of Upstox's wire: it keeps what it hears, and lets a test wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.upstox import ADAPTER
from ray_ingest.feeds.session.adapter import Credentials, Keys, Subscription, Wire, WireSettings
from ray_ingest.model import NULL, joined
from tests.venues.venue import Venue, VenueTick

TOKEN = "SECRETeyJ0eXAiOiJKV1QifQ.upstox"  # noqa: S105 — a made-up one
NOW_MS = 1_765_771_200_500
DEADLINE_S = 20.0


class Memory:
    """A `Listener`: `said` in its order, the frames, the failures, and the number of signs of life."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.frames: list[bytes] = []
        self.failures: list[tuple[Trouble, str]] = []
        self.signs = 0
        self._changed = threading.Condition()

    def connected(self) -> None:
        """See `Listener`."""
        self._note(lambda: self.said.append("connected"))

    def opened(self) -> None:
        """See `Listener`."""
        self._note(lambda: self.said.append("opened"))

    def heard(self) -> None:
        """See `Listener`."""
        self._note(lambda: setattr(self, "signs", self.signs + 1))

    def frame(self, payload: bytes) -> None:
        """See `Listener`."""
        self._note(lambda: self.frames.append(payload))

    def failed(self, trouble: Trouble, why: str) -> None:
        """See `Listener`."""
        self._note(lambda: self.failures.append((trouble, why)))

    def wait(self, condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        """Until `condition` holds, which is looked at whenever something is heard."""
        with self._changed:
            met = self._changed.wait_for(condition, timeout_s)
        assert met, f"not within {timeout_s} s: {self.said}, {len(self.frames)} frames, {self.failures}"

    def wait_opened(self) -> None:
        """Until subscriptions are taken."""
        self.wait(lambda: "opened" in self.said)

    def wait_failed(self, timeout_s: float = DEADLINE_S) -> tuple[Trouble, str]:
        """The connection's end."""
        self.wait(lambda: bool(self.failures), timeout_s)
        return self.failures[0]

    def _note(self, act: Callable[[], None]) -> None:
        with self._changed:
            act()
            self._changed.notify_all()


def wire(
    url: str | None, listener: Memory, mode: str = "full", ping_s: float = 5.0, connect_s: float = 10.0
) -> Wire:
    """A connection to a venue, not begun."""
    return ADAPTER.wire(WireSettings(url, mode, ping_s, connect_s), Credentials("", TOKEN), listener)


@contextmanager
def live(
    venue: Venue, keys: Sequence[str] = (), mode: str = "full", ping_s: float = 5.0
) -> Iterator[tuple[Wire, Memory]]:
    """An open connection, closed at the end; it must have ended by then, with all its threads."""
    memory = Memory()
    ours = wire(venue.url, memory, mode, ping_s)
    ours.start()
    try:
        memory.wait_opened()
        ours.subscribe(keys)
        venue.wait_subscribed(keys)
        yield ours, memory
    finally:
        assert ours.close(10.0)


def decoded(memory: Memory, keys: Sequence[str]) -> list[VenueTick]:
    """All ticks of the frames so far, by instrument in their order."""
    known = Keys("upstox")
    known.learn(Subscription(f"TEST|{number}", key) for number, key in enumerate(keys))
    names = {instrument: key for key, instrument in known.ids.items()}
    decoder = ADAPTER.decoder(known)
    columns = joined([decoder.decode(frame, NOW_MS) for frame in memory.frames])
    rows = zip(
        columns.instrument.tolist(), columns.last_price.tolist(), columns.last_qty.tolist(),
        columns.event_time_ms.tolist(), columns.day_volume.tolist(), columns.oi.tolist(), strict=True,
    )  # fmt: skip
    return [
        VenueTick(names[i], price, _or_none(qty), time_ms, _or_none(volume), _or_none(oi))
        for i, price, qty, time_ms, volume, oi in rows
    ]


def _or_none(value: int) -> int | None:
    return None if value == NULL else value
