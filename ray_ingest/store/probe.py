"""A look at a server: what it says of itself, its clock, and whether it lets us write."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import redis
from redis.exceptions import RedisError

from ray_ingest.store.keys import Keys
from ray_ingest.store.redis import store_error

_WRITE = "redis.call('SET', KEYS[1], '', 'PX', 1000) return redis.call('DEL', KEYS[1])"


@dataclass(frozen=True, slots=True)
class Answers:
    """The fields of INFO, how far (seconds) the server's clock is ahead of ours, and by how much that may be
    wrong: half the round trip (seconds)."""

    info: Mapping[str, Any]
    ahead_s: float
    within_s: float


def ask(client: redis.Redis) -> Answers:
    """Raises StoreError, StoreUnreachableError when it doesn't answer."""
    try:
        info = client.info()
        before_s = time.time()
        seconds, microseconds = client.time()
        after_s = time.time()
    except RedisError as error:
        raise store_error(client, error) from None
    middle_s, within_s = (before_s + after_s) / 2, (after_s - before_s) / 2
    return Answers(info, seconds + microseconds / 1e6 - middle_s, within_s)


def try_to_write(client: redis.Redis, keys: Keys) -> None:
    """A script writes a key and removes it again. Raises StoreError when it may not."""
    try:
        client.eval(_WRITE, 1, keys.probe(uuid4().hex))
    except RedisError as error:
        raise store_error(client, error) from None
