"""`python -m benchmarks.upstox_decode`: our decoder against the SDK's own path, frame to dict, by mode.

Both get the same frames of 75 instruments in turn, in one process; rates are ticks a second of its CPU time,
medians over the rounds, so that what else runs on the machine weighs on both alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table
from upstox_client import MarketDataStreamerV3

from ray_ingest.feeds.brokers.upstox_frames import UpstoxDecoder
from ray_ingest.feeds.session.adapter import Keys, Subscription
from tests.venues.upstox import encoding
from tests.venues.venue import VenueTick

WANTED = 8.0
RECEIVED_MS = 1_765_770_000_500
INSTRUMENTS = encoding.PER_FRAME
FRAMES = 20
KEYS = [f"NSE_FO|{35_000 + number}" for number in range(INSTRUMENTS)]


def made_frames(mode: str) -> list[bytes]:
    """Frames of all instruments, other values in each."""
    rng = np.random.default_rng(7)
    made = []
    for number in range(FRAMES):
        columns = rng.integers(1, 10**7, (4, INSTRUMENTS)).tolist()
        made.append(
            encoding.frame(
                [
                    VenueTick(key, price / 20, qty, RECEIVED_MS - 250 * number, volume, oi)
                    for key, price, qty, volume, oi in zip(KEYS, *columns, strict=True)
                ],
                mode,
            )
        )
    return made


def measure(mode: str, rounds: int) -> tuple[float, float, float]:
    """(SDK's ticks/s, ours, ratio) of one mode, the ratio being the median of each round's."""
    frames = made_frames(mode)
    dicts: list[object] = []
    streamer = MarketDataStreamerV3(object(), [], mode)
    streamer.on("message", lambda message: dicts.append(message) if not dicts else None)
    keys = Keys("upstox")
    keys.learn(Subscription(key, key) for key in KEYS)
    decoder = UpstoxDecoder(keys)
    assert all(len(decoder.decode(frame, RECEIVED_MS)) == INSTRUMENTS for frame in frames)

    rates = [
        (
            _rate(frames, 1, lambda frame: streamer.handle_message(None, frame)),
            _rate(frames, 10, lambda frame: decoder.decode(frame, RECEIVED_MS)),
        )
        for _ in range(rounds)
    ]
    assert dicts
    sdk, ours = (statistics.median(column) for column in zip(*rates, strict=True))
    return sdk, ours, statistics.median(ours / sdk for sdk, ours in rates)


def _rate(frames: list[bytes], times: int, decode: Callable[[bytes], object]) -> float:
    began_s = time.process_time()
    for _ in range(times):
        for frame in frames:
            decode(frame)
    return len(frames) * INSTRUMENTS * times / (time.process_time() - began_s)


def main() -> int:
    """Print the table; 1 when a mode is slower than wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstox_decode", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    table = Table("mode", "bytes a frame", "SDK, ticks/s", "ours, ticks/s", "ratio", title="medians")
    slow = False
    for mode in encoding.MODES:
        sdk, ours, ratio = measure(mode, rounds)
        slow |= ratio < WANTED
        size = len(made_frames(mode)[0])
        table.add_row(mode, f"{size:,}", f"{sdk:,.0f}", f"{ours:,.0f}", f"{ratio:.1f}")
    console = Console()
    console.print(table)
    console.print(f"wanted: at least {WANTED:.0f} in every mode")
    return int(slow)


if __name__ == "__main__":
    raise SystemExit(main())
