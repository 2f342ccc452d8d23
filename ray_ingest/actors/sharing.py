"""A feed that is one of several of the same instruments: where its ticks go, and how well it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ray_ingest.actors.duty import Duty
from ray_ingest.actors.live import LiveSource, well_since_ms
from ray_ingest.actors.standby import Standby
from ray_ingest.clock import epoch_ms
from ray_ingest.core.connection import UNDERWAY_MS
from ray_ingest.core.failover import CountedUntil
from ray_ingest.core.gaps import gap_of_all, is_note, narrowed
from ray_ingest.core.preparation import Preparation
from ray_ingest.feeds.session.adapter import EVEN, Uneven
from ray_ingest.model import ALL_INSTRUMENTS, GapReason

STEADY_MS = 120_000  # for so long a connection may have been mute before it is known not to be live

Send = Callable[[int, npt.NDArray[np.void], float], None]
"""(partition, TICK rows, received at by the monotonic clock): the next ticks of the partition's sequence."""


class Sharing:
    """The pump's view of a `Duty`. All but `well_since_ms` and `last_tick_ms` is for the pump's thread.

    A source without connections (None) is well from its beginning. Of instruments that not every feed has,
    ticks always count: whoever counts may lack them, and of two that tell the same volume it is one.
    """

    def __init__(
        self,
        duty: Duty,
        source: LiveSource | None,
        preparation: Preparation,
        standby: Standby,
        send: Send,
        one_counts: bool,
    ) -> None:
        self.standby = standby
        self._duty = duty
        self._source = source
        self._preparation = preparation
        self._send = send
        self._one_counts = one_counts
        self._counting_since_ms = 0
        self._began_ms = epoch_ms()
        self._tick_ms = 0

    @property
    def well_since_ms(self) -> int:
        """Since when (epoch ms) ticks come; 0 when they don't."""
        seen_ms = self._duty.well_since_ms
        return seen_ms if self._now_well_since_ms() == seen_ms else 0

    @property
    def last_tick_ms(self) -> int:
        """When (epoch ms) the newest tick was received, 0 if none was."""
        return self._source.last_tick_ms if self._source else self._tick_ms

    def look(self) -> None:
        """To be called before ticks are queued, and after they were taken from where they wait: what came
        through a connection is counted after the connection is known to be well."""
        since_ms, steady_ms = self._now_well_since_ms(), epoch_ms() - STEADY_MS
        if since_ms not in (0, self._duty.well_since_ms):
            self._duty.resumed(since_ms)
        elif 0 < since_ms <= steady_ms and self._duty.counts:
            self._heard(steady_ms)

    def do_duty(self) -> None:
        """Note gaps as told, and begin or end to count."""
        while (gap := self._duty.next_gap()) is not None:
            from_ms, to_ms = gap
            reason = GapReason.RESTART if from_ms < self._began_ms else GapReason.DISCONNECT
            note_of_all = gap_of_all(from_ms - UNDERWAY_MS, to_ms, reason)
            for partition, note in enumerate(self._preparation.shares_of_notes(note_of_all)):
                self._send(partition, note, time.monotonic())
        counts, others = self._duty.wanted
        if counts and not self._duty.counts:
            self._counting_since_ms = epoch_ms()
            for partition, ticks in enumerate(self.standby.release(epoch_ms(), others.event_ms)):
                self._count(partition, ticks, time.monotonic())
            self._heard(self._tick_ms)
        self._duty.heeded(counts, others)

    def own_notes(self, notes: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """The gap notes that are this feed's to tell. While it was away another may have counted; but not if
        only one counts at a time, and it has been this one all the time: such as when one of several
        connections is lost and no other feed is better. Nor of instruments that no other has."""
        own = notes["day_volume"] == GapReason.OVERFLOW
        if self._one_counts and self._duty.counts:
            all_along = notes["event_time_ms"] + UNDERWAY_MS >= self._counting_since_ms
            own |= (notes["day_volume"] == GapReason.DISCONNECT) & all_along
        alone = self._uneven.alone
        own |= np.isin(notes["instrument"], alone)
        kept_only = ~own | (not self._duty.counts)  # what is own on standby waits there, and may be forgotten
        of_all = notes[kept_only & (notes["instrument"] == ALL_INSTRUMENTS)]
        return np.concatenate((notes[own], narrowed(of_all, alone)))

    def queue(self, partition: int, ticks: npt.NDArray[np.void], received_s: float) -> None:
        """The next ticks of a partition, the oldest of them received at `received_s` (monotonic clock)."""
        if self._duty.counts:
            self._count(partition, ticks, received_s)
            return
        not_all = self._uneven.not_all
        if len(not_all):
            apart = np.isin(ticks["instrument"], not_all)
            self._send(partition, ticks[apart], received_s)
            ticks = ticks[~apart]
        self.standby.keep(partition, ticks, _epoch_ms_of(received_s))

    def queued(self, received_s: float) -> None:
        """All ticks that were received until then (monotonic clock) have been queued."""
        self._tick_ms = _epoch_ms_of(received_s)
        if self._duty.counts:
            self._heard(self._tick_ms)

    def _count(self, partition: int, ticks: npt.NDArray[np.void], received_s: float) -> None:
        """Ticks go into the sequence."""
        self._send(partition, ticks, received_s)
        newest_ms = int(np.max(ticks["event_time_ms"], initial=0, where=~is_note(ticks)))
        self._duty.counted = self._duty.counted.joined(CountedUntil(event_ms=min(newest_ms, epoch_ms())))

    def _heard(self, until_ms: int) -> None:
        """Nothing that came until then (epoch ms) is missing in the sequence."""
        self._duty.counted = self._duty.counted.joined(CountedUntil(heard_ms=until_ms))

    @property
    def _uneven(self) -> Uneven:
        return self._source.uneven if self._source else EVEN

    def _now_well_since_ms(self) -> int:
        return well_since_ms(self._source.connections()) if self._source else self._began_ms


def _epoch_ms_of(monotonic_s: float) -> int:
    return epoch_ms() - round((time.monotonic() - monotonic_s) * 1000)
