"""Instrument masters of what a venue lists, where the product looks for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from ray_ingest.clock import today
from ray_ingest.instruments.columns import SCHEMA
from ray_ingest.instruments.stored import write_master

TICK_SIZE = 0.05


def write_listing(state_home: Path, broker: str, listed: Iterable[tuple[str, str]]) -> None:
    """Store today's master of a broker with these (name, key) in the state folder `state_home`. Everything is
    an instrument without expiry in it, so that brokers' rows are one by their names alone."""
    rows = [
        {"segment": segment, "token": token, "name": name, "key": key, "symbol": f"{segment}{token}",
         "kind": "index" if segment.endswith("_INDEX") else "equity"}
        for name, key in listed
        for segment, _, token in [name.partition("|")]
    ]  # fmt: skip
    master = (
        pl.DataFrame(rows, schema_overrides={"tick_size": pl.Float64()})
        .with_columns(
            *(pl.lit("").alias(column) for column, kind in SCHEMA.items() if kind == pl.String()
              and column not in rows[0]),
            *(pl.lit(None, kind).alias(column) for column, kind in SCHEMA.items() if kind != pl.String()),
        )
        .with_columns(tick_size=pl.lit(TICK_SIZE))
        .select(*SCHEMA)
    )  # fmt: skip
    write_master(state_home / "ray-ingest" / "instruments", today(), broker, master)
