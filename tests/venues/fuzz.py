"""`python -m tests.venues.fuzz`: mutated frames through the brokers' decoders, against a plain twin of each.

A broker's `tests.venues.<broker>.fuzz` has `mutants(seed, n)`, which gives frames, and `check(payload)`,
which raises AssertionError when the decoder and its twin differ. A frame that takes longer than a second of
CPU time fails too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from types import FrameType
from typing import Any

from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import Keys

BROKERS = ("upstox", "fyers", "dhan")
BATCH = 10_000
FRAME_LIMIT_S = 1.0


@dataclass
class Outcome:
    """Of one batch: `failure` is "" or the frame, its seed and what was wrong."""

    frames: int = 0
    ticks: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    failure: str = ""


class HangError(BaseException):
    """A frame took longer than FRAME_LIMIT_S; no Exception, so that no decoder can swallow it."""


def run_batch(broker: str, seed: int, frames: int) -> Outcome:
    """Check so many mutants of one seed, up to the first failure; on the main thread, for its alarm."""
    module = import_module(f"tests.venues.{broker}.fuzz")
    outcome = Outcome()
    with counted(type(adapter_of(broker).decoder(Keys(broker))), outcome):
        for payload in module.mutants(seed, frames):
            try:
                with time_limit(FRAME_LIMIT_S):
                    module.check(payload)
            except (Exception, HangError) as error:
                outcome.failure = (
                    f"{broker}, seed {seed}, frame {outcome.frames}: {type(error).__name__} {error}\n"
                    f"  frame: {payload.hex()}"
                )
                break
            outcome.frames += 1
    return outcome


@contextmanager
def counted(decoder: Any, outcome: Outcome) -> Iterator[None]:
    """Meanwhile every decode of this class adds its ticks and drops to the outcome."""
    plain: Callable[..., Any] = decoder.decode

    def decode(self: Any, payload: bytes, received_ms: int) -> Any:
        before = Counter(self.dropped)
        columns = plain(self, payload, received_ms)
        outcome.ticks += len(columns)
        outcome.drops.update(self.dropped - before)
        return columns

    decoder.decode = decode
    try:
        yield
    finally:
        decoder.decode = plain


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise HangError in the block once it has taken so long, by the process's own CPU time."""

    def late(signum: int, frame: FrameType | None) -> None:
        raise HangError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run(broker: str, frames: int, seed: int) -> bool:
    """All of one broker's frames on every core; prints what came of them, True when all were right."""
    began = time.monotonic()
    total = Outcome()
    sizes = [min(BATCH, frames - start) for start in range(0, frames, BATCH)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        batches = [pool.submit(run_batch, broker, seed + number, size) for number, size in enumerate(sizes)]
        for batch in batches:
            done = batch.result()
            total.frames += done.frames
            total.ticks += done.ticks
            total.drops.update(done.drops)
            if done.failure:
                total.failure = done.failure
                pool.shutdown(cancel_futures=True)
                break
    drops = ", ".join(f"{reason} {count:,}" for reason, count in sorted(total.drops.items())) or "nothing"
    print(
        f"{broker}: {total.frames:,} frames, {total.ticks:,} ticks, dropped {drops}; "
        f"{time.monotonic() - began:.0f} s"
    )
    if total.failure:
        print(f"FAILED {total.failure}")
    return not total.failure


def main() -> int:
    """The exit code: 1 when a frame failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.venues.fuzz", description=__doc__)
    parser.add_argument("--broker", choices=(*BROKERS, "all"), default="all")
    parser.add_argument("--frames", type=int, default=1_000_000, help="for each broker")
    parser.add_argument("--seed", type=int, default=1, help="of the first 10,000 frames")
    chosen = parser.parse_args()
    brokers = BROKERS if chosen.broker == "all" else (chosen.broker,)
    results = [run(broker, chosen.frames, chosen.seed) for broker in brokers]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
