"""The simulated exchange's settings and listing: refused by name when wrong, realistic when right."""

import pytest

from ray_ingest.core.instruments import name_fault, sanitise
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.sim import SimSettings, SimulatedExchange


def test_names_are_valid_unique_and_share_numbers_across_exchanges() -> None:
    """Every name passes the core's check, none collides, and a BSE stock has an NSE stock's token number."""
    names = SimulatedExchange(SimSettings(indices=40, equities=500)).instruments
    assert not any(name_fault(*name) for name in names)
    assert len({(exchange, sanitise(token)) for exchange, token in names}) == len(names)
    assert ("NSE_INDEX", "Nifty 50") in names
    assert ("NSE_FO", "8765") in names
    nse = {token for exchange, token in names if exchange == "NSE_EQ"}
    bse = [token for exchange, token in names if exchange == "BSE_EQ"]
    assert len(bse) == 50
    assert nse.issuperset(bse)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1), ("date", 20261301), ("date", 2026), ("date", 202611200), ("indices", -1),
        ("equities", 100_001), ("minutes", 0), ("minutes", 386), ("ticks_per_second", 0.0),
        ("ticks_per_second", float("nan")), ("ticks_per_second", 1e9), ("late_share", -0.1),
        ("late_share", 0.3), ("repeat_share", 0.96), ("stale_share", float("inf")), ("zipf_exponent", 3.0),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused_by_name(key: str, value: float) -> None:
    """A setting out of range is one line naming its key, not a session that means something else."""
    with pytest.raises(ConfigError, match=rf"^feed\.{key}=[^\n]+: must be [^\n]+$"):
        SimSettings(**{key: value})  # type: ignore[arg-type]


def test_an_exchange_without_instruments_is_refused() -> None:
    """Nothing to trade is a mistake in the settings."""
    with pytest.raises(ConfigError, match=r"^feed\.indices=0"):
        SimSettings(indices=0, equities=0, futures=0, options=0)


@pytest.mark.parametrize("kind", ["indices", "equities", "futures", "options"])
def test_each_kind_can_stand_alone(kind: str) -> None:
    """A market of one instrument of any kind sends its session."""
    none = {"indices": 0, "equities": 0, "futures": 0, "options": 0}
    settings = SimSettings(**{**none, kind: 1}, minutes=2, ticks_per_second=1)  # type: ignore[arg-type]
    indices = [index for block in SimulatedExchange(settings).blocks() for index in block.index.tolist()]
    assert len(indices) > 50
    assert set(indices) == {0}
