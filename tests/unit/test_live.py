"""What feeds are told is checked before anything starts."""

from pathlib import Path

import pytest

from ray_ingest.config import compose
from ray_ingest.errors import ConfigError
from ray_ingest.live import broker_settings_of


def test_more_instruments_than_the_connections_carry_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, in a line that names the limits, not after Ray has started."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    limits = ["brokers.dhan.connections=1", "brokers.dhan.instruments_per_connection=2"]
    with pytest.raises(ConfigError, match=r"dhan: 3 instruments are too many"):
        broker_settings_of(compose(["feed=dhan", "instruments=[NSE_FO|1,NSE_FO|2,NSE_FO|3]", *limits]))


def test_a_mode_may_allow_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstox gives thirty levels of depth to fifty instruments a connection, whatever it allows elsewhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    few = ["feed=upstox", "instruments=[NSE_FO|1]"]
    deep = broker_settings_of(compose([*few, "brokers.upstox.mode=full_d30"]))["upstox"]
    assert deep.instruments_per_connection == 50
    assert broker_settings_of(compose(few))["upstox"].instruments_per_connection == 2_000
