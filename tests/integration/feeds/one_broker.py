"""A process with one broker's session and nothing changed of where its SDK connects to.

`python -m tests.integration.feeds.one_broker BROKER COUNT SEED TICKS`: subscribes to a market of COUNT
instruments, prints each tick as JSON and ends after TICKS different trades; logs all it can to stderr.
"""

from __future__ import annotations

import json
import logging
import sys

from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import WireSettings
from ray_ingest.feeds.session.source import BrokerSettings, BrokerSource
from ray_ingest.feeds.session.tokens import TokenSettings
from ray_ingest.feeds.source import Disconnected
from tests.calendars import load
from tests.venues.brokers import CLIENT_IDS
from tests.venues.market import Market


def main(broker: str, count: int, seed: int, wanted: int) -> None:
    """Until so many trades have come."""
    logging.basicConfig(level=logging.DEBUG)
    adapter = adapter_of(broker)
    settings = BrokerSettings(
        broker=broker,
        wire=WireSettings(None, adapter.modes[0]),
        subscriptions=tuple(Market(count=count, seed=seed).subscriptions(broker)),
        connections=1,
        instruments_per_connection=count,
        token=TokenSettings(broker, CLIENT_IDS[broker], None, adapter.environment),
        calendar=load("continuous"),
    )
    source = BrokerSource(settings)
    blocks = source.blocks(0)
    trades: set[tuple[str, float, int]] = set()
    for block in blocks:
        if isinstance(block, Disconnected):
            continue
        names = [source.table.entries[row].name for row in block.instrument]
        ticks = zip(names, block.last_price.tolist(), block.event_time_ms.tolist(), strict=True)
        trades.update((name, round(price, 4), time_ms) for name, price, time_ms in ticks)
        if len(trades) >= wanted:
            break
    blocks.close()  # type: ignore[attr-defined]
    print(json.dumps(sorted(trades)))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
