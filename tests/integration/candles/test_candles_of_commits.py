"""What the scripts commit is what the read API gives back: both ends of the store's layout together."""

import time

import numpy as np
import pytest
import redis

from ray_ingest.candles import Candles
from ray_ingest.model import ROW, Phase, Source, date_number, day_of
from ray_ingest.store.expiry import Expiry
from ray_ingest.store.keys import Keys
from ray_ingest.store.partition import Flush, Group, PartitionStore
from ray_ingest.store.scripts import script_texts
from tests.candle_writer import FIRST_MINUTE, FRIDAY, INDEX, MONDAY, SLOTS, THURSDAY, at
from tests.servers import Server

CLOSE_ORDER = 1


class EveryDay:
    """A calendar without mornings: lists live for their TTL."""

    expires_daily = False

    def next_session_day(self, day: int) -> int:
        """The day after."""
        return day + 1


class Owner:
    """The owner of the only partition, committing rows of the index."""

    def __init__(self, client: redis.Redis) -> None:
        self.keys = Keys()
        client.set(self.keys.partitions(), 1)
        self.store = PartitionStore(
            client, self.keys, 0, script_texts(), Expiry(EveryDay(), 10**8, 30, 10**8)
        )
        self.store.claim("test")

    def commit(self, date: int, *rows: tuple[int, float]) -> None:
        """Rows of (minute of the day, price); a price of NaN is the order to close that minute."""
        packed = np.zeros(len(rows), ROW)
        for row, (minute, price) in zip(packed, rows, strict=True):
            row["minute"] = minute
            for quantity in ("volume", "oi", "volume_low", "volume_high"):
                row[quantity] = -1
            if np.isnan(price):
                row["kind"] = CLOSE_ORDER
                continue
            for field in ("open", "high", "low", "close"):
                row[field] = price
            row["ticks"], row["phase"], row["source"] = 1, Phase.REGULAR, Source.SIM
        stem = self.keys.stem(*INDEX.split("|"))
        group = Group(stem, INDEX, day_of(date), date_number(day_of(date)), FIRST_MINUTE, SLOTS)
        self.store.begin(Flush([], {}, [group], packed), int(time.time() * 1000))
        while self.store.poll(1.0) is None:
            pass


@pytest.fixture
def owner(client: redis.Redis) -> Owner:
    """An owner of an empty store."""
    return Owner(client)


def test_committed_candles_are_read_as_they_run_close_and_roll_into_the_next_day(
    server: Server, owner: Owner
) -> None:
    """Running, closed by the next minute or by order, amended, carried over a day: each is seen at once."""
    with Candles(server.url) as candles:

        def seen() -> tuple[object, ...]:
            latest, confirmed = candles.latest(INDEX), candles.confirmed(INDEX)
            assert latest is not None
            return latest.timestamp, latest.close, latest.final, confirmed and confirmed.timestamp

        owner.commit(FRIDAY, (555, 100.0))
        assert seen() == (at(FRIDAY, 9, 15), 100.0, False, None)
        owner.commit(FRIDAY, (555, 101.0), (556, 102.0))
        assert seen() == (at(FRIDAY, 9, 16), 102.0, False, at(FRIDAY, 9, 15))
        owner.commit(FRIDAY, (556, np.nan))
        assert seen() == (at(FRIDAY, 9, 16), 102.0, True, at(FRIDAY, 9, 16))
        owner.commit(FRIDAY, (555, 99.0))
        amended = candles.candle(INDEX, at(FRIDAY, 9, 15))
        assert amended is not None
        assert (amended.low, amended.ticks, amended.final, amended.revision) == (99.0, 3, True, 1)
        assert len(candles.history(INDEX)) == 2
        owner.commit(MONDAY, (555, 200.0))
        assert seen() == (at(MONDAY, 9, 15), 200.0, False, at(FRIDAY, 9, 16))
        assert candles.history(INDEX)["timestamp"].to_list() == [at(MONDAY, 9, 15)]
        assert len(candles.history(INDEX, "2026-11-20")) == 3
        owner.commit(THURSDAY, (555, 50.0))
        assert candles.history(INDEX)["timestamp"].to_list() == [at(MONDAY, 9, 15)]
        assert candles.history(INDEX, "2026-11-19", "2026-11-20")["close"].to_list() == [50.0]


def test_follow_gives_what_commits_close_and_amend(server: Server, owner: Owner) -> None:
    """Each close once with revision 0, each amendment with the next revision, to one that resumes as well."""
    owner.commit(FRIDAY, (555, 100.0))
    with Candles(server.url) as candles:
        follow = candles.follow([INDEX], block_ms=100)
        owner.commit(FRIDAY, (556, 101.0))
        owner.commit(FRIDAY, (555, 102.0))
        live = [next(follow), next(follow)]
        follow.close()
        assert [(c.timestamp, c.high, c.revision, c.final) for c in live] == [
            (at(FRIDAY, 9, 15), 100.0, 0, True),
            (at(FRIDAY, 9, 15), 102.0, 1, True),
        ]
        again = candles.follow(from_id="0", block_ms=100)
        assert [next(again), next(again)] == live
        again.close()
