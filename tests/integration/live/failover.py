"""Three brokers' venues under load, and the one that counts struck again and again.

    python -m tests.integration.live.failover --times 50 --seed 1

What is measured is how long no tick counted: from the journaling of the last tick of the broker that was
struck to that of the first tick of the one that took over.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from ray_ingest import Candles
from ray_ingest.actors.status import Status
from ray_ingest.actors.supervisor import Plan
from ray_ingest.clock import epoch_ms
from ray_ingest.config import compose
from ray_ingest.pipeline import open_store, plan_of, run_plan, running_ray
from ray_ingest.report import Report
from tests.integration.live.exchange import Exchange
from tests.integration.live.journals import Change, changes, unlike
from tests.integration.run.processes import check_accounts
from tests.servers import Server, running_server
from tests.venues.market import BROKERS, MINUTE_MS, Market

KINDS = ("killed", "muted", "expired")
WORST_S = 2.0
"""Of a takeover, on a machine that lets every process run when it wants to."""
LONE_S = 4.0
"""Less than a lone broker's silence takes to be noticed: of each in the suite, with others beside."""
COUNT = 550
UPDATES = {1: 400.0, 10: 10.0}
"""A minute of an instrument, by the market's pace: some 1,200 snapshots a second of each broker."""
CALM_S = (0.1, 1.5)
FRESH_MS = 700
SETTLED_MS = 300
STRIKE_S, START_S = 8.0, 60.0
"""What one strike takes, recovery included, and the start: the market is made for so long."""
STUCK_S = 60.0
FAR_MS = 10**9
BEHIND_MINUTES = 2

Watch = Callable[[Status], bool]
"""Shown every status of a run; True ends it."""


def exchange_for(folder: Path, strikes: int, pace: int = 10) -> Exchange:
    """One that trades from now on for as long as so many strikes may take. At a pace of 10 a minute lasts six
    seconds: what a broker keeps of its last ten seconds, and sends first, is of minutes that are over; and
    its event times begin behind the clock, as a slow broker's, and end up ahead of it. By the clock (1) the
    minute that has begun may be over at once."""
    minutes = 2 + int((strikes * STRIKE_S + START_S) * pace / 60)
    start_ms = (epoch_ms() // MINUTE_MS - (BEHIND_MINUTES if pace > 1 else 0)) * MINUTE_MS
    market = Market(COUNT, minutes, UPDATES[pace], start_ms=start_ms)
    return Exchange(folder, market, pace=pace)


def plan_for(exchange: Exchange, server: Server, folder: Path, *overrides: str) -> Plan:
    """All brokers of the exchange, as the main job plans them."""
    config = compose(
        [
            *("feed=brokers", "feed.failback_s=3", "session.longest_wait_s=2", "metrics.port=null"),
            *("redis=url", f"redis.url={server.url}", f"journal.folder={folder / 'journal'}"),
            f"ingest.future_ms={FAR_MS}",  # a market that trades faster is ahead of the clock
            *exchange.overrides,
            *overrides,
        ]
    )
    with open_store(config) as store:
        return plan_of(config, store.url, f"test-{uuid4().hex[:8]}")


def by_arrival(plan: Plan) -> Plan:
    """The same with rule 3 switched off: a minute's close and volume are what came last."""
    script = plan.owners[0].scripts["commit"]
    for old, new in (
        ("record[VOLUME_HIGH] = max(high, row_high)", "record[VOLUME_HIGH] = row_high"),
        ("if row_high > high or (row_high == high and", "if true or ("),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)
    scripts = {**plan.owners[0].scripts, "commit": script}
    return replace(plan, owners=[replace(owner, scripts=scripts) for owner in plan.owners])


def run(plan: Plan, exchange: Exchange, watch: Watch) -> Report:
    """Trade until `watch` says so; everything that was taken is committed then, and the accounts add up.

    Raises AssertionError when the market is over before."""
    stop = threading.Event()

    def see(status: Status) -> None:
        if not stop.is_set() and watch(status):
            stop.set()

    with exchange.trading(stop):
        report = run_plan(plan, 60, stop, see)
    check_accounts({name: getattr(report, name) for name in report.__struct_fields__})
    return report


class Strikes:
    """`times` strikes against whoever counts, once all tick and were let alone for `calm_s` seconds (from,
    to): its connections are reset and it refuses new ones, it falls mute, or its token expires. It is healed
    as soon as another one counts."""

    def __init__(
        self, exchange: Exchange, times: int, seed: int, calm_s: tuple[float, float] = CALM_S
    ) -> None:
        self.struck: list[tuple[str, str, int]] = []
        """Kind, broker, and when (epoch ms)."""
        self.whys: list[str] = []
        self.worst_pause_s = 0.0
        self._exchange = exchange
        self._times = times
        self._random = random.Random(seed)
        self._victim = ""
        self._changed_s, self._shown_s = time.monotonic(), 0.0
        self._between_s = calm_s
        self._calm_s = max(calm_s)

    def __call__(self, status: Status) -> bool:
        """The next step, if it is time for one."""
        now_s = time.monotonic()
        if now_s - self._changed_s > STUCK_S:
            raise TimeoutError(f"nothing for {STUCK_S} s after {self.struck[-1:]}: {_shown(status)}")
        if self._shown_s:
            # The driver asks ten times a second: what it waits beyond that goes to other processes.
            self.worst_pause_s = max(self.worst_pause_s, now_s - self._shown_s - 0.2)
        self._shown_s = now_s
        if self._victim and status.active != [self._victim]:
            self.whys.append(status.takeover_why)
            self._heal()
            self._changed_s, self._calm_s = now_s, self._random.uniform(*self._between_s)
        if (
            len(status.active) != 1
            or self._victim
            or now_s - self._changed_s < self._calm_s
            or not settled(status)
        ):
            return False
        if len(self.struck) == self._times:
            return True
        self._strike(status.active[0])
        self._changed_s = now_s
        return False

    def _strike(self, broker: str) -> None:
        kind = KINDS[len(self.struck)] if len(self.struck) < len(KINDS) else self._random.choice(KINDS)
        venue = self._exchange.venues[broker]
        self._victim = broker
        if not self.struck:
            self.worst_pause_s = 0.0  # those of the start don't matter
        self.struck.append((kind, broker, epoch_ms()))
        if kind == "killed":
            venue.refuse(503)
            venue.abort()
        elif kind == "muted":
            venue.mute()
        else:
            venue.expire_token()

    def _heal(self) -> None:
        self._exchange.venues[self._victim].heal()
        if self.struck[-1][0] == "expired":
            self._exchange.renew_token(self._victim)
        self._victim = ""

    def takeovers(self, all_changes: Sequence[Change]) -> list[Change]:
        """For each strike the change that it made: the first one away from its victim that ended after it."""
        return [
            next(change for change in all_changes if change.before == broker and change.after_ms >= at_ms)
            for _kind, broker, at_ms in self.struck
        ]


def settled(status: Status) -> bool:
    """Whether all tick: whoever takes over was well before the last tick that counted was received, so there
    is no gap."""
    at_ms = epoch_ms()
    ticking = [
        feed
        for feed in status.feeds
        if 0 < feed.well_since_ms < at_ms - SETTLED_MS and feed.last_tick_ms > at_ms - FRESH_MS
    ]
    return len(ticking) == len(BROKERS)


def _shown(status: Status) -> str:
    at_ms = epoch_ms()
    feeds = [
        f"{feed.name} ({', '.join(f'{c.state} {c.why}'.strip() for c in feed.connections)}; "
        f"well since {feed.well_since_ms - at_ms}, last tick {feed.last_tick_ms - at_ms} ms)"
        for feed in status.feeds
    ]
    return f"{status.active} counts; {'; '.join(feeds)}"


def summary(strikes: Strikes, folder: Path) -> tuple[list[float], str]:
    """How long each takeover took in seconds, and that for people."""
    takeovers = strikes.takeovers(changes(folder / "journal"))
    took_s = [change.took_s for change in takeovers]
    lines = []
    for kind in KINDS:
        of_kind = [s for s, (struck, *_) in zip(took_s, strikes.struck, strict=True) if struck == kind]
        if of_kind:
            lines.append(f"{kind:8} {_figures(of_kind)}")
    return took_s, "\n".join([*lines, f"{'all':8} {_figures(took_s)}"])


def _figures(took_s: Sequence[float]) -> str:
    p50, p99 = np.percentile(took_s, [50, 99])
    return f"{len(took_s):3} takeovers: p50 {p50:.2f} s, p99 {p99:.2f} s, worst {max(took_s):.2f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """The long run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.live.failover", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=int, default=10, choices=UPDATES)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ri-") as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        exchange = exchange_for(folder, options.times, options.pace)
        strikes = Strikes(exchange, options.times, options.seed)
        with (
            running_ray(compose(["ray.dashboard=false"])),
            running_server(folder / "server") as server,
            exchange,
        ):
            report = run(plan_for(exchange, server, folder), exchange, strikes)
            number, differing = unlike(folder / "journal", server.url, exchange.market)
            with Candles(server.url) as candles:
                gaps = len(candles.gaps())
        took_s, figures = summary(strikes, folder)
    print(figures)
    print(f"{report.ticks_applied:,} ticks of {COUNT} instruments, {report.ticks_per_s:,.0f} a second")
    print(f"{number:,} candles, {len(differing)} differ from the oracle's; {gaps} gaps")
    print(*differing[:10], sep="\n")
    return int(bool(differing or gaps or max(took_s) > WORST_S))


if __name__ == "__main__":
    sys.exit(main())
