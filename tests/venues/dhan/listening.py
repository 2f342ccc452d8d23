"""A listener that remembers, and waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.dhan import ADAPTER
from ray_ingest.feeds.session.adapter import Credentials, Keys, Wire, WireSettings
from ray_ingest.model import TickColumns
from tests.venues.dhan.venue import DhanVenue

TOKEN = "eyJhbGciOiJIUzUxMiJ9.c2VjcmV0LXRva2VuLW9mLWRoYW4.c2lnbmF0dXJl"  # noqa: S105 — a made-up one
NOW_MS = 1_765_771_200_000  # 2025-12-15 09:30 IST
DEADLINE_S = 60.0


class Memory:
    """A `Listener`; its lists are what it was told, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.frames: list[bytes] = []
        self.failures: list[tuple[Trouble, str]] = []
        self._news = threading.Condition()

    def connected(self) -> None:
        """See `Listener`."""
        self._note("connected")

    def opened(self) -> None:
        """See `Listener`."""
        self._note("opened")

    def heard(self) -> None:
        """See `Listener`."""
        self._note("heard")

    def frame(self, payload: bytes) -> None:
        """See `Listener`."""
        with self._news:
            self.frames.append(payload)
            self._news.notify_all()

    def failed(self, trouble: Trouble, why: str) -> None:
        """See `Listener`."""
        self.failures.append((trouble, why))
        self._note("failed")

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds; looked at with every piece of news."""
        with self._news:
            assert self._news.wait_for(condition, DEADLINE_S), (self.said, self.failures, len(self.frames))

    def wait_said(self, word: str) -> None:
        """Until this was called."""
        self.wait(lambda: word in self.said)

    def wait_failure(self) -> tuple[Trouble, str]:
        """How the connection ended."""
        self.wait_said("failed")
        return self.failures[0]

    def _note(self, word: str) -> None:
        with self._news:
            self.said.append(word)
            self._news.notify_all()


@contextmanager
def wire(
    url: str | None, mode: str = "full", token: str = TOKEN, ping_s: float = 5.0, connect_s: float = 10.0
) -> Iterator[tuple[Wire, Memory]]:
    """A wire that has been started; closed afterwards, and nothing of it may be left."""
    memory = Memory()
    settings = WireSettings(url, mode, ping_s=ping_s, connect_s=connect_s)
    made = ADAPTER.wire(settings, Credentials("1100003626", token), memory)
    made.start()
    try:
        yield made, memory
    finally:
        assert made.close(DEADLINE_S)


@contextmanager
def live(venue: DhanVenue, mode: str = "full", ping_s: float = 5.0) -> Iterator[tuple[Wire, Memory]]:
    """A wire that takes subscriptions."""
    with wire(venue.url, mode, ping_s=ping_s) as (made, memory):
        memory.wait_said("opened")
        yield made, memory


def decoded(memory: Memory, keys: Keys, received_ms: int) -> tuple[TickColumns, ...]:
    """All frames so far, by a new decoder."""
    decoder = ADAPTER.decoder(keys)
    return tuple(decoder.decode(frame, received_ms) for frame in memory.frames)
