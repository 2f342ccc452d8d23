"""The baseline: the design of the document this project grew from, as fast as its own code can be.

One asyncio process; a queue of 2,000,000 ticks; 24 workers that take up to 500 of them and await one EVALSHA
a tick; then one HSET a tick into a shared pipeline that is flushed at 50 operations or every 50 ms, under a
lock. Where the document leaves a choice, the faster one is taken: uvloop, hiredis (for writing too, which
redis.asyncio leaves to Python: 20 % less CPU time), no socket timeout (timeouts and a blocking pool halve
redis-py's rate), no transaction around the pipeline, a script without needless commands, the minute by
integer arithmetic. Its pool of 20 connections makes its 24 workers drop ticks, so ours is larger and each
worker keeps the connection it took: 15 % less.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis
import msgspec
import redis.asyncio
import uvloop

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, TickColumns, minute_code

WORKERS = 24
CONNECTIONS = 32  # more than workers and pipeline use at once, so that no call finds the pool empty
BATCH_TICKS = 500
QUEUE_TICKS = 2_000_000
PIPELINE_OPERATIONS = 50
FLUSH_INTERVAL_S = 0.05
LEAST_TICKS_PER_S = 20_000
NAMESPACE = "document_design:"
SCRIPT = Path(__file__).with_suffix(".lua")

RawTick = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """What the run did; it can be compared with only when `void` is empty."""

    ticks: int
    wall_s: float
    ticks_per_s: float
    candles_seen: int
    ticks_missed: int

    @property
    def void(self) -> str:
        """Why this run is no baseline, or "" for a good one."""
        if self.ticks_missed:
            return f"its candles miss {self.ticks_missed:,} of {self.ticks:,} ticks"
        if self.ticks_per_s < LEAST_TICKS_PER_S:
            return f"{self.ticks_per_s:,.0f} ticks/s is below {LEAST_TICKS_PER_S:,}: the machine was busy"
        return ""


@dataclass(slots=True)
class Candle:
    """The document's candle object, made of each of the script's replies."""

    exchange: str
    token: str
    minute_int: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    timestamp_ms: int


def measure(url: str, ticks: TickColumns, table: InstrumentTable) -> BaselineResult:
    """Run the design over `ticks` on the server at `url` (unix://… or redis://…), on uvloop.

    Its keys begin with `document_design:` and are gone afterwards. Raises redis.RedisError when the server
    fails.
    """
    raw_ticks = _as_dicts(ticks, table)
    gc.collect()
    gc.freeze()  # the tape is ours, not the design's: its collector shall not walk it
    try:
        return uvloop.run(run(url, raw_ticks))
    finally:
        gc.unfreeze()


async def run(url: str, raw_ticks: list[RawTick]) -> BaselineResult:
    """The design over ticks that its parser has made already; timed from the first put to the last flush."""
    pool = redis.asyncio.ConnectionPool.from_url(
        url, max_connections=CONNECTIONS, socket_timeout=None, decode_responses=True
    )
    pool.connection_class = type("Connection", (_PackingInC, pool.connection_class), {})
    client: Any = redis.asyncio.Redis.from_pool(pool)
    try:
        await _delete_keys(client)
        sha = await client.script_load(SCRIPT.read_text())
        async with contextlib.AsyncExitStack() as stack:
            kept = [
                redis.asyncio.Redis(connection_pool=pool, single_connection_client=True)
                for _ in range(WORKERS)
            ]
            workers = [await stack.enter_async_context(one) for one in kept]
            for worker in workers:
                # It has its connection now and is alone on it: no lock and no event for every call.
                worker.single_connection_client = False
            processor = _Processor(client, workers, sha)
            started = time.perf_counter()
            await processor.process(raw_ticks)
            wall_s = time.perf_counter() - started
        volumes = await _candle_volumes(client)
        await _delete_keys(client)
    finally:
        await client.aclose(close_connection_pool=True)
    # Every tick was sent with a quantity of 1, so the candles' volumes add up to the ticks they hold.
    missed = len(raw_ticks) - sum(volumes)
    return BaselineResult(len(raw_ticks), wall_s, len(raw_ticks) / wall_s, len(volumes), missed)


class _PackingInC:
    """What makes a connection write its commands with hiredis, as redis-py's synchronous one does."""

    def pack_command(self, *args: Any) -> list[bytes]:
        return [hiredis.pack_command((*args[0].split(), *args[1:]))]  # a name may be two words: SCRIPT LOAD

    def pack_commands(self, commands: Iterable[tuple[Any, ...]]) -> list[bytes]:
        return [b"".join([hiredis.pack_command(tuple(command)) for command in commands])]


class _Processor:
    """Queue, workers, script calls and the shared pipeline."""

    def __init__(self, client: Any, worker_clients: list[Any], sha: str) -> None:
        self._worker_clients = worker_clients
        self._sha = sha
        self._queue: asyncio.Queue[RawTick] = asyncio.Queue(QUEUE_TICKS)
        self._pipeline = client.pipeline(transaction=False)
        self._pipeline_lock = asyncio.Lock()
        self._pending = 0

    async def process(self, raw_ticks: list[RawTick]) -> None:
        tasks = [asyncio.create_task(self._worker(client)) for client in self._worker_clients]
        flusher = asyncio.create_task(self._flush_regularly())
        for raw_tick in raw_ticks:
            self._queue.put_nowait(raw_tick)
        drained = asyncio.create_task(self._queue.join())
        # Workers and flusher never return: one that is done has failed, and its error is the run's.
        done, _ = await asyncio.wait([drained, flusher, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (drained, flusher, *tasks):
            task.cancel()
        for task in done:
            task.result()
        async with self._pipeline_lock:
            await self._flush()

    async def _worker(self, client: Any) -> None:
        queue = self._queue
        while True:
            batch = [await queue.get()]
            for _ in range(min(BATCH_TICKS - 1, queue.qsize())):
                batch.append(queue.get_nowait())
            for raw_tick in batch:
                await self._process_tick(client, raw_tick)
                queue.task_done()

    async def _process_tick(self, client: Any, raw_tick: RawTick) -> None:
        exchange = raw_tick["exchange"]
        token = raw_tick["token"]
        price = float(raw_tick["last_price"])
        timestamp_ms = int(raw_tick["timestamp_ms"])
        if not exchange or not token or price <= 0 or timestamp_ms <= 0:
            return
        prefix = NAMESPACE + exchange.lower()
        minute = minute_code((timestamp_ms + IST_OFFSET_MS) // MINUTE_MS % DAY_MINUTES)
        reply = await client.evalsha(
            self._sha, 0, prefix, token, str(minute), str(price), str(raw_tick["volume"]), str(timestamp_ms)
        )
        await self._write(prefix, _candle(exchange, token, timestamp_ms, reply))

    async def _write(self, prefix: str, candle: Candle) -> None:
        row = [candle.open, candle.high, candle.low, candle.close, candle.volume]
        encoded = msgspec.json.encode(row).decode()
        async with self._pipeline_lock:
            self._pipeline.hset(f"{prefix}:{candle.token}", str(candle.minute_int), encoded)
            self._pending += 1
            if self._pending >= PIPELINE_OPERATIONS:
                await self._flush()

    async def _flush(self) -> None:
        if self._pending:
            self._pending = 0
            await self._pipeline.execute()

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            async with self._pipeline_lock:
                await self._flush()


def _candle(exchange: str, token: str, timestamp_ms: int, reply: list[str]) -> Candle:
    opening, high, low, close, volume, minute = reply
    return Candle(
        exchange,
        token,
        int(minute),
        float(opening),
        float(high),
        float(low),
        float(close),
        int(volume),
        timestamp_ms,
    )


def _as_dicts(ticks: TickColumns, table: InstrumentTable) -> list[RawTick]:
    """The ticks as that design's parser hands them over, each with a quantity of 1."""
    names = [(entry.exchange, entry.token) for entry in table.entries]
    columns = zip(
        ticks.instrument.tolist(), ticks.last_price.tolist(), ticks.event_time_ms.tolist(), strict=True
    )
    return [
        {
            "broker": "SIM",
            "exchange": names[instrument][0],
            "token": names[instrument][1],
            "last_price": price,
            "volume": 1,
            "timestamp_ms": time_ms,
        }
        for instrument, price, time_ms in columns
    ]


async def _candle_volumes(client: Any) -> list[int]:
    """The volume of every minute candle; a running candle stands for what its minute's key holds."""
    keys = [key async for key in client.scan_iter(f"{NAMESPACE}*:", count=10_000)]
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.lrange(key, 0, -1)
    volumes: dict[str, int] = {}
    running: dict[str, int] = {}
    for key, row in zip(keys, await pipeline.execute(), strict=True):
        if key.endswith(":_latest_:"):
            running[f"{key.removesuffix('_latest_:')}{row[5]}:"] = int(row[4])
        elif not key.endswith(":_confirmed_:"):
            volumes[key] = int(row[4])
    return list((volumes | running).values())


async def _delete_keys(client: Any) -> None:
    keys = [key async for key in client.scan_iter(f"{NAMESPACE}*", count=10_000)]
    for first in range(0, len(keys), 1_000):
        await client.unlink(*keys[first : first + 1_000])
