"""When a connection's silence means that it is broken: judged by what is usual for what it carries.

Silence k times the longest of the last n gaps between frames happens to a stream of random arrivals, whatever
its rate, with probability 1 / C(n + k, n): so no rate has to be known, and few gaps prove little.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

ENOUGH_GAPS = 200
SHORTEST_GAP_S = 0.001
SOONEST = 0.9  # of `mute_s`: what is left is for who looks now and then


@dataclass(frozen=True, slots=True)
class StallSettings:
    """Seconds, but for `surprise`: a busy connection is known for mute within `mute_s`. No silence shorter
    than nine tenths of it is an alarm, and a longer one is if its probability is below e^-`surprise`. What is
    known of gaps is forgotten by half in each `half_life_s` of session. Frames within `snapshot_s` of
    subscribing are the broker's answer and no flow; frames closer than `slot_s` are one arrival. When nothing
    at all came after subscribing, `mute_s` doubles each time that happens. A connection of at least `many`
    instruments that answered and has shown no flow since the market opened is mute after `unproven_s`: once,
    as the next one may be as silent and right."""

    mute_s: float = 5.0
    surprise: float = 16.0
    half_life_s: float = 600.0
    snapshot_s: float = 2.0
    slot_s: float = 0.05
    longest_mute_s: float = 900.0
    unproven_s: float = 60.0
    many: int = 50


class _Gaps:
    """Gaps between frames while the same classes traded."""

    def __init__(self) -> None:
        self.number = 0.0
        self.longest_s = SHORTEST_GAP_S

    def add(self, gap_s: float, half_life_s: float) -> None:
        kept = 0.5 ** (gap_s / half_life_s)
        self.number = min(self.number * kept + 1.0, ENOUGH_GAPS)
        self.longest_s = max(gap_s, self.longest_s * kept)

    def surprise(self, silence_s: float, usual_s: float = 0.0) -> float:
        """-ln of the probability of such a silence, if one of `usual_s` were among the gaps."""
        n, k = self.number, silence_s / max(self.longest_s, usual_s)
        return math.lgamma(n + k + 1) - math.lgamma(n + 1) - math.lgamma(k + 1)


class _Usual:
    """What is usual while the same classes trade: by the gaps there were, and by silences that a new
    connection didn't end. Such a silence may have been a broker's trouble as well: it is usual until the gaps
    that came after it say that it would be a surprise."""

    def __init__(self, settings: StallSettings) -> None:
        self._settings = settings
        self._gaps = _Gaps()
        self._since_silence = _Gaps()
        self._silence_s = 0.0

    @property
    def is_unknown(self) -> bool:
        """Nothing has been learned yet."""
        return not self._gaps.number and not self._silence_s

    @property
    def longest_s(self) -> float:
        """The longest that is usual."""
        return max(self._gaps.longest_s, self._silence_s)

    def add(self, gap_s: float) -> None:
        """There was this gap between two frames."""
        self._gaps.add(gap_s, self._settings.half_life_s)
        self._since_silence.add(gap_s, self._settings.half_life_s)
        if self._silence_s and self._since_silence.surprise(self._silence_s) >= self._settings.surprise:
            self._silence_s = 0.0

    def accept(self, silence_s: float) -> None:
        """So long nothing came, also through a new connection."""
        self._silence_s, self._since_silence = max(self._silence_s, silence_s), _Gaps()

    def is_surprise(self, silence_s: float) -> bool:
        """Whether such a silence is too improbable."""
        return self._gaps.surprise(silence_s, self._silence_s) >= self._settings.surprise


class StallWatch:
    """Of one connection, through its reconnects. Times are seconds of any clock that doesn't go back.

    `active` says which kinds of the connection's instruments trade now, empty: none. What is usual is learned
    for each such set by itself, and silence counts from the moment the set last changed.
    """

    def __init__(self, settings: StallSettings) -> None:
        self._settings = settings
        self._usual: dict[Hashable, _Usual] = {}
        self._active: frozenset[Hashable] = frozenset()
        self._since_s = 0.0  # silence doesn't count from earlier
        self._subscribed_s: float | None = None
        self._last_s: float | None = None  # of the frames since subscribing
        self._arrival_s: float | None = None  # the last frame that began a slot
        self._flow_s = 0.0  # the last frame that ended a gap
        self._flowed = False
        self._fruitless = 0

    def subscribed(self, now_s: float) -> None:
        """A new connection has been asked for its instruments."""
        self._subscribed_s, self._last_s, self._arrival_s = now_s, None, None
        self._flowed = False

    def lost(self) -> None:
        """The connection is over: nothing is expected of it."""
        self._subscribed_s = None

    def forget(self) -> None:
        """Less is subscribed than before: what was usual is so no longer."""
        self._usual.clear()

    def resumed(self, now_s: float) -> None:
        """Nobody listened until now, so the silence before proves nothing."""
        self._since_s = now_s

    def frame(self, at_s: float, active: frozenset[Hashable]) -> None:
        """A frame with market data came."""
        self._turn(at_s, active)
        self._last_s = at_s
        self._fruitless = 0
        before_s, subscribed_s = self._arrival_s, self._subscribed_s
        answer = subscribed_s is None or at_s < subscribed_s + self._settings.snapshot_s
        if before_s is None or answer or not active:
            self._arrival_s = at_s
        elif at_s - before_s >= self._settings.slot_s:
            self._arrival_s = self._flow_s = at_s
            self._flowed = True
            self._learned().add(at_s - max(before_s, self._since_s))

    def stall(self, now_s: float, active: frozenset[Hashable], instruments: int = 1) -> str:
        """Why the connection of so many instruments is taken for mute, "" if it isn't. Said once: the
        connection is over then."""
        self._turn(now_s, active)
        settings, soonest_s = self._settings, SOONEST * self._settings.mute_s
        if not active or self._subscribed_s is None:
            return ""
        if self._last_s is None:
            silence_s = now_s - max(self._subscribed_s, self._since_s)
            if silence_s < min(soonest_s * 2.0 ** min(self._fruitless, 60), settings.longest_mute_s):
                return ""
            self._fruitless += 1
            self.lost()
            return f"nothing came in {silence_s:.1f} s since subscribing"
        silence_s, usual = now_s - max(self._last_s, self._since_s), self._learned()
        unproven = usual.is_unknown and instruments >= settings.many and silence_s >= settings.unproven_s
        if silence_s < soonest_s or not (unproven or usual.is_surprise(silence_s)):
            return ""
        why = f"nothing came for {silence_s:.1f} s, usually there is no gap above {usual.longest_s:.1f} s"
        if not self._flowed:  # it answered a new subscription, and is silent again: perhaps that is its way
            usual.accept(now_s - max(self._flow_s, self._since_s))
        self.lost()
        return why

    def _learned(self) -> _Usual:
        return self._usual.setdefault(self._active, _Usual(self._settings))

    def _turn(self, now_s: float, active: frozenset[Hashable]) -> None:
        if active != self._active:
            self._active, self._since_s, self._arrival_s = active, now_s, None
