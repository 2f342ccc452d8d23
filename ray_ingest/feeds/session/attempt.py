"""One wire with what listens to it and decodes its frames; a connection needs one after the other."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ray_ingest.clock import epoch_ms
from ray_ingest.core.trading_hours import TradingHours
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.session.adapter import Adapter, Credentials, Keys
from ray_ingest.feeds.session.ending import Ending
from ray_ingest.feeds.session.frame_log import FrameLog
from ray_ingest.feeds.session.inbox import Change, Failure, Frame, Inbox, Lost
from ray_ingest.feeds.session.settings import BrokerSettings
from ray_ingest.feeds.session.tokens import TokenKeeper
from ray_ingest.model import TickColumns

log = logging.getLogger(__name__)

ROUND_FRAMES = 256  # then the other connections have their turn
LOST_S = 1.0  # losses go on for a while, and each is told for every instrument


class Moment(NamedTuple):
    """Now: seconds of the steady clock for durations, epoch ms for people and gaps."""

    s: float
    ms: int

    @classmethod
    def now(cls) -> Moment:
        """This one."""
        return cls(time.monotonic(), epoch_ms())


@dataclass(slots=True)
class Shared:
    """What the connections of a feed have in common; `wake` ends the session's wait,
    `numbers` tell their wires apart."""

    settings: BrokerSettings
    adapter: Adapter
    keys: Keys
    token: TokenKeeper
    hours: TradingHours
    frames: FrameLog | None
    wake: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Decoded(NamedTuple):
    """A frame and the ticks in it, perhaps none; times as in `Frame`."""

    at_s: float
    at_ms: int
    ticks: TickColumns | None


Event: TypeAlias = Decoded | Change | Failure | Lost


class Attempt:
    """Begun with `begin`. `dropped` counts what was no tick or found no room, by reason."""

    def __init__(self, name: str, shared: Shared, credentials: Credentials, now: Moment) -> None:
        settings, adapter = shared.settings.session, shared.adapter
        self.has_more = False
        self._lost_due_s = 0.0
        self._missed = 0
        self.inbox = Inbox(shared.wake, settings.queue_frames, settings.queue_bytes, now.s)
        self._name = name
        self._number = next(shared.numbers)
        self._shared = shared
        self._decoder = adapter.decoder(shared.keys)
        self._dropped: Counter[str] = Counter()
        try:
            self.wire = adapter.wire(shared.settings.wire, credentials, self.inbox)
        except ImportError as error:
            raise ConfigError(
                f"{adapter.name} needs its SDK, {error.name} is missing: "
                f"pip install 'ray-ingest[{adapter.name}]'"
            ) from None

    @property
    def dropped(self) -> Counter[str]:
        """As of now; from any thread."""
        lost = Counter(frames_overflow=self.inbox.lost_frames)
        return self._dropped + Counter(dict(self._decoder.dropped)) + lost

    def events(self, now: Moment) -> Iterator[Event]:
        """What came since the last call, in its order, `ROUND_FRAMES` of them at most; nothing after a
        `Failure`, whether the wire or a frame told it."""
        self.has_more = False
        if self.inbox.lost_frames != self._missed:
            self._missed = self.inbox.lost_frames
            self._decoder.missed()
        if now.s >= self._lost_due_s and (lost := self.inbox.take_lost()):
            self._lost_due_s = now.s + LOST_S
            yield lost
        for _ in range(ROUND_FRAMES):
            told = self.inbox.take()
            if told is None:
                return
            if isinstance(told, Frame):
                yield self._decoded(told)
                if self._decoder.verdict is not None:
                    yield Failure(*self._decoder.verdict)
                    return
            else:
                yield told
        self.has_more = True

    def end(self) -> Ending:
        """Begin to close the wire."""
        return Ending(self.wire, self._shared.settings.session.close_s, self._shared.wake)

    def _decoded(self, frame: Frame) -> Decoded:
        if self._shared.frames is not None:
            self._shared.frames.append(frame.at_ms, self._number, frame.payload)
        try:
            ticks = self._decoder.decode(frame.payload, frame.at_ms)
        except Exception:  # a fault of ours in one frame must not cost all others
            if not self._dropped["decoder_error"]:
                log.exception("%s: a frame of %d bytes", self._name, len(frame.payload))
            self._dropped["decoder_error"] += 1
            return Decoded(frame.at_s, frame.at_ms, None)
        return Decoded(frame.at_s, frame.at_ms, ticks if len(ticks) else None)
