"""The supervisor's hand in failover: it asks the arbiter, and tells the feeds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import reduce

import ray
from ray.exceptions import RayError

from ray_ingest.actors.live import digest_of
from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.watching import Watched
from ray_ingest.clock import epoch_ms
from ray_ingest.core.failover import Arbiter, Candidate, CountedUntil, FailoverPlan

log = logging.getLogger(__name__)

HANDOVER_S = 0.3


class Arbitration:
    """Shared feeds by their names, and which of them are to count (`active`); `takeovers` so far, and `why`
    the last one. Started anew it goes on from what the feeds tell."""

    def __init__(self, plan: FailoverPlan) -> None:
        self.active: frozenset[str] = frozenset()
        self.takeovers = 0
        self.why = ""
        self._arbiter = Arbiter(plan)
        self._plan = plan

    def step(self, feeds: Mapping[str, Watched], figures: Mapping[str, FeedStats]) -> None:
        """Look at the feeds' latest figures and have those count that should."""
        now_ms = epoch_ms()
        shared = [figures[name] for name in self._plan.order if name in figures and name in feeds]
        decision = self._arbiter.decide(now_ms, [_candidate(feeds[f.name], f) for f in shared])
        if decision.why:
            self.takeovers += bool(self.active)
            self.why = f"{', '.join(sorted(decision.active))} counts now: {decision.why}"
            log.warning("%s", self.why)
        self.active = decision.active
        left = [feed.name for feed in shared if feed.active and feed.name not in decision.active]
        # Those who end now know of more than their figures told.
        ended = reduce(CountedUntil.joined, (_end(feeds[name]) for name in left), CountedUntil())
        if decision.gap is not None:
            from_ms, to_ms = max(decision.gap[0], ended.heard_ms), decision.gap[1]
            if from_ms < to_ms:
                feeds[decision.teller].handle.note_gap.remote(from_ms, to_ms)
        for feed in shared:
            if not feed.active and feed.name in decision.active and not feed.over:
                feeds[feed.name].handle.role.remote(True, decision.counted.joined(ended))


class Subscriptions:
    """What each feed was told to listen to, and is told again when Ray has started it again. A supervisor
    that was itself started again asks the feeds."""

    def __init__(self) -> None:
        self._lists: dict[str, bytes] = {}

    def set(self, lists: Mapping[str, bytes]) -> None:
        """Lists by feed, as `live.encoded` writes them; others keep theirs."""
        self._lists |= lists

    def step(self, feeds: Mapping[str, Watched], figures: Mapping[str, FeedStats]) -> None:
        """Tell those that have another list."""
        for name, feed in feeds.items():
            if feed.silent_since_ms:
                continue
            told = figures[name].subscriptions if name in figures else ""
            wanted = self._lists.get(name)
            if wanted is not None and digest_of(wanted) != told:
                feed.handle.set_subscriptions.remote(wanted)
            elif wanted is None and told:
                answer = ray.get(feed.handle.subscriptions.remote(), timeout=HANDOVER_S)
                if answer is not None:
                    self._lists[name] = answer


def _candidate(watched: Watched, feed: FeedStats) -> Candidate:
    """One whose process doesn't answer is not well, whatever it said last."""
    answers = not watched.silent_since_ms and not feed.over
    return Candidate(
        feed.name,
        feed.active,
        feed.well_since_ms if answers else 0,
        feed.last_tick_ms,
        feed.counted,
        feed.heard_before_ms,
    )


def _end(feed: Watched) -> CountedUntil:
    """Have it count no more; how far it did, never if it can't say."""
    call = feed.handle.role.remote(False, CountedUntil())
    if feed.silent_since_ms:  # dead, it doesn't count when it is started again; frozen, it hears this first
        return CountedUntil()
    try:
        counted: CountedUntil = ray.get(call, timeout=HANDOVER_S)
    except RayError:
        return CountedUntil()
    return counted
