"""What each producer of a scenario sends, and when: a pure function of the scenario."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tests.chaos.scenario import Scenario

MINUTE_MS = 60_000
DATE = 20251215  # a Monday that is over: keys live their full time, so none goes during a run
MIDNIGHT_MS = 1_765_737_000_000  # 2025-12-15 00:00 IST
OPEN_MINUTE = 555
PRE_OPEN_MINUTES = (540, 547)
BLOCK_S = 0.01
NONE = -1

LATE_SHARE, STALE_SHARE, REPEAT_SHARE = 0.01, 0.02, 0.05
KINDS = ("volume", "volume", "volume", "volume", "index", "tape")
"""Instruments by turns: with a cumulative volume, without any, and a tape of trades with quantities."""

SOURCES = ("sim", "replay", "upstox")
"""Producers by turns call themselves so."""


@dataclass(frozen=True, slots=True)
class Tape:
    """n ticks of one producer in the order they are sent: equal-length vectors.

    `instrument` counts into `names_of`; `due_s` is when a tick is sent, in seconds since the load began,
    ascending; times are epoch ms; -1 is a missing integer.
    """

    instrument: npt.NDArray[np.int64]
    event_time_ms: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    quantity: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]
    oi: npt.NDArray[np.int64]
    due_s: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.due_s)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> Tape:
        return Tape(*(getattr(self, column)[rows] for column in Tape.__slots__))


def names_of(scenario: Scenario) -> list[tuple[str, str]]:
    """(exchange, token) of every instrument."""
    if scenario.calendar == "continuous":
        return [("CRYPTO", f"C{number}") for number in range(scenario.instruments)]
    exchanges = {"volume": ("NSE_EQ", "NSE_FO"), "index": ("NSE_INDEX",), "tape": ("NSE_FO",)}
    names = []
    for number in range(scenario.instruments):
        kinds = exchanges[kind_of(number)]
        names.append((kinds[number // len(KINDS) % len(kinds)], f"I {number}"))
    return names


def kind_of(number: int) -> str:
    """The kind of the instrument of that number."""
    return KINDS[number % len(KINDS)]


def first_minute(scenario: Scenario) -> int:
    """The IST minute the load begins in; a session that never ends has another than the exchange's."""
    return OPEN_MINUTE if scenario.calendar == "nse" else 60 + scenario.seed % 1_200


def tape_of(scenario: Scenario, producer: int) -> Tape:
    """What a producer sends.

    All producers see the same market. One that shares its instruments sees a part of the trades, each with
    the time, price and volume the others see; tapes and instruments that aren't shared belong to one.
    """
    market = _market(scenario)
    rng = np.random.default_rng([scenario.seed, 2, producer])
    own = market.instrument % scenario.producers == producer
    if scenario.shared and scenario.producers > 1:
        is_tape = np.array([kind_of(n) == "tape" for n in range(scenario.instruments)])[market.instrument]
        own = np.where(is_tape, own, rng.random(len(market)) < 0.45)
    return _disturbed(market[np.flatnonzero(own)], scenario, rng)


@lru_cache(maxsize=2)
def _market(scenario: Scenario) -> Tape:
    """Every trade in the order of their times; `due_s` is when it would be sent undisturbed."""
    rng = np.random.default_rng([scenario.seed, 1])
    seen = 0.45 * scenario.producers if scenario.shared and scenario.producers > 1 else 1.0
    n = int(scenario.ticks_per_second * scenario.load_s / seen)
    instrument = np.sort(rng.integers(0, scenario.instruments, n))
    kind = np.array([KINDS.index(kind_of(number)) for number in range(scenario.instruments)])[instrument]
    span_ms = scenario.minutes * MINUTE_MS
    offset_ms = rng.integers(0, span_ms, n)
    order = np.lexsort((offset_ms, instrument))
    offset_ms = offset_ms[order]
    time_ms = MIDNIGHT_MS + first_minute(scenario) * MINUTE_MS + offset_ms
    # An index has no volume to order equal times by, so equal times have equal prices.
    price = 100 + instrument % 50 + (offset_ms * 7_919 + instrument * 31) % 2_000 / 20
    lots = rng.integers(1, 20, n) * 5
    traded = np.cumsum(lots)
    starts = np.flatnonzero(np.diff(instrument, prepend=-1))
    day_volume = 1_000 + traded - np.repeat(traded[starts], np.diff(np.append(starts, n)))
    has_volume, is_tape = kind == KINDS.index("volume"), kind == KINDS.index("tape")
    market = Tape(
        instrument,
        time_ms,
        price,
        np.where(has_volume | is_tape, lots, NONE),
        np.where(has_volume, day_volume, NONE),
        np.where(has_volume & (instrument % 3 == 0), 10 * day_volume, NONE),
        offset_ms / span_ms * scenario.load_s,
    )
    if scenario.calendar == "nse":
        market = _with_pre_open(market, scenario, rng)
    return market[np.argsort(market.due_s, kind="stable")]


def _with_pre_open(market: Tape, scenario: Scenario, rng: np.random.Generator) -> Tape:
    """Before the first trade every third instrument with a volume has some in the pre-open, at once due."""
    number = np.array([n for n in range(0, scenario.instruments, 3) if kind_of(n) == "volume"])
    first_ms, end_ms = (minute * MINUTE_MS for minute in PRE_OPEN_MINUTES)
    time_ms = MIDNIGHT_MS + rng.integers(first_ms, end_ms, len(number))
    early = Tape(
        number,
        time_ms,
        np.full(len(number), 99.95),
        np.full(len(number), 5),
        rng.integers(1, 900, len(number)),
        np.full(len(number), NONE),
        np.zeros(len(number)),
    )
    return Tape(*(np.concatenate([getattr(early, c), getattr(market, c)]) for c in Tape.__slots__))


def _disturbed(tape: Tape, scenario: Scenario, rng: np.random.Generator) -> Tape:
    """Late and overtaken ticks, and repeats, in the order they are sent."""
    n = len(tape)
    lot = rng.random(n)
    ms_per_s = scenario.minutes * MINUTE_MS / scenario.load_s
    delay_s = rng.random(n) * 20 / ms_per_s
    late_share, stale_share = LATE_SHARE * scenario.disorder, STALE_SHARE * scenario.disorder
    late = lot < late_share
    delay_s[late] = rng.uniform(20_000, 130_000, int(late.sum())) / ms_per_s
    stale = (lot >= late_share) & (lot < late_share + stale_share)
    delay_s[stale] = rng.uniform(500, 6_000, int(stale.sum())) / ms_per_s
    due_s = np.minimum(tape.due_s + delay_s, scenario.load_s)
    again = np.flatnonzero(rng.random(n) < REPEAT_SHARE * scenario.disorder)
    rows = np.concatenate([np.arange(n), again])
    due_s = np.concatenate([due_s, np.minimum(due_s[again] + rng.random(len(again)) * 0.01, scenario.load_s)])
    order = np.argsort(due_s, kind="stable")
    sent = tape[rows[order]]
    return Tape(*(getattr(sent, c) for c in Tape.__slots__[:-1]), due_s[order])
