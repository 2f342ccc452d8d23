"""What the store must hold after a scenario, from all ticks that were sent: plain numpy and Python.

Nothing here comes from the package; the rules are the design's, written down once more. Since they make
candles depend on the set of ticks only, no order of arrival, batch or fault shows in any of it.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests.chaos.scenario import Scenario
from tests.chaos.tape import DATE, MIDNIGHT_MS, MINUTE_MS, NONE, OPEN_MINUTE, SOURCES, Tape, names_of, tape_of
from tests.oracle.candle_oracle import code, text

SOURCE_BITS = {"other": 1, "sim": 2, "replay": 4, "upstox": 8}
PRE_OPEN, REGULAR, FINAL = 1, 2, 1
RECORD = struct.Struct("<4d4qI3HBBI")
EVENT = struct.Struct("<IHH")


class Record(NamedTuple):
    """A minute's record as docs/store.md lists its fields, without the revision."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int
    volume_low: int
    volume_high: int
    ticks: int
    first_ms: int
    last_ms: int
    source: int
    phase: int
    flags: int


@dataclass
class Expected:
    """What must be there: records by (key stem, IST minute), lists by key, and by partition each feed's
    committed ticks, those of them without a candle, the number of closed candles, and the stems."""

    records: dict[tuple[str, int], Record] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    partition_of: dict[str, int] = field(default_factory=dict)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    without_candle: dict[int, dict[str, int]] = field(default_factory=dict)
    closed: Counter[int] = field(default_factory=Counter)

    @property
    def day_keys(self) -> set[str]:
        """Keys of the day strings."""
        return {f"{stem}{DATE}" for stem in self.partition_of}


def expected_of(scenario: Scenario, prefix: str = "") -> Expected:
    """The state of a store into which everything was committed and in which every minute is closed."""
    names = names_of(scenario)
    expected = Expected()
    partition = np.array([_partition(f"{e}|{t}", scenario.partitions) for e, t in names])
    tapes, sources = [], []
    for producer in range(scenario.producers):
        sent = tape_of(scenario, producer)
        taken = sent[np.flatnonzero(_fresh(sent))]
        name = feed_name(producer)
        dull = (minute_of(taken) < OPEN_MINUTE) & (scenario.calendar == "nse")
        for number in range(scenario.partitions):
            here = partition[taken.instrument] == number
            expected.offsets.setdefault(number, {})[name] = int(here.sum())
            expected.without_candle.setdefault(number, {})[name] = int((here & dull).sum())
        tapes.append(taken)
        sources.append(np.full(len(taken), SOURCE_BITS[SOURCES[producer % len(SOURCES)]]))
    everything = Tape(*(np.concatenate([getattr(tape, c) for tape in tapes]) for c in Tape.__slots__))
    source = np.concatenate(sources)
    order = np.lexsort(
        (everything.event_time_ms, everything.volume, minute_of(everything), everything.instrument)
    )
    everything, source = everything[order], source[order]
    bounds = np.flatnonzero(np.diff(everything.instrument, prepend=-1, append=-1))
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        number = int(everything.instrument[start])
        exchange, token = names[number]
        stem = f"{prefix}{exchange.lower()}:{token.replace(' ', '_')}:"
        expected.names[stem] = f"{exchange}|{token}"
        expected.partition_of[stem] = int(partition[number])
        records = _day(everything[start:end], source[start:end], scenario.calendar == "nse")
        expected.records |= {(stem, minute): record for minute, record in records.items()}
        candles = {minute: record for minute, record in records.items() if record.ticks}
        expected.closed[int(partition[number])] += len(candles)
        for minute, record in candles.items():
            expected.lists[f"{stem}{code(minute)}:"] = _values(record)
        if candles:
            newest = max(candles)
            for suffix in ("_latest_:", "_confirmed_:"):
                expected.lists[stem + suffix] = [*_values(candles[newest]), code(newest)]
    return expected


def feed_name(producer: int) -> str:
    """What the harness calls the feed of that number; its producer's name begins so."""
    return f"f{producer}"


def minute_of(tape: Tape) -> npt.NDArray[np.int64]:
    """The IST minute of each tick."""
    return (tape.event_time_ms - MIDNIGHT_MS) // MINUTE_MS


def _partition(name: str, partitions: int) -> int:
    """As docs/store.md says, of the instrument's name as the key has it."""
    digest = blake2b(name.replace(" ", "_").encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % partitions


def _fresh(sent: Tape) -> npt.NDArray[np.bool_]:
    """Which ticks are no repeat of their producer's previous one of that instrument."""
    order = np.argsort(sent.instrument, kind="stable")
    fresh = np.ones(len(sent), np.bool_)
    same = np.ones(len(sent) - 1, np.bool_)
    for column in (sent.instrument, sent.event_time_ms, sent.volume):
        same &= column[order][1:] == column[order][:-1]
    fresh[order[1:]] = ~same
    return fresh | (sent.volume < 0)


def _day(ticks: Tape, source: npt.NDArray[np.int64], has_pre_open: bool) -> dict[int, Record]:
    """Records by minute of one instrument's ticks, which are ordered by (minute, volume, time, offset)."""
    records = {}
    minutes = minute_of(ticks)
    bounds = np.flatnonzero(np.diff(minutes, prepend=-1, append=-1))
    highest_before = NONE
    lowest_of_day = int(ticks.volume[ticks.volume >= 0].min(initial=2**62))
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        minute, own = int(minutes[start]), ticks[start:end]
        low, high = int(own.volume[0]), int(own.volume[-1])
        if high >= 0:
            volume = max(0, high - highest_before) if highest_before >= 0 else high - lowest_of_day
            highest_before = max(highest_before, high)
        else:
            traded = own.quantity[own.quantity >= 0]
            volume = int(traded.sum()) if len(traded) else NONE
        if has_pre_open and minute < OPEN_MINUTE:
            records[minute] = Record(0, 0, 0, 0, volume, NONE, low, high, 0, 0, 0, 0, PRE_OPEN, 0)
            continue
        records[minute] = Record(
            float(own.price[0]),
            float(own.price.max()),
            float(own.price.min()),
            float(own.price[-1]),
            volume,
            int(own.oi[-1]),
            low,
            high,
            len(own),
            int(own.event_time_ms[0]) % MINUTE_MS,
            int(own.event_time_ms[-1]) % MINUTE_MS,
            int(np.bitwise_or.reduce(source[start:end])),
            REGULAR,
            FINAL,
        )
    return records


def _values(record: Record) -> list[str]:
    prices = [text(price) for price in record[:4]]
    return [*prices, "" if record.volume < 0 else str(record.volume)]
