"""The library's errors as ours, in one line that a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import redis
from redis.exceptions import RedisError

from ray_ingest.store.redis import store_error

P = ParamSpec("P")
R = TypeVar("R")


class Connected(Protocol):
    """What has a client."""

    _client: redis.Redis


S = TypeVar("S", bound=Connected)


@contextmanager
def one_line(client: redis.Redis) -> Iterator[None]:
    """redis-py's errors inside it become StoreError, or one of its kinds."""
    try:
        yield
    except RedisError as error:
        raise store_error(client, error) from None


def one_line_errors(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The same for all of a method."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with one_line(self._client):
            return method(self, *args, **kwargs)

    return call
