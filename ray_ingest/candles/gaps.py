"""Intervals in which ticks are known to be missing, as the owners of all partitions recorded them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import redis

from ray_ingest.clock import IST

_TIME = pl.Datetime("ms", IST.key)
_SAME = ["start", "end", "producer", "reason", "instrument"]

GAPS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "start": _TIME,
    "end": _TIME,
    "producer": pl.String,
    "reason": pl.String,
    "instrument": pl.String,
    "missing": pl.Int64,
}
"""Columns of `gaps_frame`: event times of the first and the last instant, both included; `instrument` is null
where it is all of the producer's, `missing` where it isn't known how many ticks are."""


def gaps_frame(
    client: redis.Redis, streams: Sequence[str], start_ms: int | None, end_ms: int | None
) -> pl.DataFrame:
    """Gaps that touch [start_ms, end_ms) (epoch ms, None: unbounded) as `GAPS_SCHEMA`, ascending.

    A producer tells all partitions of a gap of all its instruments: that is one row. redis-py's own errors
    pass through.
    """
    with client.pipeline(transaction=False) as pipeline:
        for stream in streams:
            pipeline.xrange(stream)
        entries = [fields for reply in pipeline.execute() for _, fields in reply]
    names = ("from_ms", "to_ms", "producer", "reason", "instrument", "missing")
    texts = {name: [fields[name.encode()].decode() for fields in entries] for name in names}
    missing = pl.col("missing").cast(pl.Int64)
    frame = pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String)).select(
        pl.col("from_ms").cast(pl.Int64).alias("start"),
        pl.col("to_ms").cast(pl.Int64).alias("end"),
        "producer",
        "reason",
        pl.when(pl.col("instrument") != "").then("instrument").alias("instrument"),
        pl.when(missing >= 0).then(missing).alias("missing"),
    )
    if start_ms is not None:
        frame = frame.filter(pl.col("end") >= start_ms)
    if end_ms is not None:
        frame = frame.filter(pl.col("start") < end_ms)
    known = pl.when(pl.col("missing").is_null().any()).then(None).otherwise(pl.col("missing").sum())
    return frame.group_by(_SAME).agg(known.alias("missing")).sort(_SAME).cast(GAPS_SCHEMA)  # type: ignore[arg-type]
