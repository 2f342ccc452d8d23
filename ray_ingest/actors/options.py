"""The one place where plain classes become Ray actors.

Actors ask for no CPU: on two cores the third that asked for one would never start. They restart for ever;
calls are never repeated by Ray, which would reorder them: producers rewind to the committed offset instead.
"""

from __future__ import annotations

from typing import Any

import ray

from ray_ingest.actors.feed import Feed, FeedSettings
from ray_ingest.actors.ohlc import OhlcPartition, OhlcSettings

FOR_EVER = -1


def _actor(plain: type[Any], name: str, namespace: str, restarts: int) -> Any:
    return ray.remote(plain).options(
        name=name, namespace=namespace, num_cpus=0, max_restarts=restarts, max_task_retries=0
    )


def start_ohlc(settings: OhlcSettings, namespace: str) -> Any:
    """The handle of a new OHLC actor."""
    return _actor(OhlcPartition, settings.name, namespace, FOR_EVER).remote(settings)


def start_feed(settings: FeedSettings, owners: list[Any], namespace: str) -> Any:
    """The handle of a new feed actor, which starts sending by itself."""
    return _actor(Feed, f"feed[{settings.name}]", namespace, FOR_EVER).remote(settings, owners)


def start_supervisor(plain: type[Any], plan: Any, namespace: str) -> Any:
    """The handle of a new supervisor, which starts all other actors."""
    return _actor(plain, "supervisor", namespace, 0).remote(plan)
