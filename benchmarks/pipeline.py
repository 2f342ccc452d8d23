"""Our pipeline end to end: decoder columns to committed offset, through its real actors, everything on.

Validation, repeats, calendar, offsets, the document's keys and AOF everysec are all on. The tape is made
inside the feed's process before the clock starts; every candle is compared with the tape's own afterwards.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from benchmarks.cpu import cpu_by_process
from benchmarks.tape import Tape, expected_candles, make_tape
from ray_ingest.actors.status import Status
from ray_ingest.candles import Candles
from ray_ingest.config import compose
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.source import digest
from ray_ingest.model import TickColumns
from ray_ingest.pipeline import plan_of, run_plan
from ray_ingest.report import Report
from ray_ingest.store.keys import Keys
from ray_ingest.store.layout import ensure_partitions
from ray_ingest.store.redis import connect

BLOCK_TICKS = 65_536


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """Ticks taken and their rate from first receipt to last commit; from a tick's receipt to its commit's
    arrival at the feed; commits; candles compared and wrong; CPU by process over the run."""

    ticks: int
    wall_s: float
    ticks_per_s: float
    p50_ms: float
    p99_ms: float
    flushes: int
    rows: int
    candles: int
    candles_wrong: int
    cpu_s: dict[str, float] = field(default_factory=dict)


class TapeSource:
    """A tape as a feed; with `ticks_per_s` each tick comes when it is due, at that rate."""

    name = "tape"
    live = False
    paced_by = "receive_time_ms"

    def __init__(
        self, instruments: int, ticks: int, minutes: int, seed: int, ticks_per_s: int | None = None
    ) -> None:
        self.identity = digest("tape", instruments, ticks, minutes, seed, ticks_per_s)
        self._tape = make_tape(instruments, ticks, minutes, seed)
        self._ticks_per_s = ticks_per_s

    @property
    def table(self) -> InstrumentTable:
        """The tape's instruments."""
        return self._tape.table

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """The tape in blocks as a decoder would hand them over."""
        columns = self._tape.columns
        if self._ticks_per_s is not None:
            due_ms = (np.arange(len(columns)) * 1000 // self._ticks_per_s).astype(np.int64)
            columns = dataclasses.replace(columns, receive_time_ms=columns.receive_time_ms[0] + due_ms)
        for first in range(0, len(columns), BLOCK_TICKS):
            yield columns[first : first + BLOCK_TICKS]


def measure(
    url: str,
    namespace: str,
    server_pid: int,
    prefix: str,
    instruments: int,
    ticks: int,
    minutes: int,
    ticks_per_s: int | None = None,
    overrides: tuple[str, ...] = (),
) -> PipelineResult:
    """Run a tape through the pipeline into the store at `url`, on the Ray that is initialised."""
    config = compose(
        ["redis=url", f"redis.url='{url}'", f"redis.prefix='{prefix}'", "metrics.port=null", *overrides]
    )
    client = connect(url)
    ensure_partitions(client, Keys(prefix), config.ingest.partitions)
    client.close()
    plan = plan_of(config, url, namespace)
    source = functools.partial(TapeSource, instruments, ticks, minutes, 7, ticks_per_s)
    feed = dataclasses.replace(
        plan.feeds[0], name="tape", make_source=source, speed=1.0 if ticks_per_s else None
    )
    plan = dataclasses.replace(plan, feeds=[feed])
    last: list[Status] = []

    def watch(status: Status) -> None:
        last[:] = [status]

    with cpu_by_process(server_pid) as cpu:
        report = run_plan(plan, 30.0, threading.Event(), watch)
    status = last[-1]
    candles, wrong = _compare(make_tape(instruments, ticks, minutes, 7), url, prefix)
    return _result(report, status, candles, wrong, cpu)


def _result(
    report: Report, status: Status, candles: int, wrong: int, cpu: dict[str, float]
) -> PipelineResult:
    taken = report.ticks_in - sum(report.ticks_rejected.values())
    return PipelineResult(
        ticks=taken,
        wall_s=report.wall_s,
        ticks_per_s=taken / report.wall_s,
        p50_ms=report.latency_p50_ms or 0.0,
        p99_ms=report.latency_p99_ms or 0.0,
        flushes=sum(owner.flushes for owner in status.owners),
        rows=sum(owner.rows for owner in status.owners),
        candles=candles,
        candles_wrong=wrong,
        cpu_s={name: round(seconds, 2) for name, seconds in cpu.items() if seconds > 0.05},
    )


def _compare(tape: Tape, url: str, prefix: str) -> tuple[int, int]:
    """How many candles the tape makes, and how many of them the store doesn't hold in all five fields."""
    expected = expected_candles(tape)
    with Candles(url, prefix=prefix) as candles:
        frames = [
            candles.history(f"{entry.exchange}|{entry.token}").with_columns(
                pl.lit(number, dtype=pl.UInt32).alias("instrument")
            )
            for number, entry in enumerate(tape.table.entries)
        ]
    stored = pl.concat(frames).with_columns(
        minute=pl.col("timestamp").dt.hour().cast(pl.Int64) * 60 + pl.col("timestamp").dt.minute()
    )
    columns = ["instrument", "minute", "open", "high", "low", "close", "volume"]
    expected, stored = (
        expected.select(columns),
        stored.select(columns).cast(dict(expected.select(columns).schema)),
    )
    right = expected.join(stored, on=columns, how="inner").height
    return expected.height, max(expected.height, stored.height) - right
