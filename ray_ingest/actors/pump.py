"""What a feed does with its source, from the first tick to the last commit.

A receiver fills a buffer on its own thread; the pumping thread prepares what it finds there, journals what
could not be had again, and sends each partition's share to its owner.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ray_ingest.actors.duty import Duty
from ray_ingest.actors.live import LiveSource
from ray_ingest.actors.messages import Standing
from ray_ingest.actors.receiver import NAP_S, Receiver
from ray_ingest.actors.recorder import Recorder
from ray_ingest.actors.sender import RETRY_S, Sender, SenderSettings
from ray_ingest.actors.sharing import Sharing
from ray_ingest.actors.silence import Silence
from ray_ingest.actors.standby import Standby, standby_journal
from ray_ingest.clock import epoch_ms
from ray_ingest.core.failover import CountedUntil, Policy
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.preparation import Preparation
from ray_ingest.errors import JournalBusyError, JournalError, ProcessSpentError
from ray_ingest.feeds.session.adapter import EVEN
from ray_ingest.feeds.source import TickSource, digest
from ray_ingest.journal import Journal, JournalSettings, JournalSize
from ray_ingest.logs import LogSettings
from ray_ingest.model import GapReason, TickColumns, joined

log = logging.getLogger(__name__)

DONE_NAP_S = 0.02
TRIM_S = 60.0
SEQUENCE = 1  # raised with every change that makes other sequences of the same ticks: offsets count in them


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What a feed is told; `make_source` builds the source inside the actor's own process. Its ticks are
    kept in a `journal`, unless that is None: then what can't be read again is lost with the process. A live
    one that is `shared` is one of several feeds of the same instruments, under this policy: its ticks count
    when it is told so, and what it missed is told by whoever knows what the others had; see `Sharing` for
    instruments that not all of them have."""

    name: str
    make_source: Callable[[], TickSource]
    speed: float | None
    partitions: int
    buffer_ticks: int
    block_ticks: int
    future_ms: int
    filters: FilterSettings
    sender: SenderSettings
    journal: JournalSettings | None = None
    shared: Policy | None = None
    log: LogSettings | None = field(default=None, repr=False)


class Pump:
    """One source on its way; `run` does it all and returns when `stopping` is set and what had come in by
    then is committed. A source that ends is `done` before: all it had is committed, and the pump only looks
    now and then whether the store still has it. A source that can be read again may be given to another pump:
    what is committed or journaled is passed over. One that `owes_all` goes to the source's end before it
    stops, because the store had all of it and lost it."""

    def __init__(
        self,
        settings: FeedSettings,
        owners: list[Any],
        stopping: threading.Event,
        owes_all: bool = False,
        duty: Duty | None = None,
    ) -> None:
        self._settings = settings
        self.duty = duty or Duty(counts=True)
        self.sharing: Sharing | None = None
        self.owes_all = owes_all
        self._owners = owners
        self._stopping = stopping
        self.source = settings.make_source()
        self.live = self.source.live
        self.connected = self.source if isinstance(self.source, LiveSource) else None  # to a broker
        self.preparation = Preparation(
            self.source.table, settings.filters, settings.partitions, settings.future_ms
        )
        self.receiver = Receiver(self.source, settings.speed, settings.buffer_ticks)
        self.senders: list[Sender] = []  # one a partition
        self.producer = ""
        self.trouble = ""
        self.running_s = 0.0
        self.standings: list[Standing] = []
        self.done = False
        self.complete = False
        self._doubted = False
        self._recorder: Recorder | None = None
        self._silence = Silence(0, self.connected)
        self._patience_s = max(settings.sender.linger_s / 2, NAP_S)
        self._trimmed_s = time.monotonic()

    def run(self) -> None:
        """See the class. Raises InputError for a bad source, JournalError for a damaged journal, FencedError
        when another run has taken over, StoreWentBackError when the source has to be read again."""
        try:
            if self._open():
                self._pump()
        finally:
            self.receiver.stop()
            self.receiver.over.wait()
            if self._recorder is not None:
                self._recorder.close()
            if self.sharing is not None:
                self.sharing.standby.close()
        if self.receiver.error is not None:
            raise self.receiver.error

    @property
    def journal_size(self) -> JournalSize | None:
        """How big its journal is now; None while there is none."""
        return None if self._recorder is None else self._recorder.size

    def _open(self) -> bool:
        """The producer, its journal and its senders; False when the feed was stopped meanwhile."""
        settings, source = self._settings, self.source
        # The sequence depends on the source and on all that drops ticks from it before they are counted.
        sieve = (SEQUENCE, settings.filters, settings.future_ms, settings.partitions, settings.block_ticks)
        self.producer = f"{settings.name}-{digest(source.identity, sieve)}"
        if settings.journal is not None:
            journal = self._open_journal(settings.journal)
            if journal is None:
                return False
            self.producer = journal.producer
            self._recorder = Recorder(journal, source, settings.partitions)
            self._recorder.remind(self.preparation)
            apart = self.connected.uneven.not_all if self.connected else EVEN.not_all
            told_ms = self._recorder.told_until_ms(apart)
            self.duty.counted = CountedUntil(told_ms, told_ms)
        if settings.shared:
            kept = None
            if settings.journal is not None:
                kept = self._open_journal(standby_journal(settings.journal), ".standby")
                if kept is None:
                    return False
            standby = Standby(kept, source, settings.partitions, settings.buffer_ticks)
            self.sharing = Sharing(
                self.duty,
                self.connected,
                self.preparation,
                standby,
                self._send,
                settings.shared == "failover",
            )
        recorder = self._recorder
        if self.live and recorder is not None:
            silent_ms = recorder.silent_since_ms
            if self.sharing is not None:  # it may have listened without counting
                silent_ms = max(silent_ms, self.sharing.standby.silent_since_ms)
            self._silence = Silence(silent_ms, self.connected)
        self.senders = [
            Sender(
                owner,
                self.producer,
                recorder.table if recorder else source.table,
                self.live,
                settings.sender,
                recorder.sequence(partition) if recorder else None,
            )
            for partition, owner in enumerate(self._owners)
        ]
        return True

    def _open_journal(self, journal: JournalSettings, suffix: str = "") -> Journal | None:
        settings = self._settings
        name = settings.name + suffix
        producer = None if self.live else self.producer
        while True:
            try:
                return Journal.open(journal, name, settings.partitions, SEQUENCE, producer)
            except JournalBusyError as error:  # the process before this one may be dying still
                if self._wait(str(error)):
                    return None

    def _pump(self) -> None:
        if self.live:
            # It listens at once, whether the store can be asked or not: the buffer holds what comes.
            self.receiver.start()
        began_s = time.monotonic()
        while not self._step():
            if not self.done:
                self.running_s = time.monotonic() - began_s

    def _begin(self) -> None:
        """Once every owner has said where this producer stands."""
        standings = [sender.standing for sender in self.senders]
        if self.standings or not all(standings):
            return
        self.standings = [standing for standing in standings if standing is not None]
        if not self.live:
            self.receiver.start()

    @property
    def _now_ms(self) -> int:
        """The clock by which ticks are "future". A source that can be read again goes by when it was first
        read, so that it drops the same ticks again."""
        if self.live:
            return epoch_ms()
        if self._recorder is not None:
            return self._recorder.created_ms
        return max(standing.since_ms for standing in self.standings)

    def _step(self) -> bool:
        """One round; True when everything is sent and settled."""
        stopping = self._stopping.is_set() and (self.complete or not self.owes_all)
        if stopping:
            self.receiver.stop()
        self._begin()
        if self.sharing is not None:
            self.sharing.look()
        over = self.receiver.over.is_set()
        worked = self._take() if self.standings else False
        idle = not len(self.receiver.buffer)
        # With one owner its next answer is all there is to wait for; of several, whichever comes first.
        patience_s = self._patience_s if len(self.senders) == 1 and not worked else 0.0
        drained = over and (idle or not self.standings)
        ending = stopping or self.receiver.error is not None
        self.complete |= drained and not ending
        for sender in self.senders:
            sender.source_ended = self.complete
            worked |= sender.step(idle, patience_s)
            sender.check_fenced()
        self._trim()
        self.done = self.complete and all(sender.done for sender in self.senders)
        if drained and ending and (self._is_spent or self._has_nothing_left()):
            return True
        if not worked:
            time.sleep(DONE_NAP_S if self.done or ending else NAP_S)
        return False

    @property
    def _is_spent(self) -> bool:
        """The source can't go on in this process, and the next one finds in the journal what is left."""
        return isinstance(self.receiver.error, ProcessSpentError) and self._recorder is not None

    def _has_nothing_left(self) -> bool:
        """Everything is committed, and the store itself says so: it may have lost what it acknowledged."""
        if not self.standings:
            return not len(self.receiver.buffer)  # a live source's ticks may be there already
        if any(len(s.outbox) or s.in_flight for s in self.senders):
            self._doubted = False
            return False
        if not self._doubted:
            self._doubted = True
            for sender in self.senders:
                sender.ask_again()
        return all(sender.in_step for sender in self.senders)

    def _take(self) -> bool:
        """Prepare and queue the next block; False when there is none, or no room for it."""
        if not self.live or self._recorder is None:
            # A few windows keep the owners busy; what can wait in its source or in the buffer does.
            ahead = 4 * self._settings.sender.window_calls * self._settings.sender.batch_ticks
            if sum(sender.outbox.unsent for sender in self.senders) >= ahead:
                return False
        if self.sharing is not None:
            self.sharing.do_duty()
        if (silent := self._silence.end(epoch_ms(), len(self.receiver.buffer) > 0)) is not None:
            self.receiver.note_gap(*silent, GapReason.RESTART)
        notes = self.receiver.take_notes()
        if notes is not None:
            if self.sharing is not None:
                notes = self.sharing.own_notes(notes)
            for partition, share in enumerate(self.preparation.shares_of_notes(notes)):
                self._queue(partition, share, time.monotonic())
        taken = self.receiver.buffer.take()
        if taken is None:
            return notes is not None
        block, received_s = taken
        newest_s = received_s
        if self.live:  # it sends ticks as they come, few at a time
            blocks, times_s = zip(taken, *self._more(self._settings.block_ticks - len(block)), strict=True)
            block, newest_s = joined(blocks), times_s[-1]
        if self.sharing is not None:
            self.sharing.look()
        for partition, ticks in enumerate(self.preparation.prepare(block, self._now_ms)):
            self._queue(partition, ticks, received_s)
        if self.sharing is not None:
            self.sharing.queued(newest_s)
        return True

    def _more(self, room: int) -> Iterator[tuple[TickColumns, float]]:
        """Further blocks in the buffer and when each was received, until there are `room` ticks of them."""
        while room > 0 and (taken := self.receiver.buffer.take()) is not None:
            room -= len(taken[0])
            yield taken

    def _queue(self, partition: int, ticks: npt.NDArray[np.void], received_s: float) -> None:
        """The next ticks of a partition, to where they belong at present."""
        if self.sharing is None:
            self._send(partition, ticks, received_s)
        else:
            self.sharing.queue(partition, ticks, received_s)

    def _send(self, partition: int, ticks: npt.NDArray[np.void], received_s: float) -> None:
        """The next ticks of a partition's sequence: first to the journal, then to the sender."""
        while self._recorder is not None:
            try:
                ticks = self._recorder.append(partition, ticks)
                self.trouble = ""
                break
            except JournalError as error:  # such as a full disk; what comes meanwhile is in the buffer
                if self._wait(str(error)):
                    raise
        self.senders[partition].append(ticks, received_s)

    def _trim(self) -> None:
        if self._recorder is not None and time.monotonic() - self._trimmed_s > TRIM_S:
            self._trimmed_s = time.monotonic()
            try:
                self._recorder.trim([sender.outbox.committed for sender in self.senders], epoch_ms())
                if self.sharing is not None:
                    self.sharing.standby.trim(epoch_ms())
            except JournalError as error:  # what can't be removed stays
                log.warning("feed %s: %s", self._settings.name, error)

    def _wait(self, trouble: str) -> bool:
        """Before trying again; True when the feed is asked to stop, and may."""
        if trouble != self.trouble:
            log.warning("feed %s waits: %s", self._settings.name, trouble)
        self.trouble = trouble
        if self.owes_all:
            time.sleep(RETRY_S)
            return False
        return self._stopping.wait(RETRY_S)
