"""Closing a running candle by hand: it changes finality, lists and the closed stream, no price, no volume."""

from __future__ import annotations

from ray_ingest.store.keys import CONFIRMED, LATEST, Keys
from ray_ingest.store.records import Event, parse_event
from ray_ingest.store.scripts import Scripts


def force_close(scripts: Scripts, keys: Keys, partition: int, stem: str) -> Event | None:
    """Make the running candle of the instrument with this key stem final; None when none runs.

    Later ticks of its minute amend it. Raises StoreError when a key holds what isn't ours; redis-py's
    own errors pass through.
    """
    reply = scripts.run(
        "force_close", [keys.instruments(partition), keys.closed(partition), stem], [LATEST, CONFIRMED]
    )
    return parse_event(reply) if isinstance(reply, bytes) and reply else None
