"""The instruments of the simulated exchange and what each is like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_ingest.feeds.sim_settings import SimSettings, close_minute

INDEX_NAMES = (
    "Nifty 50", "Nifty Bank", "Nifty Fin Service", "NIFTY MID SELECT", "Nifty Next 50", "India VIX",
    "Nifty 100", "Nifty IT", "Nifty Auto", "Nifty FMCG", "Nifty Metal", "Nifty Pharma", "Nifty Realty",
)  # fmt: skip
EQUITY_TOKENS = (1333, 2885, 1594, 11536, 3045)
"""NSE's tokens of HDFC Bank, Reliance, Infosys, TCS and SBI; the others count up from `FIRST_TOKEN`."""
FIRST_TOKEN = 12_001
FIRST_FUTURE = 8_765
FIRST_CONTRACT = 35_001
BSE_EVERY = 10
"""Each tenth equity is the BSE listing, under the same token number, of an NSE one."""

TICKS_PER_RUPEE = 20
"""Tick size 0.05."""


@dataclass(frozen=True, slots=True)
class Listing:
    """n instruments in the order indices, equities, futures, options; every vector has length n.

    `open_price` is in tick sizes; `step` the least price move, in tick sizes; `family` the row of the index
    or equity an instrument follows, by `beta` times its move (negative: a put); `activity` sums to 1.
    """

    names: list[tuple[str, str]]
    open_price: npt.NDArray[np.float64]
    step: npt.NDArray[np.int64]
    family: npt.NDArray[np.int64]
    beta: npt.NDArray[np.float64]
    lot: npt.NDArray[np.int64]
    activity: npt.NDArray[np.float64]
    close_minute: npt.NDArray[np.int64]
    is_index: npt.NDArray[np.bool_]
    is_equity: npt.NDArray[np.bool_]
    is_future: npt.NDArray[np.bool_]
    has_oi: npt.NDArray[np.bool_]


def listing_of(settings: SimSettings) -> Listing:
    """The listing that belongs to the settings; the same for the same settings."""
    rng = np.random.default_rng([settings.seed, 0])
    names = instrument_names(settings)
    n = len(names)
    kind = np.repeat(np.arange(4), [settings.indices, settings.equities, settings.futures, settings.options])
    underlyings = settings.indices + settings.equities
    rows = np.arange(n)
    # With neither index nor equity listed, each contract is its own underlying.
    family = np.where(kind < 2, rows, (rows - underlyings) % max(underlyings, 1) if underlyings else rows)
    price = np.choose(kind, [rng.uniform(12e3, 80e3, n), rng.lognormal(6.7, 0.8, n), rng.uniform(300, 3e3, n),
                             rng.uniform(40, 600, n)])  # fmt: skip
    if underlyings:
        price = np.where(kind == 2, price[family] * 1.004, price)
    open_price = np.maximum(1.0, np.round(price * TICKS_PER_RUPEE))
    calls_and_puts = np.where(rows % 2, -0.5, 0.5)
    activity = rng.permutation(np.arange(1, n + 1)).astype(np.float64) ** -settings.zipf_exponent
    return Listing(
        names=names,
        open_price=open_price,
        step=np.maximum(1, np.round(open_price * 1e-5)).astype(np.int64),
        family=family,
        beta=np.where(kind == 3, calls_and_puts, 1.0),
        lot=np.where(kind < 2, 1, rng.choice(np.array([20, 35, 65, 75, 250, 550]), n)),
        activity=activity / activity.sum(),
        close_minute=np.array([close_minute(exchange, settings.date) for exchange, _ in names]),
        is_index=kind == 0,
        is_equity=kind == 1,
        is_future=kind == 2,
        has_oi=kind >= 2,
    )


def instrument_names(settings: SimSettings) -> list[tuple[str, str]]:
    """(exchange, token) of each instrument, all different."""
    extra = range(len(INDEX_NAMES), settings.indices)
    indices = [*INDEX_NAMES[: settings.indices], *(f"Nifty Strategy {number}" for number in extra)]
    equities: list[tuple[str, str]] = []
    for row in range(settings.equities):
        if row % BSE_EVERY == BSE_EVERY - 1:
            equities.append(("BSE_EQ", equities[row - BSE_EVERY + 1][1]))
        else:
            token = EQUITY_TOKENS[row] if row < len(EQUITY_TOKENS) else FIRST_TOKEN + 3 * row
            equities.append(("NSE_EQ", str(token)))
    contracts = [FIRST_CONTRACT + row for row in range(settings.futures + settings.options)]
    if settings.futures:
        contracts[0] = FIRST_FUTURE
    return [
        *(("NSE_INDEX", name) for name in indices),
        *equities,
        *(("NSE_FO", str(token)) for token in contracts),
    ]
