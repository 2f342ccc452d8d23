"""One producer's line to one OHLC actor: a bounded window of calls, answered in order, rewound on trouble."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import ray
from ray.exceptions import GetTimeoutError, RayError

from ray_ingest.actors.messages import Batch, Reply, Standing
from ray_ingest.core.gaps import is_note
from ray_ingest.core.histogram import BATCH_TICKS, SECONDS, Histogram, Recent
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.core.outbox import Outbox
from ray_ingest.errors import FencedError, JournalError, StoreError

LATENCIES_KEPT = 8_192
RETRY_S = 0.2


class StoreWentBackError(StoreError):
    """The store has lost commits, and their ticks are only where they came from."""


class SequenceRecord(Protocol):
    """What is kept on disk of a producer's sequence for one partition: offsets `first` to `end`."""

    @property
    def first(self) -> int: ...  # noqa: D102 — see the class
    @property
    def end(self) -> int: ...  # noqa: D102
    def read(self, offset: int, limit: int) -> npt.NDArray[np.void]:
        """1 to `limit` TICK rows from `offset` on."""

    def skip_to(self, offset: int) -> None:
        """The sequence goes on at `offset`, which lies beyond the end."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """Sizes and times of a line: ticks a batch, calls in flight, seconds."""

    batch_ticks: int
    window_calls: int
    linger_s: float
    heartbeat_s: float
    idle_heartbeat_s: float = 1.0


class Sender:
    """Sends an `Outbox` to an owner and keeps it in step with the owner's committed offset.

    `step` does what can be done now and never waits for longer than it is told. After any failed call it
    stops, lets the calls in flight end, asks the owner where it stands, and goes on from there: from memory,
    or from the `record` of the sequence where memory doesn't reach.
    """

    def __init__(
        self,
        owner: Any,
        producer: str,
        table: InstrumentTable,
        live: bool,
        settings: SenderSettings,
        record: SequenceRecord | None = None,
    ) -> None:
        self._owner = owner
        self._producer = producer
        self._table = table
        self._live = live
        self._settings = settings
        self._record = record
        self.outbox = Outbox(0, record.end, record.read) if record else Outbox()
        self.standing: Standing | None = None
        self.newest_event_ms = 0
        self.source_ended = False
        self.settled = False
        self.trouble = ""
        self.fenced = False
        self.calls = 0
        self.rewinds = 0
        self._recover_to = 0
        self.latency_ms = Recent(LATENCIES_KEPT)
        self.latency_s = Histogram(SECONDS)
        self.batches = Histogram(BATCH_TICKS)
        self._names_known = 0
        self._calls: deque[tuple[Any, bool]] = deque()
        self._question: Any = None
        self._waiting_since_s: deque[tuple[int, float, int]] = deque()
        self._sent_event_ms: deque[tuple[int, int]] = deque()
        self._committed_event_ms = 0
        self._stopped = True
        self._last_call_s = 0.0
        self._retry_at_s = 0.0

    @property
    def in_flight(self) -> int:
        """Calls not answered yet."""
        return len(self._calls)

    @property
    def done(self) -> bool:
        """The source has ended and the owner has committed its last tick and closed its last minute."""
        return self.source_ended and self.settled

    @property
    def to_recover(self) -> int:
        """Ticks the store had committed, lost, and has not got again yet."""
        return max(0, self._recover_to - self.outbox.committed)

    @property
    def in_step(self) -> bool:
        """The owner has said where this producer stands, and nothing has gone wrong since."""
        return not self._stopped

    def ask_again(self) -> None:
        """Ask the owner, and it the store, where this producer stands, although nothing went wrong."""
        self._stop("")

    def _rewind(self, committed: int) -> None:
        if committed < self.outbox.committed:
            if self._record is None:
                raise StoreWentBackError(
                    f"the store went back from offset {self.outbox.committed:,} to {committed:,}"
                )
            self._recover_to = max(self._recover_to, self.outbox.committed)
            self._committed_event_ms = 0
        if self._record is not None:
            if committed > self._record.end:  # its tail is lost, the store has it
                self._record.skip_to(committed)
                self.outbox = Outbox(committed, committed, self._record.read)
            committed = max(committed, self._record.first)
        self.outbox.rewind(committed)
        # Minutes end by what is sent from here on: a time ahead of it would close them too early.
        self.newest_event_ms = self._committed_event_ms
        self._sent_event_ms.clear()

    def check_fenced(self) -> None:
        """Raises FencedError when another incarnation owns the partition: this run has been replaced."""
        if self.fenced:
            raise FencedError(f"another run has taken over the store from {self._producer}")

    def append(self, ticks: npt.NDArray[np.void], received_s: float) -> None:
        """More ticks (TICK rows) of the sequence, received at `received_s` (monotonic clock)."""
        if len(ticks):
            self.outbox.append(ticks)
            if self.outbox.end > self.outbox.committed:
                waiting, count = self._waiting_since_s, len(ticks)
                if len(waiting) == LATENCIES_KEPT:  # one entry is then as old as the older of two
                    _, received_s, more = waiting.pop()
                    count += more
                waiting.append((self.outbox.end, received_s, count))

    def step(self, source_idle: bool, patience_s: float) -> bool:
        """Send what may be sent, or else collect an answer; True if anything happened.

        `source_idle`: no further tick is at hand, so what there is goes now or after the linger time. An
        answer is waited for at most `patience_s`.
        """
        if self._stopped:
            return self._restart(patience_s)
        sent = False
        while len(self._calls) < self._settings.window_calls and self._may_send(source_idle):
            self._send(source_idle)
            sent = True
        # Each Ray call costs as much as handling thousands of ticks: ask for answers only when there is
        # nothing to send, or no room to send it.
        if self._calls and (not sent or len(self._calls) >= self._settings.window_calls):
            return self._collect(patience_s) or sent
        return sent

    def _restart(self, patience_s: float) -> bool:
        """At first and after trouble: let the calls in flight end, then continue where the owner stands.

        Raises StoreWentBackError when the store has lost commits whose ticks are gone from here.
        """
        if self._calls:
            return self._collect(patience_s)
        if self._question is None:
            if time.monotonic() < self._retry_at_s:
                return False
            self._question = self._owner.standing.remote(self._producer)
        try:
            answer = ray.get(self._question, timeout=patience_s)
        except GetTimeoutError:
            return False
        except RayError as error:
            self._question = None
            self._stop(str(error).splitlines()[0])
            return True
        self._question = None
        self._continue(msgspec.msgpack.decode(answer, type=Standing))
        return True

    def _continue(self, standing: Standing) -> None:
        self.fenced = self.fenced or standing.fenced
        if standing.trouble:
            self._stop(standing.trouble)
            return
        try:
            self._rewind(standing.committed)
        except JournalError as error:  # such as a full disk
            self._stop(str(error))
            return
        self.standing = standing
        self.trouble = ""
        self._names_known = 0
        self._stopped = False

    def _may_send(self, source_idle: bool) -> bool:
        unsent = self.outbox.unsent
        now_s = time.monotonic()
        if unsent >= self._settings.batch_ticks:
            return True
        if unsent:
            oldest_s = self._waiting_since_s[0][1] if self._waiting_since_s else 0.0
            return self.source_ended or (source_idle and now_s - oldest_s >= self._settings.linger_s)
        if self._calls:
            return False
        # Once done, a call now and then still finds out whether the store has lost what it had.
        restless = not self.done and (self.source_ended or len(self.outbox) > 0)
        pause_s = self._settings.heartbeat_s if restless else self._settings.idle_heartbeat_s
        return now_s - self._last_call_s >= pause_s

    def _send(self, source_idle: bool) -> None:
        start, ticks = self.outbox.take(self._settings.batch_ticks)
        empty, backlog = self.outbox.unsent == 0, self.outbox.unsent >= self._settings.batch_ticks
        if len(ticks):
            # A gap note says nothing of how far event time has come.
            newest_ms = np.max(ticks["event_time_ms"], initial=0, where=~is_note(ticks))
            self.newest_event_ms = max(self.newest_event_ms, int(newest_ms))
            self._sent_event_ms.append((self.outbox.cursor, self.newest_event_ms))
            self.batches.add(len(ticks))
        ended = self.source_ended and empty
        names = self._table.entries[self._names_known :]
        head = Batch(
            self._producer,
            start,
            self._names_known,
            [(entry.exchange, entry.token, entry.source) for entry in names],
            self.newest_event_ms,
            self._live and not backlog,  # the clock says nothing of minutes that are still to be sent
            source_idle and empty and not self._calls,
            ended,
            backlog,
            self._record.first if self._record else 0,
        )
        call = self._owner.push.remote(msgspec.msgpack.encode(head), ticks.tobytes())
        self._calls.append((call, ended))
        self._names_known += len(names)
        self._last_call_s = time.monotonic()
        self.calls += 1

    def _collect(self, patience_s: float) -> bool:
        """Take the oldest call's answer; False if it isn't there yet."""
        call, ended = self._calls[0]
        try:
            answer = ray.get(call, timeout=patience_s)
        except GetTimeoutError:
            return False
        except RayError as error:
            self._calls.popleft()
            self.rewinds += not self._stopped
            self._stop(str(error).splitlines()[0])
            return True
        self._calls.popleft()
        self._heed(msgspec.msgpack.decode(answer, type=Reply), ended)
        return True

    def _heed(self, reply: Reply, ended: bool) -> None:
        self.fenced = self.fenced or reply.fenced
        self.trouble = reply.trouble
        if reply.rewind:
            self.rewinds += not self._stopped
            self._stop(reply.trouble)
            return
        if self._stopped:
            return
        if ended and reply.committed > self.outbox.end:
            raise StoreError(
                f"the store holds {reply.committed:,} ticks of {self._producer}, which has "
                f"{self.outbox.end:,}: another version of the program sent them; use an empty store"
            )
        self.settled = ended and reply.settled and reply.committed == self.outbox.end
        self.outbox.acknowledge(reply.committed)
        while self._sent_event_ms and self._sent_event_ms[0][0] <= reply.committed:
            self._committed_event_ms = self._sent_event_ms.popleft()[1]
        now_s = time.monotonic()
        while self._waiting_since_s and self._waiting_since_s[0][0] <= reply.committed:
            _, received_s, count = self._waiting_since_s.popleft()
            self.latency_ms.add((now_s - received_s) * 1000)
            self.latency_s.add(now_s - received_s, count)

    def _stop(self, why: str) -> None:
        self._stopped = True
        self.trouble = why
        self.settled = False
        self._retry_at_s = time.monotonic() + (RETRY_S if why else 0.0)
