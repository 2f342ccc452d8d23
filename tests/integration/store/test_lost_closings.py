"""An owner and a store that lost a commit without any tick in it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import redis

from ray_ingest.actors.messages import Batch, OhlcStats, Reply, Standing
from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.config import compose
from ray_ingest.model import TICK
from ray_ingest.pipeline import open_store, plan_of
from tests.calendars import ms
from tests.servers import Server, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A private server."""
    with running_server(tmp_path) as started:
        yield started


class Producer:
    """One producer of one instrument, speaking to an owner in this process."""

    def __init__(self, owner: OhlcPartition) -> None:
        self._owner = owner
        self._offset = 0

    def push(self, *seconds: int, ended: bool = False) -> Reply:
        """A batch of trades in the minute of 10:00, so many seconds into it; none is a heartbeat."""
        ticks = np.zeros(len(seconds), TICK)
        ticks["event_time_ms"] = [ms("2026-11-20 10:00") + 1_000 * second for second in seconds]
        ticks["last_price"], ticks["oi"] = 100.0, -1
        ticks["day_volume"] = seconds
        names = [("NSE_FO", "8765", "sim")]
        head = Batch("p", self._offset, 0, names, ms("2026-11-20 10:00"), False, True, ended)
        self._offset += len(seconds)
        answer = self._owner.push(msgspec.msgpack.encode(head), ticks.tobytes())
        return msgspec.msgpack.decode(answer, type=Reply)

    def standing(self) -> Standing:
        """Where it stands."""
        return msgspec.msgpack.decode(self._owner.standing("p"), type=Standing)

    def push_until_settled(self) -> None:
        """The source has ended: heartbeats until its last minute is closed."""
        for _ in range(1_000):
            if self.push(ended=True).settled:
                return
        raise AssertionError("never settled")


def roll_back(client: redis.Redis, before: dict[bytes, bytes]) -> None:
    """What a failover does to a replica that lacks the last commit."""
    client.flushall()
    for key, value in before.items():
        client.restore(key, 0, value)


@pytest.mark.parametrize("lost", ["the closing", "everything"])
def test_an_idle_owner_finds_out_that_closings_are_lost(server: Server, lost: str) -> None:
    """Offsets and owner are as they were, or gone altogether: the owner asks the store, sees fewer closed
    candles than it knows of, and closes them again, or has the producer send everything again."""
    config = compose(["redis=url", f"redis.url={server.url}"])
    with open_store(config) as store, server.client() as client:
        owner = OhlcPartition(plan_of(config, store.url, "").owners[0])
        producer = Producer(owner)
        assert producer.standing().committed == 0
        producer.push(1, 2, 3)
        while producer.push().committed < 3:
            pass
        before = {key: client.dump(key) for key in client.keys("*")}
        producer.push_until_settled()
        assert client.exists("nse_fo:8765:_confirmed_:")
        roll_back(client, before if lost == "the closing" else {})
        assert not client.exists("nse_fo:8765:_confirmed_:")
        assert producer.standing().committed == (3 if lost == "the closing" else 0)
        if lost == "everything":
            assert producer.push().rewind
            producer = Producer(owner)
            producer.push(1, 2, 3)
        producer.push_until_settled()
        assert client.lrange("nse_fo:8765:_confirmed_:", 0, -1)[-1] == b"100000"
        assert msgspec.msgpack.decode(owner.stats(), type=OhlcStats).closed == 1
        owner.close()
