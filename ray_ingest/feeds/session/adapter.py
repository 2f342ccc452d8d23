"""What a broker's module provides: a wire, which is its SDK and nothing more, and a decoder, which is pure.

The session (`session.py`) does the rest once for all: when to connect, how long to wait, what to subscribe,
when a socket has gone mute, when to read the token again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ray_ingest.core.connection import Trouble
from ray_ingest.core.instruments import InstrumentTable, split_name
from ray_ingest.model import TickColumns


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a broker lets in; never shown, not even by repr. `client_id` is "" where a broker has none."""

    client_id: str = field(repr=False)
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WireSettings:
    """Of one broker: `url` of its socket (None: the SDK's own), the mode of its subscriptions, how often
    (seconds) it is pinged, and how long (seconds) connecting may take."""

    url: str | None
    mode: str
    ping_s: float = 5.0
    connect_s: float = 10.0


Carriers = Literal["all", "some", "one"]
"""Which feeds of a run have an instrument: all of them, this and some others, this one alone."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One instrument of a feed: our name ("NSE_EQ|2885"), the broker's key, its tick size in rupees, and who
    has it."""

    name: str
    key: str
    tick_size: float = 0.05
    carriers: Carriers = "all"


class Uneven(NamedTuple):
    """Ids of a feed's instruments, each ascending: those that not every feed of the run has, and those of
    them that no other has."""

    not_all: npt.NDArray[np.uint32]
    alone: npt.NDArray[np.uint32]


EVEN = Uneven(np.zeros(0, np.uint32), np.zeros(0, np.uint32))
"""Every feed has all."""


class Keys:
    """A broker's keys and the ids of the feed's instrument table that they stand for. It only grows: what is
    no longer subscribed may still be on its way. `version` is raised with whatever is learned."""

    def __init__(self, source: str) -> None:
        self.table = InstrumentTable()
        self.ids: dict[str, int] = {}
        self.tick_sizes: dict[str, float] = {}
        self.version = 0
        self._source = source

    def learn(self, subscriptions: Iterable[Subscription]) -> None:
        """Know these from now on. Raises ValueError for a name that is none."""
        for subscription in subscriptions:
            exchange, token = split_name(subscription.name)
            self.ids[subscription.key] = self.table.intern(exchange, token, self._source)
            self.tick_sizes[subscription.key] = subscription.tick_size
        self.version += 1

    def uneven(self, subscriptions: Iterable[Subscription]) -> Uneven:
        """What of these, which are known, other feeds lack."""
        found = [(self.ids[one.key], one.carriers) for one in subscriptions if one.carriers != "all"]
        alone = [id_ for id_, carriers in found if carriers == "one"]
        return Uneven(
            np.array(sorted(id_ for id_, _ in found), np.uint32), np.array(sorted(alone), np.uint32)
        )


class Listener(Protocol):
    """What a wire tells its session: from any thread; no call waits or raises."""

    def connected(self) -> None:
        """The transport is up, and the broker looks at the token."""

    def opened(self) -> None:
        """The broker has let us in: it takes subscriptions from now on."""

    def heard(self) -> None:
        """A sign of life without market data: a pong, a heartbeat, an acknowledgement."""

    def frame(self, payload: bytes) -> None:
        """A message with market data, as it came."""

    def failed(self, trouble: Trouble, why: str) -> None:
        """The connection is over; said once, whatever follows is ignored. `why` is one line, no secret."""


class Wire(Protocol):
    """One connection, from its attempt to its end: the broker's SDK with its own reconnects off.

    No method but `close` waits for the network or raises: what blocks runs on a thread of the wire's.
    """

    def start(self) -> None:
        """Begin to connect."""

    def subscribe(self, keys: Sequence[str]) -> None:
        """Ask for these too; after `opened` only."""

    def unsubscribe(self, keys: Sequence[str]) -> None:
        """Ask for these no longer; after `opened` only."""

    def close(self, timeout_s: float) -> bool:
        """End the connection. False when something of it still runs after `timeout_s` seconds: then only the
        end of the process ends it."""


class Decoder(Protocol):
    """From one connection's frames to columns: pure, and never raises whatever it is given.

    `dropped` counts what was no tick, by reason: unknown (no such key), malformed, no_price, no_time.
    `verdict` is set when a frame said that the connection is over: the session ends it then.
    """

    dropped: Counter[str]
    verdict: tuple[Trouble, str] | None

    def decode(self, payload: bytes, received_ms: int) -> TickColumns:
        """n ticks of a frame in its order, n ≥ 0; `receive_time_ms` is `received_ms` in all of them."""

    def missed(self) -> None:
        """Frames before the next one were lost: nothing to one whose frames each say all; one whose frames
        say only what changed gives its verdict, as it takes a new connection to be right again."""


class Adapter(Protocol):
    """One broker. `modes` are those it offers, the first being the default; `connections` and
    `instruments_per_connection` what it allows by default, `fewer_in` the modes in which it allows fewer of
    the latter; `environment` the names of the variables that hold
    client id ("": it needs none) and access token; `renewal` says in one line how to get a new token."""

    name: str
    modes: tuple[str, ...]
    connections: int
    instruments_per_connection: int
    fewer_in: Mapping[str, int]
    environment: tuple[str, str]
    renewal: str

    def key_of(self, name: str) -> str | None:
        """The broker's key for a name of ours, where it can be told without a list of instruments."""

    def wire(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> Wire:
        """A connection that isn't begun yet."""

    def decoder(self, keys: Keys) -> Decoder:
        """For the frames of one connection; `keys` may learn more while it works."""
