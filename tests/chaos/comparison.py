"""A store after a run, held against the oracle: every key, every record, every offset."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import redis

from tests.chaos.oracle import EVENT, RECORD, Expected, Record
from tests.chaos.scenario import Scenario
from tests.chaos.tape import DATE

HEADER = struct.Struct("<2sHIHHhhhhHHqq")
OPTIONAL = ("ray_ingest:gaps:",)
"""Keys that are no spare ones for `_keys`: `_events` refuses them, and says why."""

WORST = 12
NO_MINUTE = 0xFFFF


def differences(client: redis.Redis, scenario: Scenario, expected: Expected) -> list[str]:
    """Every difference in words, at most a dozen of a sort; none means that all is right."""
    sorts = (
        _keys(client, scenario, expected),
        _offsets(client, scenario, expected),
        _days(client, expected),
        _lists(client, expected),
        _events(client, scenario, expected),
        _registry(client, scenario, expected),
    )
    return [line for found in sorts for line in _told(list(found))]


def _told(lines: list[str]) -> list[str]:
    return lines if len(lines) <= WORST else [*lines[:WORST], f"… and {len(lines) - WORST} more of these"]


def _keys(client: redis.Redis, scenario: Scenario, expected: Expected) -> Iterable[str]:
    wanted = dict.fromkeys(expected.day_keys, "string") | dict.fromkeys(expected.lists, "list")
    wanted["ray_ingest:partitions"] = "string"
    for number in range(scenario.partitions):
        wanted[f"ray_ingest:meta:{number}"] = "hash"
        wanted[f"ray_ingest:instruments:{number}"] = "hash"
        wanted[f"ray_ingest:closed:{number}"] = "stream"
    names = sorted(key.decode() for key in client.scan_iter(count=10_000))
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.type(name)
        found = {name: kind.decode() for name, kind in zip(names, pipeline.execute(), strict=True)}
    for key, kind in wanted.items():
        if found.get(key) != kind:
            yield f"{key} is {found.get(key, 'missing')}, not a {kind}"
    for key in sorted(found.keys() - wanted.keys()):
        if not key.startswith(OPTIONAL):
            yield f"{key} shouldn't exist"


def _offsets(client: redis.Redis, scenario: Scenario, expected: Expected) -> Iterable[str]:
    if client.get("ray_ingest:partitions") != str(scenario.partitions).encode():
        yield f"ray_ingest:partitions is {client.get('ray_ingest:partitions')!r}"
    for number, feeds in expected.offsets.items():
        meta = {k.decode(): v.decode() for k, v in client.hgetall(f"ray_ingest:meta:{number}").items()}
        offsets = {field.split(":", 1)[1]: int(v) for field, v in meta.items() if field.startswith("offset:")}
        for feed, total in feeds.items():
            own = {producer: v for producer, v in offsets.items() if producer.startswith(f"{feed}-")}
            if list(own.values()) != [total] and (total or any(own.values())):
                yield f"partition {number}: {feed} sent {total:,} ticks, committed are {own}"
            dull = expected.without_candle[number][feed]
            counts = {
                field.rsplit(":", 1)[1]: int(v)
                for field, v in meta.items()
                if field.startswith(f"count:{feed}-")
            }
            if counts != ({"pre_open": dull} if dull else {}):
                yield f"partition {number}: {feed} has {dull} ticks without a candle, counted are {counts}"
        closed = expected.closed[number]
        if int(meta.get("closed", 0)) != closed:
            yield f"partition {number}: {closed} candles, counted as closed {meta.get('closed')}"


def _days(client: redis.Redis, expected: Expected) -> Iterable[str]:
    stems = sorted(expected.partition_of)
    for stem, raw in zip(stems, client.mget([f"{stem}{DATE}" for stem in stems]), strict=True):
        if raw is None:
            continue  # told as a missing key
        header = HEADER.unpack_from(raw)
        first, slots = header[3], header[4]
        own = {minute: r for (s, minute), r in expected.records.items() if s == stem}
        candles = [minute for minute, record in own.items() if record.ticks]
        newest = max(own)
        confirmed = max(candles) - first if candles else -1
        with_volume = [minute for minute, record in own.items() if record.volume_high >= 0]
        first_slot = min(with_volume) - first if with_volume else -1
        lowest = min((own[m].volume_low for m in with_volume), default=-1)
        before = max((own[m].volume_high for m in own if m < newest), default=-1)
        told = (b"RI", 1, DATE, first, slots, newest - first, confirmed, -1, first_slot, 0, 0, before, lowest)
        if header != told:
            yield f"{stem}{DATE}: header {header} instead of {told}"
        found = {}
        for slot in range((len(raw) - HEADER.size) // RECORD.size):
            *values, _revision = RECORD.unpack_from(raw, HEADER.size + slot * RECORD.size)
            if any(values):
                found[first + slot] = Record(*values)
        for minute in sorted(own.keys() | found.keys()):
            if found.get(minute) != own.get(minute):
                yield f"{stem}{DATE} minute {minute}: {_unlike(found.get(minute), own.get(minute))}"


def _unlike(found: Record | None, wanted: Record | None) -> str:
    if found is None or wanted is None:
        return f"{found} instead of {wanted}"
    unlike = [name for name in Record._fields if getattr(found, name) != getattr(wanted, name)]
    return ", ".join(f"{name} {getattr(found, name)} instead of {getattr(wanted, name)}" for name in unlike)


def _lists(client: redis.Redis, expected: Expected) -> Iterable[str]:
    with client.pipeline(transaction=False) as pipeline:
        for key in expected.lists:
            pipeline.lrange(key, 0, -1)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    for (key, wanted), answer in zip(expected.lists.items(), answers, strict=True):
        values = [value.decode() for value in answer] if isinstance(answer, list) else answer
        if values != wanted and values:  # an empty one is told as missing
            yield f"{key} holds {values} instead of {wanted}"


def _events(client: redis.Redis, scenario: Scenario, expected: Expected) -> Iterable[str]:
    """The stream's last word on each candle is the day string's; before it there may be any number."""
    last: dict[tuple[str, int], bytes] = {}
    for number in range(scenario.partitions):
        entries: Any = client.eval(
            "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, f"ray_ingest:closed:{number}"
        )
        for _, pairs in entries:
            for stem, value in zip(pairs[::2], pairs[1::2], strict=True):
                date, minute, _zero = EVENT.unpack_from(value)
                if date != DATE:
                    yield f"{stem.decode()} has an event of {date}"
                last[stem.decode(), minute] = value[EVENT.size :]
    candles = {place: record for place, record in expected.records.items() if record.ticks}
    for place in sorted(candles.keys() | last.keys()):
        *values, _revision = RECORD.unpack(last[place]) if place in last else (0,)
        if place not in candles or tuple(values) != candles[place]:
            yield f"stream: {place} {tuple(values)} instead of {candles.get(place)}"
    for number in range(scenario.partitions):
        if client.exists(f"ray_ingest:gaps:{number}"):
            yield f"ray_ingest:gaps:{number} tells of gaps, though every tick could be sent again"


def _registry(client: redis.Redis, scenario: Scenario, expected: Expected) -> Iterable[str]:
    for number in range(scenario.partitions):
        found = {k.decode(): v for k, v in client.hgetall(f"ray_ingest:instruments:{number}").items()}
        wanted = {
            stem: struct.pack("<IH", DATE, NO_MINUTE) + name.encode()
            for stem, name in expected.names.items()
            if expected.partition_of[stem] == number
        }
        for stem in sorted(found.keys() | wanted.keys()):
            if found.get(stem) != wanted.get(stem):
                yield f"instrument {stem}: {found.get(stem)!r} instead of {wanted.get(stem)!r}"
