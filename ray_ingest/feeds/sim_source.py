"""The simulated exchange as a source of ticks."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import numpy as np

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.sim import SimulatedExchange, SnapshotBlock
from ray_ingest.feeds.sim_settings import SimSettings
from ray_ingest.feeds.source import digest
from ray_ingest.model import TickColumns


class SimSource:
    """The simulated exchange as a feed."""

    name = "sim"
    paced_by = "receive_time_ms"

    def __init__(self, settings: SimSettings, forever: bool) -> None:
        self._exchange = SimulatedExchange(settings)
        self.live = forever
        # What was sent live can't be sent again, so whoever starts it anew is another producer.
        self.identity = digest("sim", uuid4().hex if forever else settings)
        self.table = InstrumentTable()
        for exchange, token in self._exchange.instruments:
            self.table.intern(exchange, token, self.name)

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """Snapshots as the simulated broker sends them."""
        sent = self._exchange.live_blocks(start_ms) if self.live else self._exchange.blocks()
        return map(_columns, sent)


def _columns(block: SnapshotBlock) -> TickColumns:
    return TickColumns(
        block.index.astype(np.uint32),
        block.event_time_ms,
        block.last_price,
        block.last_qty,
        block.day_volume,
        block.oi,
        block.receive_time_ms,
    )
