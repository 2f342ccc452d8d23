"""Closed candles as they come, against a real server: all of them, from where they were asked for."""

import threading

import redis

from ray_ingest.candles import Candle, Candles
from tests.candle_writer import FRIDAY, FUTURE, INDEX, Writer, at
from tests.servers import Server


def test_follow_gives_every_event_even_two_of_one_instrument_in_one_entry(
    candles: Candles, writer: Writer
) -> None:
    """A flush may close and amend the same instrument: both arrive, in the order they were written."""
    writer.closed((FUTURE, 555, 1.0, 0), (INDEX, 555, 2.0, 0), (FUTURE, 555, 3.0, 1), (FUTURE, 556, 4.0, 0))
    follow = candles.follow(from_id="0")
    found = [next(follow) for _ in range(4)]
    follow.close()
    assert [(c.instrument, c.timestamp, c.close, c.revision) for c in found] == [
        (FUTURE, at(FRIDAY, 9, 15), 1.0, 0),
        (INDEX, at(FRIDAY, 9, 15), 2.0, 0),
        (FUTURE, at(FRIDAY, 9, 15), 3.0, 1),
        (FUTURE, at(FRIDAY, 9, 16), 4.0, 0),
    ]


def test_follow_begins_at_its_call_and_misses_nothing_between_reads(candles: Candles, writer: Writer) -> None:
    """What is written after the call and before the first next, or between two, is delivered; older isn't."""
    writer.closed((FUTURE, 555, 1.0, 0))
    follow = candles.follow(block_ms=50)
    writer.closed((FUTURE, 556, 2.0, 0))
    assert next(follow).close == 2.0
    writer.closed((FUTURE, 557, 3.0, 0))
    assert next(follow).close == 3.0
    follow.close()


def test_follow_waits_for_the_next_event_of_the_instruments_asked_for(
    server: Server, client: redis.Redis
) -> None:
    """Events of other instruments pass by; the awaited ones arrive from whichever partition."""
    names = [f"NSE_EQ|T{i}" for i in range(9)]
    writer = Writer(client, partitions=3)
    for name in names:
        writer.day(name, FRIDAY, [100.0])
    wanted = [next(name for name in names if writer.partition(name) == partition) for partition in range(3)]
    with Candles(server.url) as candles:
        follow = candles.follow(wanted, block_ms=100)
        found: list[Candle] = []
        reader = threading.Thread(target=lambda: found.extend(next(follow) for _ in range(3)))
        reader.start()
        for close, name in enumerate(names):
            writer.closed((name, 555, float(close), 0))
        reader.join(30)
        follow.close()
    assert not reader.is_alive()
    assert {candle.instrument for candle in found} == set(wanted)


def test_follow_ends_when_the_candles_are_closed(server: Server, writer: Writer, client: redis.Redis) -> None:
    """A reader waiting in another thread ends quietly instead of waiting for ever."""
    candles = Candles(server.url)
    found: list[Candle] = []
    follow = candles.follow(block_ms=20)
    reader = threading.Thread(target=lambda: found.extend(follow))
    reader.start()
    while client.info("clients")["blocked_clients"] == 0:
        pass
    candles.close()
    reader.join(30)
    assert not reader.is_alive()
    assert found == []
