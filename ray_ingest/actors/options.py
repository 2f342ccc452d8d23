"""The one place where plain classes become Ray actors.

Actors ask for no CPU: on two cores the third that asked for one would never start. They restart for ever;
calls are never repeated by Ray, which would reorder them: producers rewind to the committed offset instead.

They belong to nobody (Ray's word is detached): whoever started one may die and find it again by its name, and
starting one that is there already returns that one. So they are ended by name, too.

What they are told is pickled and cut: Ray keeps an argument of more than 100 KB, such as thousands of
subscriptions, in an object store of whoever started the actor, and without it can't start the actor again.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import ray

from ray_ingest.actors.feed import Feed
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.actors.pump import FeedSettings

SUPERVISOR = "supervisor"
FOR_EVER = -1
END_S = 10.0
PIECE_BYTES = 64 << 10


def _actor(plain: type[Any], name: str, namespace: str, threads: int = 1) -> Any:
    return ray.remote(_of_pieces(plain)).options(
        name=name,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_concurrency=threads,
        max_restarts=FOR_EVER,
        max_task_retries=0,
        enable_task_events=False,  # a record of every call: 200 MB in Ray's GCS after 100,000 of them
    )


def _of_pieces(plain: type[Any]) -> type[Any]:
    """The class, made from its last arguments and the `_pieces` of its first."""

    def make(self: Any, others: tuple[Any, ...], *pieces: bytes) -> None:
        plain.__init__(self, pickle.loads(b"".join(pieces)), *others)  # noqa: S301 — our own, of this run

    return type(plain.__name__, (plain,), {"__init__": make, "__module__": plain.__module__})


def _pieces(settings: object) -> list[bytes]:
    whole: bytes = ray.cloudpickle.dumps(settings)  # type: ignore[no-untyped-call]
    return [whole[start : start + PIECE_BYTES] for start in range(0, len(whole), PIECE_BYTES)]


def start_ohlc(settings: OhlcSettings, namespace: str) -> Any:
    """The handle of the partition's OHLC actor, a new one if there is none."""
    with suppress(ValueError):  # a supervisor that is started again is there sooner for not loading the class
        return ray.get_actor(settings.name, namespace)
    from ray_ingest.actors.ohlc import OhlcPartition

    return _actor(OhlcPartition, settings.name, namespace).remote((), *_pieces(settings))


def feed_name(settings: FeedSettings) -> str:
    """The name of a feed's actor."""
    return f"feed[{settings.name}]"


def start_feed(settings: FeedSettings, owners: list[Any], namespace: str) -> Any:
    """The handle of the feed's actor; a new one starts sending by itself."""
    return _actor(Feed, feed_name(settings), namespace).remote((owners,), *_pieces(settings))


def start_supervisor(plain: type[Any], plan: Any, namespace: str) -> Any:
    """The handle of the namespace's supervisor; a new one starts all other actors, or finds them.

    It tells how it is while it stops the others, too: one that says nothing is frozen.
    """
    return _actor(plain, SUPERVISOR, namespace, threads=4).remote((), *_pieces(plan))


def replace(handle: Any) -> None:
    """Kill the process of an actor that doesn't answer; Ray starts it again in another one."""
    ray.kill(handle, no_restart=False)


def end_actors(names: Collection[str], namespace: str) -> None:
    """Kill the named actors for good, whatever they are doing; one being started just now included.

    The supervisor goes first: alive, it would start the others again.
    """
    order = sorted(names, key=lambda name: name != SUPERVISOR)
    deadline_s = time.monotonic() + END_S
    while time.monotonic() < deadline_s:
        known = {
            actor["name"]
            for actor in ray.util.list_named_actors(all_namespaces=True)
            if actor["namespace"] == namespace
        }
        left = [name for name in order if name in known]
        if not left:
            return
        for name in left:
            with suppress(ValueError):  # it is gone by now
                ray.kill(ray.get_actor(name, namespace))
        time.sleep(0.02)
