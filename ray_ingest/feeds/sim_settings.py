"""What the simulated exchange is asked for: its settings, checked, and what follows directly from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ray_ingest.errors import ConfigError
from ray_ingest.model import minute_start_ms

OPEN_MINUTE = 555
CASH_CLOSE_MINUTE = 930
LONGER_DERIVATIVES_FROM = 20260803
MOST_INSTRUMENTS = 100_000
MOST_PER_INSTRUMENT = 100


def close_minute(exchange: str, date: int) -> int:
    """Minute of the day (IST) at which the simulated session of an exchange's instruments ends."""
    longer = exchange.endswith("_FO") and date >= LONGER_DERIVATIVES_FROM
    return CASH_CLOSE_MINUTE + 10 * longer


@dataclass(frozen=True, slots=True)
class SimSettings:
    """Settings of `SimulatedExchange`; equal settings give equal sessions, byte by byte.

    `date` (YYYYMMDD) should be an ordinary trading day; `minutes` are market minutes from 09:15;
    `ticks_per_second` is the mean number of snapshots sent a second of event time by the whole market while
    all segments trade; `repeat_share` is the share of all snapshots that repeat the trade before;
    `late_share` and `stale_share` are shares of the others, an upper bound where an instrument trades too
    rarely to be overtaken; `zipf_exponent` says how uneven the activity of instruments is (0: all equal).
    Raises ConfigError naming `feed.<key>`.
    """

    seed: int = 7
    date: int = 20261120
    indices: int = 5
    equities: int = 60
    futures: int = 35
    options: int = 100
    minutes: int = 30
    ticks_per_second: float = 400.0
    late_share: float = 0.01
    repeat_share: float = 0.05
    stale_share: float = 0.01
    zipf_exponent: float = 0.8

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2^63 - 1")
        _require(_is_date(self.date), "date", self.date, "a date YYYYMMDD, such as 20261120")
        for key in ("indices", "equities", "futures", "options"):
            count = getattr(self, key)
            _require(0 <= count <= MOST_INSTRUMENTS, key, count, f"from 0 to {MOST_INSTRUMENTS}")
        total = self.instrument_count
        _require(total > 0, "indices", self.indices, "above 0 when equities, futures and options are 0")
        longest = close_minute("NSE_FO" if self.futures + self.options else "NSE_EQ", self.date) - OPEN_MINUTE
        _require(1 <= self.minutes <= longest, "minutes", self.minutes, f"from 1 to {longest} on {self.date}")
        most = MOST_PER_INSTRUMENT * total
        rate = self.ticks_per_second
        _require(
            0 < rate <= most, "ticks_per_second", rate, f"above 0, at most {most} for {total} instruments"
        )
        for key, largest in (("late_share", 0.25), ("stale_share", 0.25), ("repeat_share", 0.95)):
            share = getattr(self, key)
            _require(0 <= share <= largest, key, share, f"from 0 to {largest}")
        _require(0 <= self.zipf_exponent <= 2, "zipf_exponent", self.zipf_exponent, "from 0 to 2")

    @property
    def instrument_count(self) -> int:
        """All instruments listed."""
        return self.indices + self.equities + self.futures + self.options

    @property
    def windows_per_minute(self) -> int:
        """Conflation windows a minute: an instrument sends at most one new snapshot in each.

        120 (2 a second), and more where the rate asked for needs it: 2.5 times the mean a instrument, for
        activity is uneven.
        """
        return max(120, math.ceil(60 * 2.5 * self.ticks_per_second / self.instrument_count))


def _is_date(date: int) -> bool:
    try:
        return 19700102 <= date <= 99991231 and minute_start_ms(date, 0) > 0
    except ValueError:
        return False


def _require(good: bool, key: str, value: object, rule: str) -> None:
    if not good:
        raise ConfigError(f"feed.{key}={value}: must be {rule}")
