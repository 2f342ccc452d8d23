"""Which of several live feeds of the same instruments counts, and when none did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

Policy = Literal["failover", "arbitrate"]


@dataclass(frozen=True, slots=True)
class FailoverSettings:
    """In milliseconds: how long the feed that counts may be silent while another ticks, and how long one that
    is preferred has to be well before it counts again."""

    silence_ms: int = 1_500
    failback_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class FailoverPlan:
    """Policy and names of feeds, the preferred one first: of `failover` one counts at a time, of `arbitrate`
    all do."""

    policy: Policy
    order: tuple[str, ...]
    settings: FailoverSettings = FailoverSettings()


class CountedUntil(NamedTuple):
    """How far ticks were counted, in epoch ms, 0 is never: the newest event time, and when the newest was
    received. The latter is by the clock that tells since when a connection is well; event times are older by
    a broker's latency, and by up to a second where it tells whole ones."""

    event_ms: int = 0
    heard_ms: int = 0

    def joined(self, other: CountedUntil) -> CountedUntil:
        """The later of both, of either time."""
        return CountedUntil(max(self.event_ms, other.event_ms), max(self.heard_ms, other.heard_ms))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feed as it is now; times are epoch ms by the wall clock, 0 is never.

    `active`: its ticks count. `well_since_ms` is 0 for one that is not connected, or whose process doesn't
    answer. `last_tick_ms` is when it received its newest tick, `counted` how far its own were counted, and
    `heard_before_ms` until when those were received that had been counted when it became well or began to
    count.
    """

    name: str
    active: bool
    well_since_ms: int
    last_tick_ms: int
    counted: CountedUntil
    heard_before_ms: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The feeds whose ticks count from now on, how far ticks were counted before, the first and last ms
    (epoch) in which nobody who counted was well, which `teller` is to note, and why another feed took over
    ("" when none did)."""

    active: frozenset[str]
    counted: CountedUntil
    gap: tuple[int, int] | None
    teller: str
    why: str


@dataclass(frozen=True, slots=True)
class _Lag:
    """A feed's newest tick, and since when (epoch ms) others have ticked without it."""

    last_tick_ms: int
    since_ms: int


class Arbiter:
    """Asked again and again; what it remembers besides the candidates only makes it calmer.

    Silence is measured from the first tick that another feed had and this one had not: in a market where
    nothing is traded nobody is silent.
    """

    def __init__(self, plan: FailoverPlan) -> None:
        self._plan = plan
        self._active = ""
        self._lags: dict[str, _Lag] = {}
        self._unfit_ms: dict[str, int] = {}  # when each was last seen unwell or silent
        self._counted: dict[str, CountedUntil] = {}  # a process that starts again may know less than it did
        self._looked_ms = 0

    def decide(self, now_ms: int, candidates: Iterable[Candidate]) -> Decision:
        """What is to be, given the feeds as they are now. When `now_ms` falls, the clock was set back:
        silence and failback are measured anew."""
        if now_ms < self._looked_ms:
            self._lags.clear()
            self._unfit_ms.clear()
            self._looked_ms = now_ms
        known = {candidate.name: candidate for candidate in candidates}
        feeds = [known[name] for name in self._plan.order if name in known]
        self._look(now_ms, feeds)
        counted = reduce(CountedUntil.joined, self._counted.values(), CountedUntil())
        why = ""
        if self._plan.policy == "arbitrate":
            active = frozenset(known)
        else:
            why = self._choose(now_ms, feeds)
            active = frozenset((self._active,) if self._active else ())
        gap, teller = self._gap(active, feeds)
        return Decision(active, counted, gap, teller, why)

    def _look(self, now_ms: int, feeds: list[Candidate]) -> None:
        """Who lags behind, and who isn't fit."""
        looked_ms = self._looked_ms or now_ms
        self._looked_ms = now_ms
        for feed in feeds:
            self._counted[feed.name] = feed.counted.joined(self._counted.get(feed.name, CountedUntil()))
            newest_ms = max((o.last_tick_ms for o in feeds if o is not feed and o.well_since_ms), default=0)
            lag = self._lags.get(feed.name)
            if newest_ms <= feed.last_tick_ms:
                self._lags.pop(feed.name, None)
            elif lag is None or lag.last_tick_ms != feed.last_tick_ms:
                # The others' tick came after the last look, when there was none ahead of this feed.
                since_ms = max(feed.last_tick_ms, min(newest_ms, looked_ms))
                self._lags[feed.name] = _Lag(feed.last_tick_ms, since_ms)
        for feed in feeds:
            if not feed.well_since_ms or self._lag_ms(feed, now_ms) >= self._plan.settings.silence_ms:
                self._unfit_ms[feed.name] = now_ms
            self._unfit_ms.setdefault(feed.name, now_ms)

    def _lag_ms(self, feed: Candidate, now_ms: int, since_ms: int = 0) -> int:
        """For how long others have ticked without it, `since_ms` (epoch ms) being the earliest to count."""
        lag = self._lags.get(feed.name)
        return now_ms - max(lag.since_ms, since_ms) if lag else 0

    def _choose(self, now_ms: int, feeds: list[Candidate]) -> str:
        """Who counts under `failover`; returns why it is another than before."""
        if not self._active:  # it may go on from another arbiter
            self._active = next((feed.name for feed in feeds if feed.active), "")
        active = next((feed for feed in feeds if feed.name == self._active), None)
        silence_ms = self._plan.settings.silence_ms
        well = [feed for feed in feeds if feed.well_since_ms]
        fit = [feed for feed in well if self._lag_ms(feed, now_ms) < silence_ms]
        ticking = [feed for feed in fit if self._lag_ms(feed, now_ms) < silence_ms / 2]
        pool = ticking or fit or well
        if active is not None and active not in fit:  # who has been well all along missed nothing
            pool = [feed for feed in pool if feed.well_since_ms <= active.last_tick_ms] or pool
        first = next(iter(pool), None)
        if first is None or first is active:
            return ""
        if active is None:
            why = "the first that is well"
        elif not active.well_since_ms:
            why = f"{active.name} is not connected"
        elif self._lag_ms(active, now_ms, active.well_since_ms) >= silence_ms:  # connected anew it has time
            why = f"{active.name} has been silent for {silence_ms / 1000:g} s"
        else:
            first = next((f for f in fit if self._may_come_back(f, active, now_ms)), active)
            why = f"{first.name} has been well for {self._plan.settings.failback_ms / 1000:g} s"
        if first is active:
            return ""
        self._active = first.name
        return why

    def _may_come_back(self, feed: Candidate, active: Candidate, now_ms: int) -> bool:
        order, failback_ms = self._plan.order, self._plan.settings.failback_ms
        fit_ms = now_ms - max(feed.well_since_ms, self._unfit_ms[feed.name])
        return order.index(feed.name) < order.index(active.name) and fit_ms >= failback_ms

    def _gap(self, active: frozenset[str], feeds: list[Candidate]) -> tuple[tuple[int, int] | None, str]:
        """From the newest tick that counted before the first of those that count was well, until it was."""
        counting = [feed for feed in feeds if feed.name in active and feed.well_since_ms]
        if not counting:
            return None, ""
        first = min(counting, key=lambda feed: feed.well_since_ms)
        until_ms = max(
            feed.heard_before_ms if feed in counting and feed.active else self._counted[feed.name].heard_ms
            for feed in feeds
        )
        if not 0 < until_ms < first.well_since_ms:
            return None, ""
        return (until_ms, first.well_since_ms), first.name
