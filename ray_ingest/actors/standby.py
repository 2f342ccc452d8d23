"""Ticks of a feed that doesn't count: recorded, and the newest kept at hand."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ray_ingest.actors.recorder import Recorder
from ray_ingest.core.standby import StandbyRing
from ray_ingest.errors import JournalError
from ray_ingest.feeds.source import TickSource
from ray_ingest.journal import Journal, JournalSettings

log = logging.getLogger(__name__)

KEEP_MS = 10_000
FOLDER = "standby"


def standby_journal(settings: JournalSettings) -> JournalSettings:
    """Where such ticks are journaled: apart from those that are sent, which readers take to be all."""
    return replace(settings, folder=settings.folder / FOLDER)


class Standby:
    """Takes a feed's prepared ticks while they don't count; `held_back` of them were never sent."""

    def __init__(
        self, journal: Journal | None, source: TickSource, partitions: int, capacity_ticks: int
    ) -> None:
        self.held_back = 0
        self._recorder = Recorder(journal, source, partitions) if journal else None
        self._rings = [StandbyRing(capacity_ticks) for _ in range(partitions)]
        self._trouble = ""

    @property
    def silent_since_ms(self) -> int:
        """See `Recorder`; 0 where there is no journal."""
        return self._recorder.silent_since_ms if self._recorder else 0

    def keep(self, partition: int, ticks: npt.NDArray[np.void], received_ms: int) -> None:
        """The next ticks (TICK rows, the source's ids) of a partition, received at these epoch ms. They are a
        record only: a journal that can't be written is logged, and nothing waits for it."""
        self.held_back += len(ticks)
        self._rings[partition].add(ticks, received_ms)
        if self._recorder is None:
            return
        try:
            self._recorder.append(partition, ticks)
            self._trouble = ""
        except JournalError as error:
            if str(error) != self._trouble:
                log.warning("ticks on standby aren't journaled: %s", error)
            self._trouble = str(error)

    def release(self, now_ms: int, since_ms: int) -> list[npt.NDArray[np.void]]:
        """By partition, what is sent first when the feed begins to count; see `StandbyRing.take`."""
        released = [ring.take(now_ms, KEEP_MS, since_ms) for ring in self._rings]
        self.held_back -= sum(map(len, released))
        return released

    def trim(self, now_ms: int) -> None:
        """Let go of what is old on disk. Raises JournalError."""
        if self._recorder is not None:
            ends = [self._recorder.sequence(partition).end for partition in range(len(self._rings))]
            self._recorder.trim(ends, now_ms)

    def close(self) -> None:
        """Everything is on disk."""
        if self._recorder is not None:
            self._recorder.close()
