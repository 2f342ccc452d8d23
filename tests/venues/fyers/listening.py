"""A session's stand-in for tests of the wire: it keeps what it hears, and lets a test wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ray_ingest.core.connection import Trouble

DEADLINE_S = 20.0


class Recorder:
    """A `Listener`: `states` in their order, `frames`, `failures`, and the number of signs of life."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.frames: list[bytes] = []
        self.failures: list[tuple[Trouble, str]] = []
        self.life = 0
        self._changed = threading.Condition()

    def connected(self) -> None:
        """See `Listener`."""
        self._note(lambda: self.states.append("connected"))

    def opened(self) -> None:
        """See `Listener`."""
        self._note(lambda: self.states.append("opened"))

    def heard(self) -> None:
        """See `Listener`."""
        self._note(lambda: setattr(self, "life", self.life + 1))

    def frame(self, payload: bytes) -> None:
        """See `Listener`."""
        self._note(lambda: self.frames.append(payload))

    def failed(self, trouble: Trouble, why: str) -> None:
        """See `Listener`."""
        self._note(lambda: self.failures.append((trouble, why)))

    def _note(self, act: Callable[[], None]) -> None:
        with self._changed:
            act()
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        """Until `condition` holds; raises AssertionError with what was heard when it doesn't come true."""
        with self._changed:
            met = self._changed.wait_for(condition, timeout_s)
        assert met, f"not within {timeout_s} s: {self.states}, {len(self.frames)} frames, {self.failures}"

    def wait_failed(self, timeout_s: float = DEADLINE_S) -> tuple[Trouble, str]:
        """The connection's end."""
        self.wait(lambda: bool(self.failures), timeout_s)
        return self.failures[0]
