"""What one seed means: load, store and faults, a pure function of the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

LOAD_S = 4.5
TICKS_PER_SECOND = 52_000
INSTRUMENTS = 500

ACTOR_FAULTS = (
    "feed_kill",
    "feed_stop",
    "feed_kill_after_journal",
    "ohlc_kill",
    "ohlc_stop",
    "ohlc_kill_in_flush",
    "ohlc_zombie",
    "supervisor_kill",
    "supervisor_stop",
)
SERVER_FAULTS = (
    "server_kill",
    "server_stop",
    "server_torn_tail",
    "script_flush",
    "oom",
    "readonly",
    "no_replicas",
    "flushall",
    "wiped",
    "failover",
)
LINK_FAULTS = ("link_drop", "link_half_request", "link_lost_reply", "link_stall")
RAY_FAULTS = ("raylet_kill", "gcs_kill", "driver_kill")
"""These end the whole run's Ray: they happen to a driver in a process of its own."""

ALL_FAULTS = ACTOR_FAULTS + SERVER_FAULTS + LINK_FAULTS + RAY_FAULTS


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` happens `at_s` seconds after the load began; what it needs beyond that lasts `lasts_s`, and
    `choice` (0 ≤ choice < 1) picks a victim, a byte or a variant."""

    kind: str
    at_s: float
    lasts_s: float
    choice: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One seed's run. `shared`: all producers send the same instruments, as brokers do, else each its own.
    `disorder` scales the shares of late, overtaken and repeated ticks. A `live` source can't be read again.
    """

    seed: int
    producers: int
    shared: bool
    partitions: int
    calendar: Literal["nse", "continuous"]
    minutes: int
    server: Literal["valkey", "redis"]
    appendfsync: Literal["always", "everysec"]
    journaled: bool
    faults: tuple[Fault, ...]
    ticks_per_second: int = TICKS_PER_SECOND
    load_s: float = LOAD_S
    instruments: int = INSTRUMENTS
    disorder: float = 1.0
    live: bool = False

    @property
    def own_driver(self) -> bool:
        """Whether it needs a driver that may be killed."""
        return any(fault.kind in RAY_FAULTS for fault in self.faults)

    def __str__(self) -> str:
        faults = ", ".join(f"{fault.kind} at {fault.at_s:.2f} s" for fault in self.faults)
        feeds = f"{self.producers} producer{'s' if self.producers > 1 else ''}"
        if self.producers > 1:
            feeds += " of the same instruments" if self.shared else " of instruments of their own"
        journal = "journaled" if self.journaled else "no journal"
        return (
            f"{feeds}, {self.partitions} partition{'s' if self.partitions > 1 else ''}, {self.calendar}, "
            f"{self.server} {self.appendfsync}, {journal}: {faults or 'no fault'}"
        )


def scenario_of(seed: int) -> Scenario:
    """The scenario of a seed; every kind of fault comes first in one of 26 seeds, others join it."""
    rng = random.Random(f"chaos {seed}")
    kinds = [ALL_FAULTS[seed % len(ALL_FAULTS)]]
    own_driver = kinds[0] in RAY_FAULTS
    # A Ray that starts again takes seconds: what happens beside it happens to the store.
    others = SERVER_FAULTS + LINK_FAULTS if own_driver else ACTOR_FAULTS + SERVER_FAULTS + LINK_FAULTS
    kinds += rng.choices(others, k=rng.choice((0, 0, 1) if own_driver else (0, 1, 1, 2, 2, 3)))
    while kinds.count("failover") > 1:  # one replica is all there is
        kinds.remove("failover")
    faults = [
        Fault(kind, round(rng.uniform(0.4, LOAD_S - 0.6), 3), round(rng.uniform(0.2, 1.5), 3), rng.random())
        for kind in kinds
    ]
    return Scenario(
        seed=seed,
        producers=rng.choice((1, 3)),
        shared=rng.random() < 0.6,
        partitions=rng.choice((1, 1, 1, 2)),
        calendar=rng.choice(("nse", "nse", "continuous")),
        minutes=rng.randint(3, 5),
        server=rng.choice(("valkey", "redis")),
        appendfsync=rng.choice(("always", "everysec")),
        journaled=rng.random() < 0.7,
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
    )
