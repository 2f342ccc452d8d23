"""The owner of one partition: takes batches in sequence, coalesces them, commits them atomically.

A plain synchronous class; every call advances it, as it has no timer of its own. It never blocks on the store
while producers have more to send: a commit travels while the next ticks are taken.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from uuid import uuid4

import msgspec
import numpy as np
import numpy.typing as npt

from ray_ingest.actors.messages import Batch, OhlcStats, Reply, Standing
from ray_ingest.actors.ohlc_figures import FlushFigures, SessionHours
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.clock import epoch_ms
from ray_ingest.core.breaker import CircuitBreaker
from ray_ingest.core.calendar import Calendar
from ray_ingest.core.directory import Directory, ProducerNames
from ray_ingest.core.flush_plan import Coalescer, FlushPlan, Pending
from ray_ingest.core.intake import Intake
from ray_ingest.core.pace import FlushPace
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.core.watermark import Watermark
from ray_ingest.errors import ConfigError, FencedError, OffsetError, OwnerLostError, StoreError
from ray_ingest.logs import set_up_actor
from ray_ingest.model import TICK
from ray_ingest.store.commit import GroupCache, open_ends
from ray_ingest.store.expiry import Expiry
from ray_ingest.store.keys import Keys
from ray_ingest.store.layout import ensure_partitions
from ray_ingest.store.partition import PartitionStore
from ray_ingest.store.redis import connect

log = logging.getLogger(__name__)

IDLE_WAIT_S = 0.25
VERIFY_S = 1.0
STEADY_S = 5.0  # without a failure for so long trouble is over, also when nothing was to be committed


@dataclass(slots=True)
class _Producer:
    names: ProducerNames
    intake: Intake


class OhlcPartition:
    """See the module's text. Raises FencedError from no call: a fenced owner says so in every reply."""

    def __init__(self, settings: OhlcSettings) -> None:
        set_up_actor(settings.log, settings.name, partition=settings.partition)
        self._settings = settings
        self._calendar = Calendar(CalendarTable.from_mapping(settings.calendar))
        self._client = connect(
            settings.url,
            pool_size=settings.pool_size,
            health_check_interval_s=settings.health_check_interval_s,
            timeout_s=settings.timeout_s,
        )
        keys = self._keys = Keys(settings.prefix)
        expiry = Expiry(self._calendar, settings.lists_ttl_ms, settings.history_days, settings.stream_ms)
        self._store = PartitionStore(
            self._client, keys, settings.partition, settings.scripts, expiry, settings.timeout_s
        )
        self._uuid = uuid4().hex
        self._directory = Directory(self._calendar, settings.partition, settings.partitions)
        self._groups = GroupCache(self._directory, self._calendar, keys)
        self._producers: dict[str, _Producer] = {}
        self._watermark = Watermark(settings.watermark)
        self._coalescer = Coalescer(self._directory, self._calendar)
        self._under_way: FlushPlan | None = None
        self._begun_s = self._planned_s = 0.0
        self._pace = FlushPace(settings.flush_interval_s, settings.flush_duty)
        self._breaker = CircuitBreaker(settings.breaker)
        self._failed_s = self._verified_s = 0.0
        self._fenced = False
        self._stats = OhlcStats(settings.name, "", os.getpid())
        self._figures = FlushFigures(self._stats)
        self._hours = SessionHours(self._directory, self._calendar)
        self._meta: dict[str, int] = {}
        self._recover()

    def __repr__(self) -> str:
        return self._settings.name

    def push(self, head: bytes, ticks: bytes) -> bytes:
        """Take one `Batch` and its ticks; returns a `Reply`. An empty batch is a heartbeat."""
        batch = msgspec.msgpack.decode(head, type=Batch)
        self._retry()
        if self._stats.trouble:
            return self._reply(batch.producer, rewind=True)
        calm = not self._store.busy and not self._coalescer
        if self._stats.trouble_since_ms and calm and time.monotonic() - self._failed_s > STEADY_S:
            self._stats.trouble_since_ms = 0
            self._breaker.succeeded(time.monotonic())
        producer = self._producer(batch.producer)
        if batch.names:
            producer.names.extend(batch.names_from, batch.names)
        rewind = not self._take(producer, batch, np.frombuffer(ticks, TICK))
        if not rewind:
            now_ms = epoch_ms()
            self._stats.newest_event_ms = max(self._stats.newest_event_ms, batch.newest_event_ms)
            if batch.producer:  # the supervisor's heartbeats come from none
                self._watermark.hear(batch.producer, batch.newest_event_ms, now_ms, batch.live)
            if batch.ended:
                self._watermark.end(batch.producer)
        self._advance(wait=batch.idle, bulk=batch.backlog)
        if batch.idle and not self._store.busy and time.monotonic() - self._verified_s > VERIFY_S:
            self._verify(batch.producer)  # nothing else would show that it lost something
        return self._reply(batch.producer, rewind)

    def standing(self, producer: str) -> bytes:
        """A `Standing`: what is committed of a producer, as the store has it now; asked before its first
        batch, after errors, and before a feed ends."""
        self._retry()
        since_ms = self._verify(producer)
        committed = self._producer(producer).intake.committed
        standing = Standing(committed, since_ms, self._counts(producer), self._stats.trouble, self._fenced)
        return msgspec.msgpack.encode(standing)

    def _verify(self, producer: str) -> int:
        """Ask the store whether it still has what it acknowledged, and go back with it if it hasn't; returns
        since when it knows the producer (epoch ms)."""
        if self._stats.trouble:
            return 0
        self._verified_s = time.monotonic()
        known = self._producer(producer).intake.committed
        try:
            stored = self._store.standing(producer, epoch_ms())
            self._stats.round_trip_s = time.monotonic() - self._verified_s
            if stored.committed < known:
                raise OffsetError(f"{producer} is at {stored.committed}, not {known}")
            if stored.closed < self._stats.closed or stored.amended < self._stats.amended:
                raise OffsetError("the store has lost candles it had closed")
            return stored.since_ms
        except (OwnerLostError, OffsetError) as error:  # the store went back: claiming tells how far
            self._fail(error)
            self._retry()
            return self._verify(producer)
        except StoreError as error:
            self._fail(error)
            return 0

    def stats(self) -> bytes:
        """`OhlcStats` as of now."""
        self._stats.instruments = len(self._directory)
        self._stats.unclassified = self._directory.unclassified
        self._stats.ticks_pending = len(self._coalescer)
        self._stats.open_candles = self._directory.open_candles
        self._stats.breaker = self._breaker.state
        self._stats.counts = {name: self._counts(name) for name in self._producers}
        self._stats.samples = dict(self._coalescer.samples)
        self._stats.in_session = self._hours.is_open(epoch_ms())
        self._figures.bring_up_to_date()
        return msgspec.msgpack.encode(self._stats)

    def drain(self, timeout_s: float) -> bool:
        """Commit everything taken; False when the store didn't answer in time."""
        deadline_s = time.monotonic() + timeout_s
        while (self._coalescer or self._store.busy) and not self._stats.trouble:
            if time.monotonic() > deadline_s:
                return False
            self._advance(wait=True, bulk=False)
        return not self._stats.trouble

    def close(self) -> None:
        """Let go of the store; the actor is about to be terminated."""
        self._store.close()
        self._client.close()

    def _take(self, producer: _Producer, batch: Batch, ticks: npt.NDArray[np.void]) -> bool:
        """Whether the batch continues the producer's sequence; then its new ticks are pending."""
        if not producer.names.cover(ticks["instrument"]):
            return False
        fresh = producer.intake.accept(batch.start, len(ticks), batch.oldest)
        if fresh is None:
            return False
        ticks = ticks[fresh]
        if len(ticks):
            self._coalescer.take(Pending(batch.producer, producer.names, ticks))
        return True

    def _advance(self, wait: bool, bulk: bool) -> None:
        """Collect a commit's reply, begin the next one; `wait` for it when nothing else is to do, let ticks
        gather for longer while producers have more than they can send (`bulk`)."""
        try:
            self._collect(
                self._settings.timeout_s if len(self._coalescer) > self._settings.pending_ticks else 0
            )
            full = len(self._coalescer) > self._settings.pending_ticks
            if not self._store.busy and (wait or full or self._pace.due(time.monotonic(), bulk)):
                self._begin()
            if wait and self._store.busy:
                self._collect(IDLE_WAIT_S)
        except StoreError as error:
            self._fail(error)

    def _collect(self, timeout_s: float) -> None:
        if not self._store.busy:
            return
        reply = self._store.poll(timeout_s)
        if reply is None:
            return
        plan, self._under_way = self._under_way, None
        for producer in self._producers.values():
            producer.intake.commit()
        if plan is None:
            return
        for counter, increment in plan.counters.items():
            self._meta[counter] = self._meta.get(counter, 0) + increment
        now_s = time.monotonic()
        self._pace.applied(self._begun_s, now_s)
        self._breaker.succeeded(now_s)
        self._figures.applied(plan, *reply, self._planned_s, now_s - self._begun_s)
        self._stats.trouble_since_ms = 0

    def _begin(self) -> None:
        now_ms = epoch_ms()
        watermark_ms = self._watermark.at(now_ms)
        self._stats.watermark_ms = watermark_ms
        moving = any(producer.intake.waiting for producer in self._producers.values())
        if not moving and not self._directory.due(watermark_ms):
            return
        planning_s = time.monotonic()
        plan = self._coalescer.plan(watermark_ms)
        offsets = [
            (name, *producer.intake.begin())
            for name, producer in self._producers.items()
            if producer.intake.waiting
        ]
        self._store.begin(self._groups.flush_of(plan, offsets), now_ms)
        self._under_way = plan
        self._begun_s = time.monotonic()
        self._planned_s = self._begun_s - planning_s

    def _retry(self) -> None:
        """In trouble, try again as often as the circuit breaker lets; a fenced owner never tries."""
        if self._stats.trouble and not self._fenced and self._breaker.allows(time.monotonic()):
            self._recover()

    def _recover(self) -> None:
        """Claim the partition, or find that it is still ours, and forget all that isn't committed."""
        self._coalescer.clear()
        self._under_way = None
        try:
            claim = self._store.claim(self._uuid)
            ensure_partitions(self._client, self._keys, self._settings.partitions)  # a wiped store forgot it
        except StoreError as error:
            self._fail(error)
            return
        except ConfigError as error:  # it was wiped, and somebody else was quicker
            self._fail(StoreError(str(error)))
            return
        self._meta = claim.meta
        self._directory.reopen(open_ends(claim), [known.name for known in claim.instruments.values()])
        went_back = False
        for name, producer in self._producers.items():
            committed = claim.meta.get(f"offset:{name}", 0)
            if committed < producer.intake.committed:
                went_back = True
                log.warning(
                    "%s: the store went back from offset %d to %d of %s, which sends the rest again",
                    self._settings.name,
                    producer.intake.committed,
                    committed,
                    name,
                )
            producer.intake.reset(committed)
        if went_back:
            self._watermark.reset()  # minutes it has passed are to be filled again
        self._stats.owner = claim.owner
        self._stats.closed, self._stats.amended = claim.meta.get("closed", 0), claim.meta.get("amended", 0)
        self._stats.trouble = ""

    def _fail(self, error: StoreError) -> None:
        """Nothing is taken or committed until a claim succeeds again; a fenced owner stops for good."""
        self._stats.store_errors += 1
        if not self._stats.trouble_since_ms:
            self._stats.trouble_since_ms = epoch_ms()
        self._stats.trouble = str(error)
        self._failed_s = time.monotonic()
        self._breaker.failed(self._failed_s)
        if isinstance(error, FencedError):
            self._fenced = True
            self._stats.trouble = f"fenced: {error}"
            log.error("%s stops, another owner has taken over: %s", self._settings.name, error)
            self._store.close()
        self._stats.last_trouble = self._stats.trouble

    def _producer(self, name: str) -> _Producer:
        known = self._producers.get(name)
        if known is None:
            intake = Intake.at(self._meta.get(f"offset:{name}", 0))
            known = self._producers[name] = _Producer(ProducerNames(self._directory), intake)
        return known

    def _counts(self, producer: str) -> dict[str, int]:
        """The producer's ticks that made no candle, by reason or phase, as committed."""
        prefix = f"count:{producer}:"
        return {k.removeprefix(prefix): v for k, v in self._meta.items() if k.startswith(prefix)}

    def _reply(self, name: str, rewind: bool) -> bytes:
        producer = self._producer(name)
        intake = producer.intake
        settled = not self._store.busy and not self._directory.due(self._watermark.at(epoch_ms()))
        return msgspec.msgpack.encode(
            Reply(
                intake.committed,
                rewind,
                settled and intake.committed == intake.accepted,
                self._stats.trouble,
                self._fenced,
            )
        )
