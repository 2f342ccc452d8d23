"""Three brokers × every fault: the session against the venue, and what came of it.

`python -m tests.venues.matrix --write docs/feeds.md` puts the table between two marks of that file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ray_ingest.core.connection import State
from tests.venues.desk import RECOUNTED_S, Desk
from tests.venues.faults import ALL, FAULTS, Fault
from tests.venues.market import Market

AT_ONCE = 8
WARM_S = 7
AFTERWARDS = 100
NOTICED_WITHIN_S = 5.0
RECOVERED_WITHIN_S = 15.0
UNANSWERED = ("half-open", "stall mid-frame")
BEGIN, END = "<!-- matrix begins -->", "<!-- matrix ends -->"


@dataclass
class Outcome:
    """Of one fault at one broker. `silence_s`: how long nothing had come when the session noticed;
    `recovery_s`: until ticks came again; `longest_pause_s`: for how long the machine kept the session from
    running; `wrong`: what is wrong outside of the gaps it told; `unmarked`: how
    much is if those don't count; `error` is "" or why the run ended early."""

    broker: str
    fault: Fault
    silence_s: float = 0.0
    recovery_s: float = 0.0
    longest_pause_s: float = 0.0
    states: list[State] = field(default_factory=list)
    gaps: int = 0
    wrong: list[str] = field(default_factory=list)
    unmarked: int = 0
    error: str = ""

    def problems(self) -> list[str]:
        """What is not as it should be, in words."""
        seen = self.fault.seen_at(self.broker)
        if self.fault.name in UNANSWERED and self.longest_pause_s > RECOUNTED_S:
            seen |= {State.BACKING_OFF}  # the SDK's own watch over pongs may come first then
        said = f"{', '.join(self.states)}, {self.gaps} gaps"
        found = [self.error] if self.error else self.wrong
        if self.error:
            return found
        if not seen and (self.gaps or set(self.states) != {State.LIVE}):
            found = [*found, f"should have stayed live without a gap: {said}"]
        if seen and (not seen & set(self.states) or not self.gaps):
            found = [*found, f"should have been {' or '.join(seen)}, with a gap told: {said}"]
        if self.silence_s > NOTICED_WITHIN_S:
            found = [*found, f"noticed after {self.silence_s:.1f} s of silence"]
        if self.recovery_s > RECOVERED_WITHIN_S:
            found = [*found, f"recovered after {self.recovery_s:.1f} s"]
        return found


def live_market() -> Market:
    """A market that began a minute ago and lasts long enough."""
    return Market(count=60, minutes=5, start_ms=time.time_ns() // 1_000_000 - 60_000)


def run_fault(broker: str, fault: Fault, market: Market, folder: Path) -> Outcome:
    """One session, one fault."""
    outcome = Outcome(broker, fault)
    with tempfile.TemporaryDirectory(dir=folder) as own, Desk(broker, market, Path(own)) as desk:
        desk.trade()
        desk.wait(lambda: _lasted_s(desk) > WARM_S, "a market in full flow")
        desk.forget_states()
        before = len(desk.gaps)
        since_s = fault.strike(desk)
        desk.wait_new(1)
        outcome.recovery_s = time.monotonic() - since_s
        outcome.longest_pause_s = desk.longest_pause_s
        desk.venue.heal()
        desk.wait_new(AFTERWARDS)
        desk.close()
        outcome.states, outcome.silence_s = desk.states, desk.silence_s
        outcome.gaps = len(desk.gaps) - before
        outcome.wrong = desk.wrong(desk.gaps)
        outcome.unmarked = len(desk.wrong(desk.gaps[:before]))
    return outcome


def run_matrix(folder: Path, brokers: Sequence[str] = ALL, faults: Iterable[Fault] = FAULTS) -> list[Outcome]:
    """All of them, some at a time."""

    def guarded(broker: str, fault: Fault) -> Outcome:
        try:
            return run_fault(broker, fault, live_market(), folder)
        except Exception as error:
            return Outcome(broker, fault, error=f"{type(error).__name__}: {error}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [
            pool.submit(guarded, broker, fault)
            for fault in faults
            for broker in brokers
            if broker in fault.brokers
        ]
        return [run.result() for run in runs]


def table(outcomes: Iterable[Outcome]) -> str:
    """Seconds to the first new tick, as Markdown: a row a fault, a column a broker."""
    cells = {(one.fault.name, one.broker): one for one in outcomes}
    lines = [f"| fault | {' | '.join(ALL)} |", "|---|---:|---:|---:|"]
    for name in dict.fromkeys(name for name, _ in cells):
        row = [_cell(cells.get((name, broker))) for broker in ALL]
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Replace what is between the marks of a file."""
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} should have the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "–"
    if outcome.problems():
        return "failed"
    return f"{outcome.recovery_s:.1f}"


def _lasted_s(desk: Desk) -> float:
    times = [tick.event_time_ms for tick in (*desk.received[:1], *desk.received[-1:])]
    return (times[-1] - times[0]) / 1000 if times else 0.0


def main() -> int:
    """The exit code: 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.venues.matrix", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--broker", choices=ALL, action="append")
    parser.add_argument("--fault", help="only faults with this in their name", default="")
    chosen = parser.parse_args()
    faults = [fault for fault in FAULTS if chosen.fault in fault.name]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_matrix(Path(folder), chosen.broker or ALL, faults)
    text = table(outcomes)
    print(text)
    for one in outcomes:
        for problem in one.problems()[:3]:
            print(f"{one.broker}, {one.fault.name}: {problem}", file=sys.stderr)
    if chosen.write:
        write(chosen.write, text)
    return int(any(one.problems() for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
