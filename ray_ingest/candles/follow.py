"""Closed and amended candles as the store's streams bring them."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

import redis

from ray_ingest.errors import ConfigError
from ray_ingest.store.records import Candle, candle_of, parse_event
from ray_ingest.store.registry import Registry

_POSITION = re.compile(r"\$|\d+(-\d+)?")
_ENTRIES_PER_READ = 64  # each holds all candles of one flush, thousands at a minute's end
_NO_ENTRY = "0-0"


def stream_positions(client: redis.Redis, streams: list[str], from_id: str) -> dict[str, str]:
    """The entry after which to read each stream: `from_id`, or for "$" the newest one there is now.

    "$" is resolved once, here: sent with each XREAD it would lose what arrives between two of them.
    Raises ConfigError for what is no stream id.
    """
    if not _POSITION.fullmatch(from_id):
        raise ConfigError(f"from_id {from_id!r} is not a stream id: use $ (new ones), 0 (all kept) or MS-SEQ")
    if from_id != "$":
        return dict.fromkeys(streams, from_id)
    with client.pipeline(transaction=False) as pipeline:
        for stream in streams:
            pipeline.xrevrange(stream, count=1)
        newest = pipeline.execute()
    return {
        stream: entries[0][0].decode() if entries else _NO_ENTRY
        for stream, entries in zip(streams, newest, strict=True)
    }


def closed_candles(
    client: redis.Redis,
    registry: Registry,
    positions: dict[str, str],
    stems: frozenset[str] | None,
    block_ms: int,
    open_still: Callable[[], bool],
) -> Generator[Candle, None, None]:
    """Candles in the order their partition closed or amended them, waiting in the server for the next ones.

    `positions` maps each partition's stream, in order, to the entry after which to read, and is moved on;
    `stems` limits the candles to some instruments. Ends when `open_still` says no, asked every `block_ms`.
    The `client` should serve nothing else: what it makes of XREAD is changed.
    """
    # redis-py's own parser makes a dict of an entry's pairs and so loses a field's second value.
    client.set_response_callback("XREAD", lambda reply, **_options: reply)
    partitions = {stream.encode(): partition for partition, stream in enumerate(positions)}
    while open_still():
        command = ("XREAD", "COUNT", _ENTRIES_PER_READ, "BLOCK", block_ms, "STREAMS", *positions)
        reply: Any = client.execute_command(*command, *positions.values())  # type: ignore[no-untyped-call]
        for stream, entries in reply or []:
            for entry_id, pairs in entries:
                positions[stream.decode()] = entry_id.decode()
                for field, value in zip(pairs[::2], pairs[1::2], strict=True):
                    candle = _candle(registry, partitions[stream], field.decode(), value, stems)
                    if candle is not None:
                        yield candle


def _candle(
    registry: Registry, partition: int, stem: str, value: bytes, stems: frozenset[str] | None
) -> Candle | None:
    if stems is not None and stem not in stems:
        return None
    event = parse_event(value)
    return candle_of(registry.name_of(partition, stem), event.date, event.minute, event.record)
