"""One market seen by several brokers, whose connections a test cuts, silences and brings back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_ingest.clock import epoch_ms
from ray_ingest.core.connection import ConnectionStatus, State
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.errors import ProcessSpentError
from ray_ingest.feeds.session.adapter import EVEN, Subscription
from ray_ingest.feeds.source import Disconnected, digest
from ray_ingest.model import NULL, TickColumns

INSTRUMENTS = 40
INDICES = 4
SHARE = 7
"""Tenths of all trades that a broker passes on."""
BLOCK_S = 0.01
NAMES = [f"NSE_FO|{1_000 + n}" for n in range(INSTRUMENTS)] + [f"NSE_INDEX|I {n}" for n in range(INDICES)]


@dataclass(frozen=True)
class Market:
    """`trades_per_s` from wall clock `began_s` (epoch s) on; their event times begin at `event_ms` (epoch ms)
    and pass `pace` times as fast as the clock. A broker's connection is as its file in `folder` says: live,
    down, expired, mute, or spent, which it is once."""

    folder: Path
    began_s: float
    event_ms: int
    pace: int
    trades_per_s: int

    def command(self, broker: str, state: str) -> None:
        """Have the broker's connection be so from now on."""
        partial = self.folder / f"{broker}.partial"
        partial.write_text(state)
        partial.replace(self.folder / broker)

    def now(self) -> int:
        """The number of the next trade."""
        return int((time.time() - self.began_s) * self.trades_per_s)


@dataclass(frozen=True)
class MakeBroker:
    """Builds a broker's source inside its feed's process."""

    market: Market
    name: str

    def __call__(self) -> Broker:
        """The source; a process that is started again makes an equal one."""
        return Broker(self.market, self.name)


class Broker:
    """What one broker sends, from when its connection is live on."""

    live = True
    paced_by = None
    uneven = EVEN

    def __init__(self, market: Market, name: str) -> None:
        self.name = name
        self.identity = digest("broker", name)
        self.table = InstrumentTable()
        for instrument in NAMES:
            self.table.intern(*instrument.split("|"), name)
        self.well_since_ms = 0
        self.last_tick_ms = 0
        self._market = market
        self._state = State.CONNECTING
        self._salt = sum(map(ord, name))

    def connections(self) -> list[ConnectionStatus]:
        """One."""
        return [ConnectionStatus(self.name, self._state, self.well_since_ms, "", len(NAMES))]

    def dropped(self) -> Mapping[str, int]:
        """As if one frame had been none."""
        return {"malformed": 1}

    def set_subscriptions(self, subscriptions: tuple[Subscription, ...]) -> None:
        """A file shows what it was told."""
        names = "\n".join(subscription.name for subscription in subscriptions)
        (self._market.folder / f"{self.name}.subscribed").write_text(names)

    def blocks(self, start_ms: int) -> Iterator[TickColumns | Disconnected]:
        """Trades as they happen while the connection is live and not mute; those between are lost."""
        market, left_ms = self._market, 0
        first = market.now()
        while True:
            time.sleep(BLOCK_S)
            state = (market.folder / self.name).read_text()
            end = market.now()
            if state == "spent":
                market.command(self.name, "live")
                raise ProcessSpentError("its thread runs on")
            if state in ("down", "expired"):
                self._state = State.TOKEN_EXPIRED if state == "expired" else State.BACKING_OFF
                left_ms = left_ms or epoch_ms()
                self.well_since_ms = 0
                yield self._trades(end, end)  # empty: whoever wants to stop is heard
            elif not self.well_since_ms:
                self.well_since_ms = epoch_ms()
                self._state = State.LIVE
                if left_ms:
                    yield Disconnected(left_ms, self.well_since_ms)
                left_ms = 0
            elif state == "live":
                self.last_tick_ms = epoch_ms()
                yield self._trades(first, end)
            first = end

    def _trades(self, first: int, end: int) -> TickColumns:
        number = np.arange(first, end)
        seen = (number * 2_654_435_761 + self._salt * 40_503) // 1_024 % 10 < SHARE
        number = number[seen]
        instrument = number * 7 % len(NAMES)
        has_volume = instrument < INSTRUMENTS
        offset_ms = number * 1_000 * self._market.pace // self._market.trades_per_s
        lots = number // len(NAMES) + 1
        return TickColumns(
            instrument.astype(np.uint32),
            self._market.event_ms + offset_ms,
            100.0 + instrument + number * 7_919 % 2_000 / 20,
            np.where(has_volume, 5, NULL),
            np.where(has_volume, 5 * lots, NULL),
            np.full(len(number), NULL),
            np.full(len(number), epoch_ms()),
        )
