"""What state a broker connection is in, in words a person can read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

UNDERWAY_MS = 2_000
"""A snapshot tells of a trade that may be so old: what is missed began this long before it was sent."""


class State(StrEnum):
    """Of one connection, and of a feed: the worst of its connections."""

    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    LIVE = "live"
    STALE = "stale"
    BACKING_OFF = "backing off"
    TOKEN_EXPIRED = "token expired"  # noqa: S105 — a state, no secret
    STOPPED = "stopped"


_GRAVITY = [
    State.TOKEN_EXPIRED,
    State.BACKING_OFF,
    State.STALE,
    State.CONNECTING,
    State.AUTHENTICATING,
    State.LIVE,
    State.STOPPED,
]


def worst(states: Iterable[str]) -> str:
    """The one of these states that a person should know of first; "" of none."""
    return min(states, key=lambda state: _GRAVITY.index(State(state)), default="")


class Trouble(StrEnum):
    """Why a connection ended or could not be made; it decides what is done next."""

    TOKEN = "token"  # noqa: S105 — a kind of trouble, no secret
    """Refused for its token: HTTP 401 and 403, Dhan's 807, Fyers' -300 and 11001."""
    REFUSED = "refused"
    """The server says no for another reason: HTTP 503, too many connections."""
    NETWORK = "network"
    """Not reachable, reset, timed out."""
    CLOSED = "closed"
    """The server closed the WebSocket, whatever its code."""
    PROTOCOL = "protocol"
    """It answers, but not as this broker does."""


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection as people and metrics see it; times are epoch ms, 0 is never. `why` holds no secret."""

    name: str
    state: State
    since_ms: int
    why: str = ""
    instruments: int = 0
    reconnects: int = 0
    last_frame_ms: int = 0
