"""The library's errors as ours, in one line that a person can act on; those of a store say which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import redis
from redis.exceptions import RedisError

from ray_ingest.errors import UnknownInstrumentError
from ray_ingest.store.redis import store_error
from ray_ingest.store.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")


class Connected(Protocol):
    """What reads a store."""

    where: str
    _client: redis.Redis
    _registry: Registry


S = TypeVar("S", bound=Connected)


@contextmanager
def one_line(reader: Connected) -> Iterator[None]:
    """redis-py's errors inside it become StoreError, or one of its kinds; an unknown instrument's says in
    which store it is looked for, and whether that holds any."""
    try:
        try:
            yield
        except UnknownInstrumentError as error:
            if not reader._registry.names():
                raise UnknownInstrumentError(nothing_in(reader.where)) from None
            raise UnknownInstrumentError(f"{error} (store: {reader.where})") from None
    except RedisError as error:
        raise store_error(reader._client, error) from None


def nothing_in(where: str) -> str:
    """What to say of a store without instruments."""
    return f"the store holds no instrument yet (store: {where}): python -m ray_ingest.main fills it"


def one_line_errors(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The same for all of a method."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with one_line(self):
            return method(self, *args, **kwargs)

    return call
