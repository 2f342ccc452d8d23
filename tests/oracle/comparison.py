"""What the oracle says, compared with what the store holds, byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

from ray_ingest.model import CANDLE, DAY_HEADER, date_number
from tests.oracle.candle_oracle import Minute, OracleDay, OracleInstrument, record_bytes
from tests.oracle.flushes import INSTRUMENTS, stem


def assert_day(key: str, raw: bytes, hours: tuple[int, int], day: OracleDay) -> None:
    """Header and every record of a day string whose hours are [first, end) minutes; without a trace a day is
    all empty."""
    first, end = hours
    header = np.frombuffer(raw, DAY_HEADER, 1)[0]
    named = (header["magic"], header["version"], header["first_minute"], header["slots"])
    assert named == (b"RI", 1, first, end - first)
    empty = Minute(0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0, 0)
    minutes = {m: empty._replace(phase=phase) for m, phase in day.gaps.items()} | day.minutes()
    finals = [minute for minute in minutes if minute in day.final]
    assert header["confirmed_slot"] == (max(finals) - first if finals else -1)
    running = day.open_minute()
    assert header["open_slot"] == (-1 if running is None else running - first)
    assert len(raw) <= DAY_HEADER.itemsize + (end - first) * CANDLE.itemsize
    for minute in range(first, end):
        start = DAY_HEADER.itemsize + (minute - first) * CANDLE.itemsize
        # Readers take the end of a short string for empty records.
        record = raw[start : start + CANDLE.itemsize].ljust(CANDLE.itemsize, b"\0")
        expected = bytes(CANDLE.itemsize)
        if minute in minutes:
            final, gap = minute in day.final, minute in day.gaps
            expected = record_bytes(minutes[minute], final, day.revision.get(minute, 0), gap)
        assert record == expected, (key, minute, np.frombuffer(record, CANDLE), minutes.get(minute))


def assert_registry(registry: Mapping[bytes, bytes], oracles: Mapping[int, OracleInstrument]) -> None:
    """The instruments hash names each instrument's newest day and running minute."""
    for number, oracle in oracles.items():
        value = registry.get(stem(number).encode())
        if value is None:
            assert not any(day.touched() or day.gaps for day in oracle.days.values())
            continue
        date, minute = struct.unpack_from("<IH", value)
        running = oracle.days[oracle.newest].open_minute()
        assert (date, minute) == (date_number(oracle.newest), 0xFFFF if running is None else running)
        assert value[6:].decode() == INSTRUMENTS[number]
