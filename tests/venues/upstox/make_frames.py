"""`python -m tests.venues.upstox.make_frames`: writes `frames/`, the example for whoever adds a broker.

A frame is a line of hex in NAME.hex, what it decodes to is NAME.json: ticks by the broker's key, and how many
feeds were dropped by reason.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.venues.upstox import encoding
from tests.venues.upstox.twin import Twin
from tests.venues.venue import VenueTick

FOLDER = Path(__file__).parent / "frames"
KEYS = {"NSE_EQ|INE002A01018", "NSE_FO|8765", "NSE_INDEX|Nifty 50"}
TICKS = [
    VenueTick("NSE_EQ|INE002A01018", 1_512.4, 25, 1_765_770_301_250, 1_204_511, None),
    VenueTick("NSE_FO|8765", 145.35, 75, 1_765_770_301_900, 20_481_225, 6_720_450),
    VenueTick("NSE_INDEX|Nifty 50", 24_836.3, None, 1_765_770_302_000, None, None),
]


def examples() -> dict[str, bytes]:
    """Frames by name."""
    no_price = TICKS[0]._replace(last_price=0.0)
    no_time = TICKS[1]._replace(event_time_ms=0)
    unknown = TICKS[2]._replace(key="NSE_INDEX|Nifty Bank")
    by_mode = {mode: encoding.frame(TICKS, mode) for mode in encoding.MODES[:3]}
    return {
        **by_mode,
        "initial_feed": encoding.frame(TICKS, "full", encoding.INITIAL),
        "market_info": encoding.market_info(1_765_770_300_000),
        "dropped": encoding.frame([no_price, no_time, unknown], "full"),
        "truncated": by_mode["ltpc"][: len(by_mode["ltpc"]) // 2],
    }


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(exist_ok=True)
    for name, payload in examples().items():
        twin = Twin(payload, KEYS)
        expected = {
            "ticks": {key: tick._asdict() for key, tick in sorted(twin.ticks.items())},
            "dropped": dict(sorted(twin.dropped.items())),
        }
        (FOLDER / f"{name}.hex").write_text(payload.hex() + "\n")
        (FOLDER / f"{name}.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
