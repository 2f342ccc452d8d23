"""Gaps as a reader sees them: a flag on the candles they touch, and a table of the intervals."""

import time
from datetime import datetime

import numpy as np
import polars as pl
import pytest
import redis

from ray_ingest.candles import Candles
from ray_ingest.candles.__main__ import main
from ray_ingest.candles.gaps import GAPS_SCHEMA
from ray_ingest.core.gap_marks import Gap
from ray_ingest.errors import ConfigError
from ray_ingest.model import ROW
from ray_ingest.store.expiry import Expiry
from ray_ingest.store.keys import Keys
from ray_ingest.store.partition import Flush, PartitionStore
from ray_ingest.store.scripts import script_texts
from tests.calendars import calendar, ms
from tests.candle_writer import FUTURE
from tests.servers import Server

DAY = "2026-11-20"
EVERYTHING = Gap("sim-1", ms(f"{DAY} 09:20"), ms(f"{DAY} 09:25"), "restart", "", -1)
ONE = Gap("sim-1", ms(f"{DAY} 10:00"), ms(f"{DAY} 10:00") + 250, "overflow", FUTURE, 12)


def commit(client: redis.Redis, partition: int, *gaps: Gap) -> None:
    """One commit of gaps to a partition."""
    expiry = Expiry(calendar(), 10**8, 30, 10**8)
    store = PartitionStore(client, Keys(), partition, script_texts(), expiry)
    store.claim("test")
    store.begin(Flush([], {}, [], np.zeros(0, ROW), gaps), int(time.time() * 1000))
    while store.poll(1.0) is None:
        pass
    store.close()


@pytest.fixture
def candles(server: Server, client: redis.Redis):  # type: ignore[no-untyped-def]
    """Readers of a store of two partitions, both told of a restart, one of an overflow."""
    client.set(Keys().partitions(), 2)
    commit(client, 0, EVERYTHING)
    commit(client, 1, ONE, EVERYTHING)
    with Candles(server.url) as open_candles:
        yield open_candles


def test_gaps_of_all_partitions_are_one_ascending_table(candles: Candles) -> None:
    """What every partition was told is one row; times are IST, what isn't known is null."""
    frame = candles.gaps()
    assert dict(frame.schema) == GAPS_SCHEMA
    assert frame.rows() == [
        (_ist(EVERYTHING.from_ms), _ist(EVERYTHING.to_ms), "sim-1", "restart", None, None),
        (_ist(ONE.from_ms), _ist(ONE.to_ms), "sim-1", "overflow", FUTURE, 12),
    ]


@pytest.mark.parametrize(
    ("start", "end", "reasons"),
    [
        (f"{DAY}T09:25", None, ["restart", "overflow"]),
        (f"{DAY}T09:25:00.001", None, ["overflow"]),
        (None, f"{DAY}T09:20", []),
        (None, f"{DAY}T09:21", ["restart"]),
        (f"{DAY}T09:21", f"{DAY}T09:22", ["restart"]),
        (DAY, "2026-11-21", ["restart", "overflow"]),
        ("2026-11-21", None, []),
    ],
)
def test_a_range_gives_the_gaps_that_touch_it(
    candles: Candles, start: str | None, end: str | None, reasons: list[str]
) -> None:
    """Both ends of a gap belong to it, the range's end doesn't."""
    assert candles.gaps(start, end)["reason"].to_list() == reasons


def test_where_there_is_no_gap_the_table_is_empty_and_typed(server: Server, client: redis.Redis) -> None:
    """In a store that was never written to, as in one without gaps; a text that is no time is refused."""
    with Candles(server.url) as empty:
        assert dict(empty.gaps().schema) == GAPS_SCHEMA
        client.set(Keys().partitions(), 1)
        assert dict(empty.gaps().schema) == GAPS_SCHEMA
        assert empty.gaps().is_empty()
        with pytest.raises(ConfigError):
            empty.gaps("soon")


def test_counts_known_in_every_partition_are_summed(server: Server, client: redis.Redis) -> None:
    """Each partition knows how many of its own ticks are missing; one that doesn't makes the sum unknown."""
    client.set(Keys().partitions(), 2)
    commit(client, 0, EVERYTHING._replace(missing=3), ONE._replace(instrument="", missing=1))
    commit(client, 1, EVERYTHING._replace(missing=4), ONE._replace(instrument="", missing=-1))
    with Candles(server.url) as candles:
        assert candles.gaps()["missing"].to_list() == [7, None]


def test_the_command_shows_the_same(
    candles: Candles, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tab-separated, with times that name their offset, limited by the same arguments."""
    assert main(["--url", server.url, "gaps", "--start", f"{DAY}T09:30"]) == 0
    head, line = (text.split("\t") for text in capsys.readouterr().out.splitlines())
    assert head == list(GAPS_SCHEMA)
    assert line == [
        "2026-11-20T10:00:00.000+05:30",
        "2026-11-20T10:00:00.250+05:30",
        "sim-1",
        "overflow",
        FUTURE,
        "12",
    ]


def _ist(epoch_ms: int) -> datetime:
    found: datetime = pl.Series([epoch_ms]).cast(GAPS_SCHEMA["start"])[0]
    return found
