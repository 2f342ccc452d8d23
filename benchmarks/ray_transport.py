"""Bare Ray transport: what moving the pipeline's batches from one actor to another costs, and nothing else.

The producer cuts ready-made wire ticks into batches and keeps a bounded window of calls in flight, oldest
awaited first, as FeedActor does; the consumer looks at the batch's columns and answers with 16 bytes, as the
size of an owner's reply. Neither normalises, aggregates nor stores.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from benchmarks.cpu import cpu_by_process
from ray_ingest.model import TICK

LARGEST_BATCH_BYTES = 96_000  # below Ray's 100 KB limit, arguments travel inside the call
POOL_TICKS = 100_000
REPLY = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class TransportResult:
    """Rate over the whole run; from sending a batch to having its reply, at full load; CPU by process."""

    batches: int
    ticks: int
    wall_s: float
    ticks_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: dict[str, float]


def run(batch_ticks: int = 2_000, window: int = 8, batches: int = 4_000) -> TransportResult:
    """Send `batches` batches of `batch_ticks` ticks with up to `window` calls in flight.

    Ray must be initialised. Its two actors are gone when this returns. Raises ValueError for batches beyond
    96,000 bytes, which would travel through the object store.
    """
    if not 0 < batch_ticks * TICK.itemsize <= LARGEST_BATCH_BYTES:
        raise ValueError(
            f"batches of {batch_ticks} ticks: 1 to {LARGEST_BATCH_BYTES // TICK.itemsize} can be sent"
        )
    # max_concurrency stays 1 and no CPU is asked for: as the pipeline's own actors.
    consumer: Any = ray.remote(num_cpus=0)(TransportConsumer).remote()
    producer: Any = ray.remote(num_cpus=0)(TransportProducer).remote(consumer)
    try:
        ray.get(producer.run.remote(batch_ticks, window, max(batches // 10, window)))  # warm both up
        with cpu_by_process() as cpu_s:
            wall_s, latencies_s = ray.get(producer.run.remote(batch_ticks, window, batches))
    finally:
        ray.kill(producer)
        ray.kill(consumer)
    p50_ms, p99_ms = np.percentile(latencies_s, [50, 99]) * 1_000
    ticks = batches * batch_ticks
    return TransportResult(batches, ticks, wall_s, ticks / wall_s, float(p50_ms), float(p99_ms), cpu_s)


class TransportConsumer:
    """Takes batches in its caller's order."""

    def __init__(self) -> None:
        self._ticks = 0

    def take(self, batch: bytes) -> bytes:
        """Answers (ticks taken so far, event time of the batch's last tick), int64 each."""
        ticks = np.frombuffer(batch, TICK)
        self._ticks += len(ticks)
        return REPLY.pack(self._ticks, ticks["event_time_ms"][-1])


class TransportProducer:
    """Sends batches to one consumer."""

    def __init__(self, consumer: Any) -> None:
        self._take = consumer.take
        self._pool = np.zeros(POOL_TICKS, TICK)
        self._pool["event_time_ms"] = np.arange(POOL_TICKS)
        self._pool["last_price"] = np.random.default_rng(0).random(POOL_TICKS)

    def run(self, batch_ticks: int, window: int, batches: int) -> tuple[float, list[float]]:
        """Send all batches and take all replies: (seconds it took, seconds from each call to its reply).

        Raises RuntimeError when a reply counts no more ticks than the one before it.
        """
        in_flight: deque[tuple[ray.ObjectRef[bytes], float]] = deque()
        latencies_s: list[float] = []
        taken = -1

        def await_oldest() -> None:
            nonlocal taken
            reference, sent_at = in_flight.popleft()
            total, _ = REPLY.unpack(ray.get(reference))
            latencies_s.append(time.perf_counter() - sent_at)
            if total <= taken:
                raise RuntimeError("Ray ran the calls of one caller out of order")
            taken = total

        slices = POOL_TICKS // batch_ticks
        started = time.perf_counter()
        for number in range(batches):
            if len(in_flight) == window:
                await_oldest()
            first = number % slices * batch_ticks
            batch = self._pool[first : first + batch_ticks].tobytes()
            in_flight.append((self._take.remote(batch), time.perf_counter()))
        while in_flight:
            await_oldest()
        return time.perf_counter() - started, latencies_s
