"""Seeded chaos: `python -m tests.chaos [--seeds 200 | 0-199] [--only SEED] [--keep] [--resume]`.

Each seed is a load, a store and one to four faults; afterwards every key of the store is held against a plain
oracle. Exit code 1 if a seed failed. `--resume` leaves out the seeds that passed according to the results.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from ray_ingest.config import compose
from ray_ingest.pipeline import running_ray
from tests.chaos.run import LONGEST_S, run_seed
from tests.chaos.scenario import scenario_of
from tests.chaos.verdict import Verdict

RESULTS = Path(tempfile.gettempdir()) / "ray-ingest-chaos.jsonl"
SLOW_S = 20.0
SHOWN = 8


def main(arguments: list[str]) -> int:
    """Run the seeds; returns the exit code."""
    options = _options(arguments)
    seeds = [options.only] if options.only is not None else _range(options.seeds)
    verdicts = _passed(options.results) if options.resume else {}
    wanted = [seed for seed in seeds if seed not in verdicts]
    began_s = time.monotonic()
    with ExitStack() as stack:
        ray_is_up = False
        for seed in wanted:
            scenario = scenario_of(seed)
            if not scenario.own_driver and not ray_is_up:
                stack.enter_context(running_ray(compose(["ray.dashboard=false"])))
                ray_is_up = True
            verdict = _guarded(seed, options.keep, options.longest_s)
            verdicts[seed] = verdict
            with options.results.open("ab") as results:
                results.write(msgspec.json.encode(verdict) + b"\n")
            runs = f", {verdict.runs} runs" if verdict.runs > 1 else ""
            mark = "FAILED" if verdict.wrong else "ok"
            print(f"{seed:4d} {mark:6s} {verdict.took_s:5.1f} s{runs}  {scenario}", flush=True)
            for line in (*verdict.notes, *verdict.wrong):
                print(f"       {line}", flush=True)
    chosen = [verdicts[seed] for seed in seeds]
    _summary(chosen, time.monotonic() - began_s)
    return int(any(verdict.wrong for verdict in chosen))


def _guarded(seed: int, keep: bool, longest_s: float) -> Verdict:
    """The seed's verdict; what the harness itself raises is a failure, and a harness that hangs ends here."""

    def give_up() -> None:
        print(f"seed {seed}: the harness itself hangs", file=sys.stderr)
        faulthandler.dump_traceback()
        os._exit(3)

    timer = threading.Timer(2 * longest_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        return run_seed(scenario_of(seed), keep, longest_s)
    except Exception as error:  # so that one seed doesn't end two hundred
        return Verdict(seed, [f"{type(error).__name__}: {error}"])
    finally:
        timer.cancel()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", default="200", help="a number of seeds, or a range such as 20-39")
    parser.add_argument("--only", type=int, help="one seed")
    parser.add_argument("--keep", action="store_true", help="keep the files of seeds that fail")
    parser.add_argument("--resume", action="store_true", help="leave out seeds that passed before")
    parser.add_argument("--longest-s", type=float, default=LONGEST_S, help="after that a seed has failed")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"default {RESULTS}")
    return parser.parse_args(arguments)


def _range(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else list(range(int(first)))


def _passed(results: Path) -> dict[int, Verdict]:
    lines = results.read_bytes().splitlines() if results.exists() else []
    verdicts = {v.seed: v for v in (msgspec.json.decode(line, type=Verdict) for line in lines)}
    return {seed: verdict for seed, verdict in verdicts.items() if not verdict.wrong}


def _summary(verdicts: list[Verdict], took_s: float) -> None:
    recoveries: dict[str, list[float]] = {}
    for verdict in verdicts:
        for kind, seconds in verdict.recovery_s:
            recoveries.setdefault(kind, []).append(seconds)
    table = Table("fault", "injected", "recovery p50 s", "p99 s", "longest s")
    for kind in sorted(recoveries):
        seconds = recoveries[kind]
        shares = (f"{value:.2f}" for value in np.percentile(seconds, [50, 99, 100]))
        table.add_row(kind, str(len(seconds)), *shares)
    everything = [seconds for of_kind in recoveries.values() for seconds in of_kind]
    if everything:
        shares = (f"{value:.2f}" for value in np.percentile(everything, [50, 99, 100]))
        table.add_row("all", str(len(everything)), *shares)
    Console().print(table)
    worst = sorted(verdicts, key=lambda v: max((s for _, s in v.recovery_s), default=0), reverse=True)[:SHOWN]
    slowest = ", ".join(f"{v.seed} ({max((s for _, s in v.recovery_s), default=0):.1f} s)" for v in worst)
    print(f"longest recoveries: {slowest}")
    print(f"over {SLOW_S:g} s: {[v.seed for v in verdicts if v.took_s > SLOW_S]}")
    print(f"started more than once: {[v.seed for v in verdicts if v.runs > 1]}")
    failed = [v.seed for v in verdicts if v.wrong]
    print(
        f"{len(verdicts) - len(failed)} of {len(verdicts)} seeds passed in {took_s:.0f} s; failed: {failed}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
