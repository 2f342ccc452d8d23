"""What a source that is connected to a broker tells beyond its ticks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, runtime_checkable

import msgspec

from ray_ingest.core.connection import ConnectionStatus, State
from ray_ingest.feeds.session.adapter import Subscription, Uneven


@runtime_checkable
class LiveSource(Protocol):
    """All of it may be asked from any thread."""

    @property
    def last_tick_ms(self) -> int:
        """When the newest tick was received: epoch ms, 0 is never."""

    @property
    def uneven(self) -> Uneven:
        """What of its instruments other feeds of the run lack; said before the first tick of one."""

    def connections(self) -> list[ConnectionStatus]:
        """How each connection is; it is live before the first tick that came through it is handed out."""

    def dropped(self) -> Mapping[str, int]:
        """Frames and parts of frames that were no tick, by reason."""

    def set_subscriptions(self, subscriptions: tuple[Subscription, ...]) -> None:
        """These and no others, from now on. Raises ConfigError, and then nothing changes."""


def well_since_ms(connections: Iterable[ConnectionStatus]) -> int:
    """Since when (epoch ms) all connections that carry instruments are live; 0 when they aren't, or there is
    none."""
    carrying = [connection for connection in connections if connection.instruments]
    if any(connection.state is not State.LIVE for connection in carrying):
        return 0
    return max((connection.since_ms for connection in carrying), default=0)


def encoded(subscriptions: Sequence[Subscription]) -> bytes:
    """A list of subscriptions as it is sent to a feed."""
    return msgspec.msgpack.encode(list(subscriptions))


def decoded(subscriptions: bytes) -> tuple[Subscription, ...]:
    """The inverse of `encoded`."""
    return msgspec.msgpack.decode(subscriptions, type=tuple[Subscription, ...])


def digest_of(subscriptions: bytes) -> str:
    """A short name of an encoded list: feeds tell by it which one they have."""
    return blake2b(subscriptions, digest_size=8).hexdigest()
