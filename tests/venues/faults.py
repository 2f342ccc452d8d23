"""What brokers do to their clients, as acts on a running desk; each tells when recovery could begin."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ray_ingest.core.connection import State
from tests.venues.brokers import new_token
from tests.venues.desk import Desk

ALL = ("upstox", "fyers", "dhan")
RANDOM_FRAMES = 200
STALE_S = 3


@dataclass(frozen=True)
class Fault:
    """`strike` does it, undoes it when the session has noticed, and returns the second (of the monotonic
    clock) from which recovery counts. `seen` must be among the session's states meanwhile, None: it stays
    live, but at the brokers of `costly`, whose connection is not to be trusted after it. `brokers` are those
    that can do it."""

    name: str
    strike: Callable[[Desk], float]
    seen: State | None = State.BACKING_OFF
    brokers: tuple[str, ...] = ALL
    costly: tuple[str, ...] = ()

    def seen_at(self, broker: str) -> set[State]:
        """One of these states it must lead to, none: it costs nothing."""
        seen = State.BACKING_OFF if broker in self.costly else self.seen
        return {seen} if seen else set()


def refused(status: int, desk: Desk) -> float:
    """The connection drops, and nobody is let in again until the session has noticed."""
    attempts = desk.venue.attempts
    desk.venue.refuse(status)
    desk.venue.abort()
    desk.venue.wait_attempts(attempts + 1)
    desk.wait_state(State.BACKING_OFF)
    desk.venue.heal()
    return time.monotonic()


def refused_for_token(status: int, desk: Desk) -> float:
    """The same for a token; another one is put into the file."""
    desk.venue.refuse(status)
    desk.venue.abort()
    desk.wait_state(State.TOKEN_EXPIRED)
    desk.venue.heal()
    desk.write_token(new_token(desk.broker))
    return time.monotonic()


def expired(desk: Desk) -> float:
    """The token ends in the session; another one is put into the file."""
    token = new_token(desk.broker)
    desk.venue.expire_token()
    desk.wait_state(State.TOKEN_EXPIRED)
    desk.venue.accept_token(token)
    desk.write_token(token)
    return time.monotonic()


def redirected(desk: Desk) -> float:
    """The connection drops, the next handshake is a 302."""
    began = time.monotonic()
    desk.venue.redirect()
    desk.venue.abort()
    return began


def closed(code: int, desk: Desk) -> float:
    """Every connection is closed properly."""
    began = time.monotonic()
    desk.venue.close(code)
    return began


def aborted(desk: Desk) -> float:
    """Every connection is reset."""
    began = time.monotonic()
    desk.venue.abort()
    return began


def down(desk: Desk) -> float:
    """The server goes away and comes back."""
    desk.stop_venue()
    desk.wait_state(State.BACKING_OFF)
    desk.venue.start()
    return time.monotonic()


def mute(desk: Desk) -> float:
    """No data until the session has tried anew."""
    began, attempts = time.monotonic(), desk.venue.attempts
    desk.venue.mute()
    desk.venue.wait_attempts(attempts + 1)
    desk.venue.heal()
    return began


def half_open(desk: Desk) -> float:
    """Nothing passes any more, either way."""
    began = time.monotonic()
    desk.venue.half_open()
    return began


def stalled(desk: Desk) -> float:
    """A frame stops halfway."""
    began = time.monotonic()
    desk.venue.stall_mid_frame()
    return began


def split(desk: Desk) -> float:
    """Segments of three bytes."""
    desk.venue.split(3)
    return time.monotonic()


def joined(desk: Desk) -> float:
    """Everything that was sent so far again, in as few frames and segments as the broker can."""
    desk.publish(desk.newest(STALE_S))
    return time.monotonic()


def stale(desk: Desk) -> float:
    """Snapshots of some seconds ago, after newer ones and in the wrong order."""
    desk.publish(desk.newest(STALE_S)[::-1])
    return time.monotonic()


def cached(desk: Desk) -> float:
    """Snapshots of yesterday, as after subscribing."""
    day_ms = 86_400_000
    last = [tick._replace(event_time_ms=tick.event_time_ms - day_ms) for tick in desk.venue.last.values()]
    desk.publish(last)
    return time.monotonic()


def truncated(desk: Desk) -> float:
    """A frame of old snapshots, cut at every tenth byte."""
    old = desk.newest(STALE_S)
    with desk.publishing:  # Fyers' updates build on what was encoded before them, so it is the first
        frame = desk.venue.frames(old)[0]
        desk.venue.send_raw(*(frame[:end] for end in range(0, len(frame), max(1, len(frame) // 10))))
    return time.monotonic()


def noise(desk: Desk) -> float:
    """Frames of random bytes."""
    dice = random.Random(7)
    desk.venue.send_raw(*(dice.randbytes(dice.randrange(300)) for _ in range(RANDOM_FRAMES)))
    return time.monotonic()


FAULTS = (
    *(
        Fault(f"refuse {status}", partial(refused_for_token, status), State.TOKEN_EXPIRED)
        for status in (401, 403)
    ),
    Fault("refuse 503", partial(refused, 503)),
    Fault("refuse 807", partial(refused_for_token, 807), State.TOKEN_EXPIRED, ("dhan",)),
    Fault("refuse 11001", partial(refused_for_token, 11001), State.TOKEN_EXPIRED, ("fyers",)),
    Fault("token expired in the session", expired, State.TOKEN_EXPIRED),
    Fault("redirect 302", redirected),
    *(Fault(f"close {code}", partial(closed, code)) for code in (1000, 1001)),
    Fault("abort TCP", aborted),
    Fault("server down and up", down),
    Fault("mute", mute, State.STALE),
    Fault("half-open", half_open, State.STALE),
    Fault("stall mid-frame", stalled, State.STALE),
    Fault("split segments", split, None),
    Fault("joined packets", joined, None),
    Fault("stale snapshots", stale, None),
    Fault("cached snapshots", cached, None),
    # Fyers' updates say only what has changed: after one that can't be read nothing is sure.
    Fault("truncated frames", truncated, None, costly=("fyers",)),
    Fault("random frames", noise, None, costly=("fyers",)),
)
