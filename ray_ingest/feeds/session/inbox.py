"""Between an SDK's threads and the session: what one wire tells, bounded, in its order."""

from __future__ import annotations

import threading
import time
from collections import deque
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from ray_ingest.clock import epoch_ms
from ray_ingest.core.connection import Trouble


class Frame(NamedTuple):
    """A message with market data; `at_s` is of the steady clock, `at_ms` of the wall clock."""

    at_s: float
    at_ms: int
    payload: bytes


class Change(Enum):
    """What a wire has become."""

    CONNECTED = auto()
    OPENED = auto()


class Failure(NamedTuple):
    """The last a wire tells."""

    trouble: Trouble
    why: str


class Lost(NamedTuple):
    """Frames that found no room: from the last before them that did to the last of them, epoch ms."""

    from_ms: int
    to_ms: int
    frames: int


Told: TypeAlias = Frame | Change | Failure


class Inbox:
    """A wire's listener, made for it alone, so that nothing of an earlier wire gets in; `wake` is set when
    something is told. A frame beyond `frames` or `n_bytes` is lost, and `take_lost` says so; the rest fits.
    `lost_frames` counts them, `heard_s` is when the wire was last heard of.
    """

    def __init__(self, wake: threading.Event, frames: int, n_bytes: int, now_s: float) -> None:
        self.heard_s = now_s
        self.lost_frames = 0
        self._wake = wake
        self._room, self._room_bytes = frames, n_bytes
        self._told: deque[Told] = deque()
        self._lost: Lost | None = None
        self._kept_ms = 0
        self._lock = threading.Lock()

    def connected(self) -> None:
        """The transport is up."""
        self._tell(Change.CONNECTED)

    def opened(self) -> None:
        """The broker has let us in."""
        self._tell(Change.OPENED)

    def heard(self) -> None:
        """A sign of life."""
        self.heard_s = time.monotonic()

    def frame(self, payload: bytes) -> None:
        """A message with market data."""
        at_s, at_ms = time.monotonic(), epoch_ms()
        self.heard_s = at_s
        with self._lock:
            if self._room < 1 or self._room_bytes < len(payload):
                self.lost_frames += 1
                before = self._lost or Lost(self._kept_ms or at_ms, at_ms, 0)
                self._lost = Lost(before.from_ms, at_ms, before.frames + 1)
            else:
                self._room -= 1
                self._room_bytes -= len(payload)
                self._kept_ms = at_ms
                self._told.append(Frame(at_s, at_ms, payload))
        self._wake.set()

    def failed(self, trouble: Trouble, why: str) -> None:
        """The connection is over."""
        self._tell(Failure(trouble, why))

    def take(self) -> Told | None:
        """The next that was told, None when there is nothing."""
        if not self._told:
            return None
        told = self._told.popleft()
        if isinstance(told, Frame):
            with self._lock:
                self._room += 1
                self._room_bytes += len(told.payload)
        return told

    def take_lost(self) -> Lost | None:
        """What was lost since the last call."""
        if self._lost is None:
            return None
        with self._lock:
            lost, self._lost = self._lost, None
        return lost

    def _tell(self, change: Change | Failure) -> None:
        self.heard()
        self._told.append(change)
        self._wake.set()
