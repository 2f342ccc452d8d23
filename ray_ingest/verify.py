"""Is what the store holds right? The simulated exchange knows, and says so for every candle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ray_ingest.candles import Candles
from ray_ingest.config import AppConfig, SimFeedConfig
from ray_ingest.core.instruments import sanitise
from ray_ingest.errors import RayIngestError, UnknownInstrumentError
from ray_ingest.feeds.sim import SimulatedExchange
from ray_ingest.feeds.sim_oracle import OracleCandle, OracleCandles, exchange_candles, snapshot_candles
from ray_ingest.feeds.sim_settings import SimSettings
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, Flag, date_number
from ray_ingest.store.layout import producers_in

DAY_MS = DAY_MINUTES * MINUTE_MS


class WrongCandlesError(RayIngestError):
    """The store's candles differ from the oracle's."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many candles the oracle states, how many of those the store holds equal in all fields, how many
    the store has beyond them or still running, how many equal ones also equal the exchange's own, and the
    first wrong ones in words."""

    expected: int
    equal: int
    extra: int
    equal_to_exchange: int
    wrong: list[str]


def can_verify(config: AppConfig, url: str) -> str:
    """Why this run's candles can't be held against the simulated exchange; "" when they can."""
    if not isinstance(config.feed, SimFeedConfig) or config.feed.forever:
        return "only a bounded simulation has an oracle"
    phases, continuous = config.calendar["candle_phases"], config.calendar["name"] == "continuous"
    if phases != ["regular", "closing_auction"] and not continuous:
        return "the oracle knows the default candle phases only"
    if not config.filter.settings.idle:
        return "the filter drops ticks the oracle counts"
    if len(producers_in(url, config.redis.prefix)) > 1:
        return "the store also holds ticks of other runs; redis.fresh=true starts with an empty one"
    return ""


def verify(settings: SimSettings, continuous: bool, url: str, prefix: str) -> Verdict:
    """Hold every candle in the store against the oracle, and against the exchange's own."""
    exchange = SimulatedExchange(settings)
    expected = snapshot_candles(exchange, continuous=continuous)
    own = exchange_candles(exchange)
    with Candles(url, prefix=prefix) as candles:
        stored, running = stored_candles(candles, expected)
    equal = [key for key, candle in expected.items() if stored.get(key) == candle]
    wrong = [
        f"{exchange_name}|{token} {np.datetime64(start + IST_OFFSET_MS, 'ms')}: "
        f"{stored.get((exchange_name, token, start))} instead of {candle}"
        for (exchange_name, token, start), candle in expected.items()
        if stored.get((exchange_name, token, start)) != candle
    ]
    same = sum(key in own and own[key][:5] == expected[key][:5] for key in equal)
    return Verdict(len(expected), len(equal), len(stored.keys() - expected.keys()) + running, same, wrong[:3])


def stored_candles(candles: Candles, expected: OracleCandles) -> tuple[OracleCandles, int]:
    """What the store holds for the instruments and days of `expected`, read through the API, and how many of
    those candles are still running: none after a bounded feed has ended."""
    found: OracleCandles = {}
    running = 0
    wanted = {(exchange, token, (start + IST_OFFSET_MS) // DAY_MS) for exchange, token, start in expected}
    for exchange, token, day_number in sorted(wanted):
        date = str(date_number(day_number))
        try:
            day = candles.day(f"{exchange}|{sanitise(token)}", f"{date[:4]}-{date[4:6]}-{date[6:]}")
        except UnknownInstrumentError:
            continue
        if day is None:
            continue
        for start_ms, record in zip(day.start_ms().tolist(), day.records, strict=True):
            if record["ticks"]:
                running += not record["flags"] & Flag.FINAL
                found[exchange, token, start_ms] = OracleCandle(
                    float(record["open"]),
                    float(record["high"]),
                    float(record["low"]),
                    float(record["close"]),
                    None if record["volume"] < 0 else int(record["volume"]),
                    int(record["ticks"]),
                    None if record["oi"] < 0 else int(record["oi"]),
                )
    return found, running
