"""One partition of the store as its owner sees it: claim it, then commit flushes, one under way at a time."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import redis
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ray_ingest.core.gap_marks import Gap
from ray_ingest.errors import OwnerLostError, StoreError
from ray_ingest.store.expiry import Expiry
from ray_ingest.store.keys import CONFIRMED, LATEST, Keys
from ray_ingest.store.redis import store_error
from ray_ingest.store.scripts import Scripts, translate

NO_MINUTE = 0xFFFF
_REGISTERED = struct.Struct("<IH")
_GROUP = struct.Struct("<IHHB")


@dataclass(frozen=True, slots=True)
class Registered:
    """An instrument the store knows: newest session date (YYYYMMDD), minute of the day of its running candle
    (None: none runs), and its name as its feed wrote it."""

    date: int
    open_minute: int | None
    name: str

    @classmethod
    def parse(cls, value: bytes) -> Registered:
        """From the value of the partition's instruments hash."""
        date, minute = _REGISTERED.unpack_from(value)
        return cls(date, None if minute == NO_MINUTE else minute, value[_REGISTERED.size :].decode("utf-8"))


@dataclass(frozen=True, slots=True)
class Claim:
    """Where a partition stood when it was claimed: the owner's token, the meta hash's numbers
    (`offset:…`, `count:…`, `since:…`), and its instruments by key stem."""

    owner: str
    meta: dict[str, int]
    instruments: dict[str, Registered]


class StoredStanding(NamedTuple):
    """A producer's committed offset, when it was first heard of (epoch ms: now, if it is new), and how many
    candles the partition has closed and amended since it exists."""

    committed: int
    since_ms: int
    closed: int
    amended: int


@dataclass(frozen=True, slots=True)
class Group:
    """One instrument's session day in a commit: key stem, name, IST day from 1970-01-01, date YYYYMMDD, and
    the day's first minute and number of slots."""

    stem: str
    name: str
    day: int
    date: int
    first_minute: int
    slots: int
    packed: bytes = field(init=False)

    def __post_init__(self) -> None:
        name = self.name.encode("utf-8")
        packed = _GROUP.pack(self.date, self.first_minute, self.slots, len(name)) + name
        object.__setattr__(self, "packed", packed)


@dataclass(frozen=True, slots=True)
class Flush:
    """One commit: offset ranges (producer, from, to), counters to raise, groups, `ROW` rows whose `group`
    numbers the groups, ascending by group and minute with a group's gap marks last, and gaps to record; one
    stem's groups ascend by date."""

    offsets: Sequence[tuple[str, int, int]]
    counters: Mapping[str, int]
    groups: Sequence[Group]
    rows: npt.NDArray[np.void]
    gaps: Sequence[Gap] = ()


class PartitionStore:
    """The owner's connection to its partition.

    `begin` sends a commit and returns; `poll` collects its reply. Both raise OwnerLostError when the store
    names another owner, OffsetError when offsets don't continue, and StoreError when the server is away,
    refuses, or is busy for longer than `timeout_s`: then a commit may or may not have been applied. After any
    of them `claim` tells how things stand, and only its FencedError is final.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        partition: int,
        texts: Mapping[str, str],
        expiry: Expiry,
        timeout_s: float = 5.0,
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._begun_s = 0.0
        self._keys = keys
        self._scripts = Scripts(client, texts)
        self._expiry = expiry
        self._meta = keys.meta(partition)
        self._instruments = keys.instruments(partition)
        self._closed = keys.closed(partition)
        self._gaps = keys.gaps(partition)
        self._connection: Any = None
        self._pending: tuple[object, ...] | None = None
        self.owner = ""

    def claim(self, uuid: str) -> Claim:
        """Become the owner, or stay it; drops a commit under way.

        A store that went back to an earlier state, or to nothing, may be claimed again. Raises FencedError
        when an owner that claimed later holds the partition, StoreError.
        """
        self.close()
        with self._our_errors():
            reply: Any = self._scripts.run("claim", [self._meta, self._instruments], [uuid, self.owner])
        owner, meta, instruments = reply
        self.owner = owner.decode()
        numbers = {
            name.decode("utf-8"): int(value)
            for name, value in zip(meta[::2], meta[1::2], strict=True)
            if name != b"owner"
        }
        registered = {
            stem.decode("utf-8"): Registered.parse(value)
            for stem, value in zip(instruments[::2], instruments[1::2], strict=True)
        }
        return Claim(self.owner, numbers, registered)

    def standing(self, producer: str, now_ms: int) -> StoredStanding:
        """How the store stands now. Raises OwnerLostError when it names another owner, StoreError."""
        since, offset = f"since:{producer}", f"offset:{producer}"
        with self._our_errors():
            if producer:
                self._client.hsetnx(self._meta, since, now_ms)
            found: Any = self._client.hmget(self._meta, ["owner", offset, since, "closed", "amended"])
        owner, committed, since_ms, closed, amended = found
        if owner is None or owner.decode() != self.owner:
            raise OwnerLostError(f"the store names another owner: {owner.decode() if owner else 'nobody'}")
        return StoredStanding(
            int(committed or 0), int(since_ms or now_ms), int(closed or 0), int(amended or 0)
        )

    @property
    def busy(self) -> bool:
        """Whether a commit is under way."""
        return self._pending is not None

    def begin(self, flush: Flush, now_ms: int) -> None:
        """Send a commit; `now_ms` is the wall clock, for expiry."""
        if self.busy:
            raise StoreError("a commit is under way already")
        days = {group.day: group.date for group in flush.groups}
        expiries = {
            str(date): (
                str(self._expiry.lists_at_ms(day, now_ms)),
                str(self._expiry.history_at_ms(day, now_ms)),
            )
            for day, date in days.items()
        }
        self._pending = (
            "EVALSHA",
            self._scripts.digests["commit"],
            4 + len(flush.groups),
            self._meta,
            self._instruments,
            self._closed,
            self._gaps,
            *[group.stem for group in flush.groups],
            self.owner,
            msgspec.json.encode(flush.offsets),
            msgspec.json.encode(flush.counters),
            b"".join([group.packed for group in flush.groups]),
            flush.rows.tobytes(),
            msgspec.json.encode(expiries),
            self._expiry.past_at_ms(now_ms),
            self._expiry.stream_from_ms(now_ms),
            LATEST,
            CONFIRMED,
            msgspec.json.encode(flush.gaps),
        )
        self._begun_s = time.monotonic()
        with self._our_errors():
            self._send()

    def poll(self, timeout_s: float = 0.0) -> tuple[int, int] | None:
        """(candles closed, candles amended) once the commit under way is applied; None while it isn't, also
        after waiting for `timeout_s`."""
        if self._connection is None or self._pending is None:
            return None
        with self._our_errors():
            if not self._connection.can_read(timeout=timeout_s):
                if time.monotonic() - self._begun_s > self._timeout_s:
                    raise RedisTimeoutError(f"no answer to a commit for {self._timeout_s:g} s")
                return None
            try:
                closed, amended = self._connection.read_response()
            except NoScriptError:
                # Nothing of it ran, so sending it again is safe.
                self._scripts.load()
                self._send()
                return None
        self._pending = None
        return closed, amended

    def _send(self) -> None:
        if self._connection is None:
            self._connection = self._client.connection_pool.get_connection()
        self._connection.send_command(*(self._pending or ()))

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except ResponseError as error:
            ours = translate(error)
            raise (store_error(self._client, error) if ours is error else ours) from None
        except RedisError as error:
            raise store_error(self._client, error) from None

    def close(self) -> None:
        """Give the connection back; a commit under way is abandoned."""
        self._pending = None
        if self._connection is not None:
            self._connection.disconnect()
            self._client.connection_pool.release(self._connection)
            self._connection = None
