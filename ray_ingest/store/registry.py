"""Readers' view of which instruments the store knows: names, key stems, newest session dates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from math import inf
from typing import Any, NamedTuple

import redis

from ray_ingest.core.instruments import split_name
from ray_ingest.core.partition import partition_of
from ray_ingest.errors import UnknownInstrumentError
from ray_ingest.store.keys import Keys
from ray_ingest.store.partition import Registered


class Known(NamedTuple):
    """An instrument of the store: the name as its feed wrote it, its key stem, its newest session's date."""

    name: str
    stem: str
    date: int

    def day_key(self, date: int) -> str:
        """Key of its day string of the session date YYYYMMDD."""
        return f"{self.stem}{date}"


class Registry:
    """Looks instruments up in `Keys.instruments` and remembers them.

    What is remembered can only grow old in `Known.date`; `find(fresh=True)` reads it anew. redis-py's own
    errors pass through.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._partitions = 0
        self._known: dict[str, Known] = {}

    def find(self, names: Sequence[str], *, fresh: bool = False) -> list[Known]:
        """One entry a name, in the order given; one round trip for those not known yet, none otherwise.

        A name is EXCHANGE|TOKEN, the exchange in any case, the token with spaces or underscores. Raises
        UnknownInstrumentError, naming near matches, for the first one that the store doesn't hold.
        """
        addresses = {name: self._address(name) for name in names}
        wanted = {stem: address for stem, *address in addresses.values() if fresh or stem not in self._known}
        if wanted and not self._load(wanted):
            # A hand-over to another number of partitions moves instruments to other hashes.
            self._partitions = 0
            self._load(wanted)
        unknown = next((name for name in names if addresses[name][0] not in self._known), None)
        if unknown is not None:
            raise self._unknown(unknown, "is not in the store")
        return [self._known[addresses[name][0]] for name in names]

    def name_of(self, partition: int, stem: str) -> str:
        """The instrument's name of a key stem; the stem itself when the registry has lost it."""
        if stem not in self._known:
            self._remember(stem, self._client.hget(self._keys.instruments(partition), stem))
        known = self._known.get(stem)
        return known.name if known else stem

    def names(self) -> list[str]:
        """All instruments as their feeds wrote them, sorted."""
        values: list[Any] = []
        for partition in range(self.partitions()):
            values += self._client.hvals(self._keys.instruments(partition))
        return sorted(Registered.parse(value).name for value in values)

    def partitions(self) -> int:
        """How many partitions the store is cut into now; 0 when nothing was ever written to it."""
        self._partitions = int(self._client.get(self._keys.partitions()) or 0)
        return self._partitions

    def committed_age_s(self, name: str) -> float:
        """Seconds since the instrument's partition last committed, by the server's clock; infinite where that
        was never written down. Raises UnknownInstrumentError."""
        (known,) = self.find([name])
        meta = self._keys.meta(partition_of(*split_name(known.name), self._partitions or self.partitions()))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hget(meta, "committed_ms")
            pipeline.time()
            committed_ms, (now_s, now_us) = pipeline.execute()
        return inf if committed_ms is None else max(0.0, now_s + now_us / 1e6 - int(committed_ms) / 1e3)

    def _address(self, name: str) -> tuple[str, str, str]:
        try:
            exchange, token = split_name(name)
        except ValueError as error:
            raise self._unknown(name, str(error).removeprefix(repr(name)).strip()) from None
        return self._keys.stem(exchange, token), exchange, token

    def _load(self, wanted: dict[str, list[str]]) -> bool:
        """Read the registry values of these stems; whether all were there."""
        partitions = self._partitions or self.partitions()
        by_partition: dict[int, list[str]] = {}
        if partitions:
            for stem, (exchange, token) in wanted.items():
                by_partition.setdefault(partition_of(exchange, token, partitions), []).append(stem)
        with self._client.pipeline(transaction=False) as pipeline:
            for partition, stems in by_partition.items():
                pipeline.hmget(self._keys.instruments(partition), stems)
            for stems, values in zip(by_partition.values(), pipeline.execute(), strict=True):
                for stem, value in zip(stems, values, strict=True):
                    self._remember(stem, value)
        return all(stem in self._known for stem in wanted)

    def _remember(self, stem: str, value: bytes | str | None) -> None:
        if not isinstance(value, bytes):
            self._known.pop(stem, None)
        else:
            registered = Registered.parse(value)
            self._known[stem] = Known(registered.name, stem, registered.date)

    def _unknown(self, name: str, fault: str) -> UnknownInstrumentError:
        near = near_names(name, self.names())
        hint = f"did you mean {' or '.join(near)}?" if near else "`instruments()` lists what it holds"
        return UnknownInstrumentError(f"{name!r} {fault}; {hint}")


def near_names(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """Up to `most` of `names` a person may have meant by `name`: equal but for the exchange, or alike."""
    wanted = name.upper().replace(" ", "_")
    spelled = {known.upper().replace(" ", "_"): known for known in names}
    token = wanted.rpartition("|")[2]
    same = [known for key, known in spelled.items() if key.rpartition("|")[2] == token]
    alike = [spelled[key] for key in get_close_matches(wanted, spelled, most)]
    return list(dict.fromkeys(same + alike))[:most]
