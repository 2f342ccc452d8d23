"""Raw columns in, valid ticks out; what is refused is counted by reason and sampled for the log."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.model import LARGEST_INTEGER, NULL, TICK, TickColumns

REASONS = (*InstrumentTable.FAULTS, "price", "time", "time_unit", "future", "quantity")
"""Why a tick is rejected here. The first that applies, in this order, is counted."""

_PRICE, _TIME, _TIME_UNIT, _FUTURE, _QUANTITY = range(len(InstrumentTable.FAULTS), len(REASONS))

EARLIEST_MS = 100_000_000_000  # 1973: smaller numbers are epoch seconds
LATEST_MS = 100_000_000_000_000  # 5138: larger numbers are epoch microseconds


@dataclass(slots=True)
class Normalised:
    """Valid ticks in arrival order, the number rejected by reason, and the first of each reason in words."""

    ticks: npt.NDArray[np.void]
    rejected: dict[str, int] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)


def normalise(columns: TickColumns, table: InstrumentTable, now_ms: int, future_ms: int) -> Normalised:
    """Check and convert raw ticks to `TICK` rows.

    A tick is valid when its instrument's name is, price > 0 and finite, time > 0 in epoch milliseconds and at
    most `future_ms` after its receive time (`now_ms` where it has none in ms), and its quantities are null or
    0 … 2**53 - 1. An index has neither volume nor quantity, whatever its feed sends.
    """
    faults = _faults(columns, table, now_ms, future_ms)
    bad = np.flatnonzero(faults)
    result = Normalised(np.empty(0, TICK))
    if len(bad):
        counts = np.bincount(faults[bad], minlength=len(REASONS))
        result.rejected = {REASONS[code]: int(counts[code]) for code in np.flatnonzero(counts)}
        firsts = {code: bad[np.argmax(faults[bad] == code)] for code in np.flatnonzero(counts)}
        result.samples = {REASONS[code]: _describe(columns, table, row) for code, row in firsts.items()}
        keep = faults == 0
        columns = TickColumns(*(getattr(columns, name)[keep] for name in TickColumns.__slots__))
    ticks = np.empty(len(columns), TICK)
    ticks["event_time_ms"] = columns.event_time_ms
    ticks["last_price"] = columns.last_price
    ticks["instrument"] = columns.instrument
    ticks["flags"] = 0
    # NULL is the only negative number left.
    ticks["last_qty"] = np.maximum(columns.last_qty, -1)
    ticks["day_volume"] = np.maximum(columns.day_volume, -1)
    ticks["oi"] = np.maximum(columns.oi, -1)
    indices = table.is_index()[columns.instrument]
    if indices.any():
        ticks["last_qty"][indices] = -1
        ticks["day_volume"][indices] = -1
    result.ticks = ticks
    return result


def _faults(
    columns: TickColumns, table: InstrumentTable, now_ms: int, future_ms: int
) -> npt.NDArray[np.uint8]:
    """A code of `REASONS` for each tick, 0 for valid ones; later lines win over earlier ones."""
    time_ms = columns.event_time_ms
    faults = np.zeros(len(columns), np.uint8)
    for quantity in (columns.last_qty, columns.day_volume, columns.oi):
        faults[(quantity < 0) & (quantity != NULL) | (quantity > LARGEST_INTEGER)] = _QUANTITY
    received = columns.receive_time_ms
    known_ms = np.where((received > 0) & (received < LATEST_MS), received, now_ms)
    faults[time_ms > known_ms + future_ms] = _FUTURE
    faults[(time_ms < EARLIEST_MS) | (time_ms > LATEST_MS)] = _TIME_UNIT
    faults[time_ms <= 0] = _TIME
    faults[~((columns.last_price > 0) & np.isfinite(columns.last_price))] = _PRICE
    names = table.faults()
    if names.any():
        name_faults = names[columns.instrument]
        faults = np.where(name_faults, name_faults, faults)
    return faults


def _describe(columns: TickColumns, table: InstrumentTable, row: int) -> str:
    entry = table.entries[int(columns.instrument[row])]
    values = ", ".join(
        f"{name} {value}"
        for name in ("event_time_ms", "last_price", "last_qty", "day_volume", "oi")
        if (value := getattr(columns, name)[row]) != NULL
    )
    return f"{entry.exchange[:20]!r}|{entry.token[:40]!r} {values}"
