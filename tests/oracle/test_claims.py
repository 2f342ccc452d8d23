"""Who owns a partition after the store was rolled back or wiped: always the one that claimed last."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import redis

from ray_ingest.errors import FencedError, OwnerLostError
from ray_ingest.model import ROW
from ray_ingest.store.partition import Flush, PartitionStore
from tests.oracle.flushes import KEYS, commit, new_store
from tests.servers import Server

META = KEYS.meta(0)
NOTHING = Flush([], {}, [], np.zeros(0, ROW))
CLOCK = "max(last + 1, server_time_ms())"


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client of the server, emptied."""
    with server.client() as plain:
        plain.flushall()
        yield plain


def owner(client: redis.Redis, *, clock: bool = True) -> PartitionStore:
    """An owner that has claimed; without `clock` epochs come from a bare counter."""
    store = new_store(client)
    if not clock:
        texts = {
            name: text.replace(CLOCK, "tonumber(call('HGET', meta_key, 'epoch') or '0') + 1")
            for name, text in store._scripts._texts.items()
        }
        assert texts != store._scripts._texts
        store._scripts = type(store._scripts)(client, texts)
    store.claim("owner")
    return store


def epoch(store: PartitionStore) -> int:
    """The number a token begins with."""
    return int(store.owner.partition("-")[0])


class Rollback:
    """The partition's meta hash as it was when this was made."""

    def __init__(self, client: redis.Redis) -> None:
        self._client, self._kept = client, client.dump(META)

    def apply(self) -> None:
        """The store is back at that state; a wipe where it held nothing."""
        self._client.delete(META)
        if self._kept is not None:
            self._client.restore(META, 0, self._kept)


def test_an_epoch_is_the_servers_clock_and_never_repeats(client: redis.Redis) -> None:
    """Claims within one millisecond still differ, and a wiped store goes on, not from 1."""
    epochs = [epoch(owner(client)) for _ in range(50)]
    assert abs(epochs[0] - time.time() * 1000) < 60_000
    assert epochs == sorted(set(epochs))
    client.flushall()
    assert epoch(owner(client)) > epochs[0]


def test_an_owner_claims_a_store_that_went_back_and_then_commits(client: redis.Redis) -> None:
    """A commit is refused, which isn't final; the claim succeeds with a newer token, wiped or rolled back."""
    for earlier in (False, True):
        client.flushall()
        if earlier:
            owner(client)
        before = Rollback(client)
        only = owner(client)
        token = only.owner
        commit(only, NOTHING)
        before.apply()
        with pytest.raises(OwnerLostError):
            commit(only, NOTHING)
        only.claim("owner")
        assert epoch(only) > int(token.partition("-")[0])
        commit(only, NOTHING)


def last_claimant_wins(client: redis.Redis, *, wiped: bool, clock: bool) -> bool:
    """Whether, after the store forgot both a zombie and its replacement, the replacement keeps the partition
    although the zombie wakes up after it claimed again."""
    client.flushall()
    nothing = Rollback(client)
    before = Rollback(client) if wiped else None
    owner(client, clock=clock)
    before = before or Rollback(client)
    for _ in range(3):
        zombie = owner(client, clock=clock)
    replacement = owner(client, clock=clock)
    (nothing if wiped else before).apply()
    replacement.claim("replacement")
    with pytest.raises(OwnerLostError):
        commit(zombie, NOTHING)
    try:
        zombie.claim("zombie")
    except FencedError:
        commit(replacement, NOTHING)
        return True
    with pytest.raises(OwnerLostError):
        commit(replacement, NOTHING)
    with pytest.raises(FencedError):
        replacement.claim("replacement")
    return False


@pytest.mark.parametrize("wiped", [False, True])
def test_the_zombie_stays_fenced_after_the_store_went_back(client: redis.Redis, wiped: bool) -> None:
    """The replacement claimed later by the clock, so it is the owner whatever the store has forgotten."""
    assert last_claimant_wins(client, wiped=wiped, clock=True)


@pytest.mark.parametrize("wiped", [False, True])
def test_with_a_bare_counter_the_zombie_would_win(client: redis.Redis, wiped: bool) -> None:
    """Negative control: the counter starts again below the zombie's epoch, and fences the rightful owner."""
    assert not last_claimant_wins(client, wiped=wiped, clock=False)


def test_with_a_bare_counter_epochs_repeat(client: redis.Redis) -> None:
    """Negative control: after a rollback the same number is given to another incarnation."""
    before = Rollback(client)
    first = owner(client, clock=False)
    before.apply()
    assert epoch(owner(client, clock=False)) == epoch(first)


def test_a_zombie_that_wakes_first_is_fenced_by_the_next_claim(client: redis.Redis) -> None:
    """Nobody else lives yet, so it may go on; the replacement, once it claims, is later and final."""
    before = Rollback(client)
    zombie = owner(client)
    before.apply()
    zombie.claim("zombie")
    commit(zombie, NOTHING)
    replacement = owner(client)
    with pytest.raises(OwnerLostError):
        commit(zombie, NOTHING)
    with pytest.raises(FencedError):
        zombie.claim("zombie")
    commit(replacement, NOTHING)


def test_a_commit_writes_when_it_was_made(client: redis.Redis) -> None:
    """Readers learn from it how old the partition is; a refused commit doesn't touch it."""
    only = owner(client)
    assert client.hget(META, "committed_ms") is None
    commit(only, NOTHING)
    committed_ms = int(client.hget(META, "committed_ms") or 0)
    assert abs(committed_ms - time.time() * 1000) < 60_000
    client.hset(META, "committed_ms", 1)
    owner(client)
    with pytest.raises(OwnerLostError):
        commit(only, NOTHING)
    assert client.hget(META, "committed_ms") == b"1"


def test_an_owners_epochs_rise_though_the_servers_clock_falls_behind(client: redis.Redis) -> None:
    """A replica's clock that is behind its late primary's doesn't give an owner an older token."""
    only = owner(client)
    ahead = epoch(only) + 3_600_000
    only.owner = f"{ahead}-owner"
    client.flushall()
    only.claim("owner")
    assert epoch(only) == ahead + 1
