"""`python -m benchmarks`: the document's design, our pipeline and bare transport, in one run on one store."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from rich.console import Console
from rich.table import Table

from benchmarks import document_design, pipeline, ray_transport
from benchmarks.tape import make_tape
from ray_ingest.store.embedded import EmbeddedServer

RESULTS = Path(__file__).parent / "results"
SLOWEST_BASELINE = 20_000
WARM_UP_TICKS = 20_000
BASELINE_TARGET, TRANSPORT_TARGET = 60, 0.3
LATENCY_INSTRUMENTS, LATENCY_TICKS_PER_S = 5_000, 20_000


def main() -> int:
    """Run all parts, print them, write them as JSON; 1 when the run is void."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--instruments", type=int, default=2_000)
    parser.add_argument("--ticks", type=int, default=12_000_000, help="ticks through our pipeline")
    parser.add_argument("--minutes", type=int, default=4, help="market minutes they are spread over")
    parser.add_argument("--baseline-ticks", type=int, default=200_000)
    parser.add_argument("--latency-s", type=int, default=15, help="seconds at 20,000 ticks/s")
    parser.add_argument("--rounds", type=int, default=3, help="of each part, in turn; medians are reported")
    parser.add_argument("--only", choices=["baseline", "pipeline", "transport", "latency"])
    parser.add_argument(
        "overrides", nargs="*", help="settings of our pipeline, such as ingest.window_calls=8"
    )
    options = parser.parse_args()
    console = Console()

    with (
        tempfile.TemporaryDirectory(prefix="ri-bench-") as folder,
        EmbeddedServer.attach(Path(folder) / "store", driver=True, fresh=True) as server,
    ):
        rounds = [_round(options, server, number, console) for number in range(options.rounds)]
    summary = _summary(rounds)
    _show(console, summary)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "ray": ray.__version__}
    path.write_text(
        json.dumps(
            {"machine": machine, "options": vars(options), "summary": summary, "rounds": rounds}, indent=2
        )
    )
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 1 if summary["void"] else 0


def _round(
    options: argparse.Namespace, server: EmbeddedServer, number: int, console: Console
) -> dict[str, dict[str, object]]:
    """One measurement of each part, one after the other; the baseline has the machine without Ray on it."""
    parts: dict[str, dict[str, object]] = {}
    if options.only in (None, "baseline"):
        tape = make_tape(options.instruments, options.baseline_ticks, 1, 7)  # no turns of the minute: kindest
        document_design.measure(server.url, tape.columns[:WARM_UP_TICKS], tape.table)
        parts["baseline"] = asdict(document_design.measure(server.url, tape.columns, tape.table))
    if options.only != "baseline":
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error"
        )
        try:
            parts |= _on_ray(options, server, number)
        finally:
            ray.shutdown()
    line = ", ".join(f"{name} {part['ticks_per_s']:,.0f}/s" for name, part in parts.items())
    console.print(f"round {number + 1}: {line}", highlight=False)
    return parts


def _on_ray(options: argparse.Namespace, server: EmbeddedServer, number: int) -> dict[str, dict[str, object]]:
    """Transport, pipeline and latency, as far as they are wanted."""
    parts: dict[str, dict[str, object]] = {}
    only = options.only
    if only in (None, "transport"):
        parts["transport"] = asdict(ray_transport.run(batch_ticks=2_000, window=16, batches=3_000))
    if only in (None, "pipeline"):
        result = pipeline.measure(
            server.url,
            f"bench-{number}",
            server.pid,
            f"bench{number}:",
            options.instruments,
            options.ticks,
            options.minutes,
            overrides=tuple(options.overrides),
        )
        parts["pipeline"] = asdict(result)
    if only in (None, "latency"):
        result = pipeline.measure(
            server.url,
            f"latency-{number}",
            server.pid,
            f"latency{number}:",
            LATENCY_INSTRUMENTS,
            LATENCY_TICKS_PER_S * options.latency_s,
            1,
            ticks_per_s=LATENCY_TICKS_PER_S,
            overrides=tuple(options.overrides),
        )
        parts["latency"] = asdict(result)
    return parts


def _summary(rounds: list[dict[str, dict[str, object]]]) -> dict[str, object]:
    """Medians over the rounds, ratios of each round, and why the run is void, if it is."""

    def values(part: str, name: str) -> list[float]:
        return [float(r[part][name]) for r in rounds if part in r]  # type: ignore[arg-type]

    def median(part: str, name: str) -> float | None:
        found = values(part, name)
        return statistics.median(found) if found else None

    def ratio(over: str, under: str) -> float | None:
        pairs = zip(values(over, "ticks_per_s"), values(under, "ticks_per_s"), strict=False)
        found = [a / b for a, b in pairs]
        return statistics.median(found) if found else None

    void = []
    if any(missed for missed in values("baseline", "ticks_missed")):
        void.append("the baseline missed ticks")
    if (median("baseline", "ticks_per_s") or SLOWEST_BASELINE) < SLOWEST_BASELINE:
        void.append(f"the baseline ran below {SLOWEST_BASELINE:,} ticks/s")
    for part in ("pipeline", "latency"):
        if any(values(part, "candles_wrong")):
            void.append(f"candles of the {part} run are wrong")
    return {
        "ticks_per_s": {part: median(part, "ticks_per_s") for part in ("baseline", "pipeline", "transport")},
        "pipeline_over_baseline": ratio("pipeline", "baseline"),
        "pipeline_over_transport": ratio("pipeline", "transport"),
        "latency_ms": {name: median("latency", name) for name in ("p50_ms", "p99_ms")},
        "cpu_s": {part: rounds[-1][part]["cpu_s"] for part in rounds[-1] if "cpu_s" in rounds[-1][part]},
        "void": void,
    }


def _show(console: Console, summary: dict[str, object]) -> None:
    table = Table(title="medians")
    for column in ("part", "ticks/s"):
        table.add_column(column, justify="right" if column == "ticks/s" else "left")
    for part, rate in summary["ticks_per_s"].items():  # type: ignore[attr-defined]
        if rate is not None:
            table.add_row(part, f"{rate:,.0f}")
    console.print(table)
    for name, target in (
        ("pipeline_over_baseline", BASELINE_TARGET),
        ("pipeline_over_transport", TRANSPORT_TARGET),
    ):
        if summary[name] is not None:
            console.print(f"{name.replace('_', ' ')}: {summary[name]:.2f} (wanted: at least {target})")
    console.print(f"producer to committed at 20,000 ticks/s, 5,000 instruments: {summary['latency_ms']}")
    for part, seconds in summary["cpu_s"].items():  # type: ignore[attr-defined]
        console.print(f"CPU seconds, {part}: {seconds}", highlight=False)
    for reason in summary["void"]:  # type: ignore[attr-defined]
        console.print(f"VOID: {reason}", style="bold red")


if __name__ == "__main__":
    raise SystemExit(main())
