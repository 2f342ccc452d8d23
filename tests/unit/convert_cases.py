"""What the converter's tests share."""

from pathlib import Path

import pytest

from ray_ingest.convert import main

TICK = {
    "exchange": "NSE_FO",
    "token": "51460",
    "event_time_ms": 1765771372063,
    "last_price": 524.3,
    "last_qty": 35,
    "day_volume": 231350,
    "oi": 338625,
    "receive_time_ms": 1765771372100,
    "source": "upstox",
}


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """The exit code and the single line with which a command line is refused."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return code, err
