"""The session with a broker: what to subscribe is spread over connections, and each of them kept up."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ray_ingest.core.connection import ConnectionStatus, State
from ray_ingest.core.instruments import split_name
from ray_ingest.core.trading_hours import TradingHours
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.session.adapter import Adapter, Keys, Subscription
from ray_ingest.feeds.session.attempt import Moment, Shared
from ray_ingest.feeds.session.frame_log import FrameLog
from ray_ingest.feeds.session.link import Link
from ray_ingest.feeds.session.settings import BrokerSettings
from ray_ingest.feeds.session.tokens import TokenKeeper
from ray_ingest.feeds.source import Disconnected
from ray_ingest.model import TickColumns

log = logging.getLogger(__name__)

WAIT_S = 0.02
HELD_UP_S = 1.0

_NONE = np.zeros(0, np.int64)
NO_TICKS = TickColumns(_NONE.astype(np.uint32), _NONE, _NONE.astype(np.float64), _NONE, _NONE, _NONE, _NONE)


class Session:
    """`run` on one thread; the rest from any. Raises ConfigError for what can't be subscribed."""

    def __init__(self, settings: BrokerSettings, adapter: Adapter, keys: Keys) -> None:
        frames = None
        if settings.frames_folder is not None:
            sizes = settings.session.frames_file_bytes, settings.session.frames_bytes
            frames = FrameLog(settings.frames_folder, adapter.name, *sizes)
        self._shared = Shared(
            settings,
            adapter,
            keys,
            TokenKeeper(settings.token, adapter.renewal),
            TradingHours(settings.calendar),
            frames,
        )
        self.links: tuple[Link, ...] = ()
        self.last_tick_ms = 0
        self.well_since_ms = 0
        self._settings = settings
        self._wanted: deque[dict[str, Subscription]] = deque(maxlen=1)  # one thread puts, another takes
        self.want(settings.subscriptions)
        keys.learn(settings.subscriptions)
        self.uneven = keys.uneven(settings.subscriptions)

    def want(self, subscriptions: tuple[Subscription, ...]) -> None:
        """Subscribe these from now on, and no others."""
        settings, wanted = self._settings, {one.key: one for one in subscriptions}
        for one in subscriptions:
            try:
                split_name(one.name)
            except ValueError as error:
                raise ConfigError(f"{settings.broker}: {error}") from None
            if wanted[one.key].name != one.name:
                raise ConfigError(
                    f"{settings.broker}: {one.name} and {wanted[one.key].name} are both {one.key}"
                )
        settings.check_number(len(wanted))
        self._wanted.append(wanted)
        self._shared.wake.set()

    def statuses(self) -> list[ConnectionStatus]:
        """One a connection."""
        return [link.status() for link in self.links]

    def dropped(self) -> dict[str, int]:
        """What was no tick or found no room, by reason."""
        return dict(sum((link.dropped() for link in self.links), Counter[str]()))

    def run(self) -> Iterator[TickColumns | Disconnected]:
        """Ticks and gaps as they come, an empty block at least every `WAIT_S`, until it is closed.

        Raises ProcessSpentError, and ConfigError when the SDK isn't installed.
        """
        shared, before_s = self._shared, Moment.now().s
        try:
            while True:
                shared.wake.clear()
                now = Moment.now()
                if now.s - before_s > HELD_UP_S:
                    for link in self.links:
                        link.resumed(now)
                before_s = now.s
                yield from self._round(now)
                if not any(link.has_more for link in self.links):
                    shared.wake.wait(WAIT_S)
                yield NO_TICKS
        finally:
            self._stop()

    def _round(self, now: Moment) -> Iterator[TickColumns | Disconnected]:
        self._shared.token.look(now.s, now.ms)
        if self._wanted:
            self._spread(self._wanted.pop(), now)
        alone = len(self.links) == 1
        for link in self.links:
            for block in link.step(now):
                if isinstance(block, Disconnected):
                    yield replace(block, instruments=None) if alone else block
                else:
                    self._ticked(link.last_tick_ms)
                    yield block
            if link.subscriptions and link.state is not State.LIVE:
                self.well_since_ms = 0

    def _ticked(self, at_ms: int) -> None:
        paused = at_ms - self.last_tick_ms > self._settings.session.pause_s * 1000
        if paused or not self.well_since_ms:
            self.well_since_ms = at_ms
        self.last_tick_ms = at_ms

    def _spread(self, wanted: dict[str, Subscription], now: Moment) -> None:
        """Make what is subscribed what is wanted, on as few connections as hold it; the emptiest takes the
        next."""
        self._shared.keys.learn(wanted.values())
        self.uneven = self._shared.keys.uneven(wanted.values())
        if self._shared.frames is not None:
            self._shared.frames.describe(wanted.values())
        carried: set[str] = set()
        for link in self.links:
            if gone := link.subscriptions.keys() - wanted.keys():
                link.remove(gone)
            carried |= link.subscriptions.keys()
        new = [one for key, one in wanted.items() if key not in carried]
        needed = -(-len(wanted) // self._settings.instruments_per_connection)
        numbers = range(len(self.links) + 1, needed + 1)
        links = (*self.links, *(Link(number, self._shared) for number in numbers))
        shares: list[list[Subscription]] = [[] for _ in links]
        sizes = [len(link.subscriptions) for link in links]
        for one in new:
            emptiest = sizes.index(min(sizes))
            shares[emptiest].append(one)
            sizes[emptiest] += 1
        for link, share in zip(links, shares, strict=True):
            if share:
                link.add(share, now)
        self.links = links

    def _stop(self) -> None:
        now = Moment.now()
        endings = [(link, link.stop(now)) for link in self.links]
        for link, ending in endings:
            if ending is not None and not ending.wait():
                log.warning("%s: the SDK does not let go of its connection", link.name)
        self.well_since_ms = 0
        if self._shared.frames is not None:
            self._shared.frames.close()
