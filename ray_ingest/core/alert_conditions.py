"""What is wrong at the moment, in words for people: every trouble worth an alert and its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ray_ingest.core.connection import ConnectionStatus, State

COUNTED_MS = 90_000
"""What is counted rather than lasting (gaps, restarts) is over when so long nothing was added."""

SILENT_MS = 20_000
"""An actor that starts, or is being replaced, may be silent for less."""

GAPS_COMMAND = "python -m ray_ingest.candles gaps"
"""Lists the gaps of a store that is where it is without settings."""

_NOT_LIVE = (State.STALE, State.BACKING_OFF, State.STOPPED)


@dataclass(frozen=True, slots=True)
class Condition:
    """One trouble. `key` names it as long as it lasts, also in subjects; `since_ms` is epoch ms, `section` of
    the runbook, and `command` shows more ("": none does). Should `grade` rise, it has become worse, and
    people are told again."""

    key: str
    what: str
    since_ms: int
    mend: str
    section: str
    grade: int = 0
    command: str = ""


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """One feed: the state of its actor, `error` if it failed, what keeps it waiting, and its connections."""

    name: str
    state: str
    error: str = ""
    waits_for: str = ""
    connections: tuple[ConnectionStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Since the run began; `lag_ms` is the 99th percentile from a tick's receipt to its commit, of late."""

    ticks: int = 0
    candles: int = 0
    gaps: int = 0
    dropped: int = 0
    lag_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """How a run is at one moment; times in epoch ms. Restarts and silence are by actor, `gaps` by feed."""

    now_ms: int
    feeds: tuple[FeedHealth, ...] = ()
    store_trouble: str = ""
    store_since_ms: int = 0
    silent_since_ms: Mapping[str, int] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)
    gaps: Mapping[str, int] = field(default_factory=dict)
    totals: Totals = Totals()


class Conditions:
    """The conditions of successive observations. It remembers only when counters grew."""

    def __init__(self, gaps_command: str = GAPS_COMMAND) -> None:
        self._gaps_command = gaps_command
        self._counts: dict[str, _Count] | None = None

    def of(self, health: Health) -> list[Condition]:
        """All that is wrong, the store first, then feeds and actors in their order; no key twice."""
        found: list[Condition] = []
        if health.store_trouble:
            found.append(
                Condition(
                    "store",
                    f"{health.store_trouble}; ticks wait meanwhile",
                    health.store_since_ms,
                    "see that the store runs, answers and has memory and disk left; nothing else needs doing",
                    "The store is away",
                )
            )
        for feed in health.feeds:
            found += _of_feed(feed, health.now_ms)
        for name, since_ms in health.silent_since_ms.items():
            if health.now_ms - since_ms < SILENT_MS:
                continue
            found.append(
                Condition(
                    f"{name} silent",
                    f"{name} does not answer",
                    since_ms,
                    "nothing if it is replaced within a minute; else look at the machine's load and memory",
                    "An actor is silent",
                )
            )
        return found + self._counted(health)

    def _counted(self, health: Health) -> list[Condition]:
        values = {f"{name} restarted": number for name, number in health.restarts.items()}
        values |= {f"{_GAPS}{feed}": number for feed, number in health.gaps.items()}
        values["dropped ticks"] = health.totals.dropped
        if self._counts is None:
            self._counts = {name: _Count(value) for name, value in values.items()}
        found, gaps = [], {}
        for name, value in values.items():
            count = self._counts.setdefault(name, _Count(0))
            count.see(value, health.now_ms)
            if count.grown and name.startswith(_GAPS):
                gaps[name.removeprefix(_GAPS)] = count
            elif count.grown:
                what, mend, section = _WORDS.get(name, _RESTARTED)
                text = what.format(count.grown, name.removesuffix(" restarted"))
                found.append(Condition(name, text, count.since_ms, mend, section))
        return found + self._of_gaps(gaps)

    def _of_gaps(self, counts: Mapping[str, _Count]) -> list[Condition]:
        if not counts:
            return []
        total = sum(count.grown for count in counts.values())
        feeds = ", ".join(f"{feed} {count.grown:,}" for feed, count in counts.items())
        what = f"gaps noted of late: {total:,} ({feeds}); the candles they touch lack ticks and are marked"
        mend = (
            "see when and why each was, and mend what caused it. What was never received can't be had again; "
            "the runbook says what a journal can fill in"
        )
        since_ms = min(count.since_ms for count in counts.values())
        return [Condition("gaps", what, since_ms, mend, "Gaps", command=self._gaps_command)]


_GAPS = "gaps of "
_WORDS = {
    "dropped ticks": (
        "ticks or frames dropped of late: {0:,}, for a buffer was full or they made no sense",
        "see in the log and in the metrics which feed, and whether the machine keeps up",
        "Ticks are dropped",
    ),
}
_RESTARTED = (
    "{1} died and was started again, of late so often: {0:,}",
    "nothing if it happens once; else look for its last words in the log, and at the machine's memory",
    "An actor restarts",
)


class _Count:
    """Grown by how much in the latest streak, which began at `since_ms`; a counter that falls back waits."""

    def __init__(self, value: int) -> None:
        self.grown = 0
        self.since_ms = 0
        self._most = value
        self._last_ms = 0

    def see(self, value: int, now_ms: int) -> None:
        if self.grown and now_ms - self._last_ms >= COUNTED_MS:
            self.grown = 0
        if value > self._most:
            if not self.grown:
                self.since_ms = now_ms
            self.grown += value - self._most
            self._most, self._last_ms = value, now_ms


def _of_feed(feed: FeedHealth, now_ms: int) -> Iterator[Condition]:
    if feed.state == "failed":
        mend = "mend what it says, then start the same command again: it resumes"
        yield Condition(f"feed {feed.name}", f"failed: {feed.error}", now_ms, mend, "A feed has failed")
        return
    if feed.waits_for:
        mend = "see that the disk of the journal has room and can be written"
        yield Condition(
            f"journal of {feed.name}", feed.waits_for, now_ms, mend, "The journal can't be written"
        )
    expired = [c for c in feed.connections if c.state == State.TOKEN_EXPIRED]
    warned = [c for c in feed.connections if c.state == State.LIVE and c.why]
    for grade, connections in ((1, expired), (0, warned)):
        if connections:
            first = min(connections, key=lambda connection: connection.since_ms)
            what = f"the token was refused or has expired: {first.why}" if grade else first.why
            mend = f"log in at {feed.name} and put the new token where it is read; it is tried at once"
            since_ms = (first.since_ms if grade else 0) or now_ms
            key = f"token of {feed.name}"
            yield Condition(key, what.rstrip(": "), since_ms, mend, "A token is refused or ends", grade)
            break
    away = [c for c in feed.connections if c.state in _NOT_LIVE]
    if away and feed.state == "running":
        first = min(away, key=lambda connection: connection.since_ms)
        share = "" if len(feed.connections) == 1 else f"{len(away)} of {len(feed.connections)} connections "
        what = f"{share}{first.state}: {first.why}".rstrip(": ")
        mend = "it is tried again by itself; look at the network and at the broker's status page if it stays"
        yield Condition(f"feed {feed.name}", what, first.since_ms or now_ms, mend, "A feed is not live")
