"""`Candles.force_close` and its command: a running candle is final now, and later ticks amend it."""

from collections.abc import Iterator
from itertools import count

import pytest
import redis

from ray_ingest.candles import Candles
from ray_ingest.candles.__main__ import main
from ray_ingest.errors import StoreError, UnknownInstrumentError
from ray_ingest.model import date_number
from ray_ingest.store.keys import CONFIRMED, LATEST
from ray_ingest.store.records import parse_event
from tests.candle_writer import FRIDAY, INDEX, SHARE, Writer
from tests.oracle.candle_oracle import Tick
from tests.oracle.flushes import DAY0, INSTRUMENTS, KEYS, commit, everything, flush_of, new_store, read_stream
from tests.oracle.flushes import stem as stem_of
from tests.servers import Server

NAME, STEM = INSTRUMENTS[0], stem_of(0)
FIRST, SECOND = 555, 556
DAY_MS = 86_400_000
CLOCK_MS = 5_000  # by which an expiry of a day, read some commands later, may have shrunk


class Owner:
    """The owner of the only partition, committing one future's ticks."""

    def __init__(self, client: redis.Redis) -> None:
        client.set(KEYS.partitions(), 1)
        self.store = new_store(client)
        self.store.claim("owner")
        self._offsets = count()

    def tick(self, minute: int, price: float, volume: int, day: int = DAY0) -> tuple[int, int]:
        """Commit one tick; the candles it closed and amended."""
        tick = Tick(day, minute, 0, price, -1, volume, 7, 2, 2)
        start = next(self._offsets)
        return commit(self.store, flush_of([(0, tick)], [], [("feed", start, start + 1)]))

    def close(self, minute: int) -> tuple[int, int]:
        """Commit the order to close a minute, as the watermark gives it."""
        return commit(self.store, flush_of([], [(0, DAY0, minute)], []))


@pytest.fixture
def owner(client: redis.Redis) -> Iterator[Owner]:
    """An owner whose future closed 09:15 and is in 09:16."""
    owner = Owner(client)
    owner.tick(FIRST, 100.0, 10)
    owner.tick(SECOND, 101.5, 40)
    yield owner
    owner.store.close()


@pytest.fixture
def candles(server: Server, owner: Owner) -> Iterator[Candles]:
    """The read API on what the owner commits."""
    with Candles(server.url, prefix=KEYS.prefix) as open_candles:
        yield open_candles


def texts(client: redis.Redis, key: str) -> list[str]:
    """A list's values."""
    return [value.decode() for value in client.lrange(key, 0, -1)]


def test_the_running_candle_is_final_and_everybody_hears_of_it(candles: Candles, client: redis.Redis) -> None:
    """Record, `_confirmed_`, minute key and stream say so at once, while `_latest_` stays what it was."""
    running = candles.latest(NAME)
    latest, events = client.dump(STEM + LATEST), len(read_stream(client, KEYS.closed(0)))
    closed = candles.force_close(NAME)
    assert running is not None
    assert closed is not None
    assert (running.final, closed.final, closed.revision) == (False, True, 0)
    assert (closed.timestamp, closed.close, closed.volume) == (running.timestamp, 101.5, 30)
    assert candles.latest(NAME) == candles.confirmed(NAME) == closed
    assert candles.history(NAME)["final"].to_list() == [True, True]

    assert client.dump(STEM + LATEST) == latest
    assert texts(client, STEM + "91600:") == ["101.5", "101.5", "101.5", "101.5", "30"]
    assert texts(client, STEM + CONFIRMED) == ["101.5", "101.5", "101.5", "101.5", "30", "91600"]
    ((stem, value),) = read_stream(client, KEYS.closed(0))[events:]
    event = parse_event(value)
    assert (stem.decode(), event.date, event.minute) == (STEM, date_number(DAY0), SECOND)
    day = candles.day(NAME, closed.timestamp.date())
    assert day is not None
    assert event.record.tobytes() == day.records[SECOND - day.header.first_minute].tobytes()


def test_its_lists_live_as_long_as_latest(candles: Candles, client: redis.Redis) -> None:
    """They expire with the session's other lists; where `_latest_` has gone, a day from now."""
    client.pexpire(STEM + LATEST, 1_000_000)
    candles.force_close(NAME)
    for suffix in (CONFIRMED, "91600:"):
        assert 1_000_000 - CLOCK_MS < client.pttl(STEM + suffix) <= 1_000_001


def test_its_lists_live_a_day_when_latest_has_gone(candles: Candles, client: redis.Redis) -> None:
    """A key without an expiry would stay in the store for ever."""
    client.delete(STEM + LATEST)
    candles.force_close(NAME)
    for suffix in (CONFIRMED, "91600:"):
        assert DAY_MS - CLOCK_MS < client.pttl(STEM + suffix) <= DAY_MS + 1
    assert not client.exists(STEM + LATEST)


def test_a_later_tick_of_the_minute_amends(candles: Candles, owner: Owner, client: redis.Redis) -> None:
    """It goes into the closed candle as revision 1, in lists and stream too; nothing runs again."""
    candles.force_close(NAME)
    assert owner.tick(SECOND, 99.0, 45) == (0, 1)
    amended = candles.latest(NAME)
    assert amended is not None
    assert (amended.open, amended.low, amended.close, amended.volume) == (101.5, 99.0, 99.0, 35)
    assert (amended.final, amended.revision, amended.ticks) == (True, 1, 2)
    assert candles.confirmed(NAME) == amended
    for suffix in (LATEST, CONFIRMED):
        assert texts(client, STEM + suffix) == ["101.5", "101.5", "99", "99", "35", "91600"]
    revisions = [int(parse_event(v).record["revision"][0]) for _, v in read_stream(client, KEYS.closed(0))]
    assert revisions == [0, 0, 1]
    assert candles.force_close(NAME) is None


def test_the_minute_is_not_closed_again(candles: Candles, owner: Owner, client: redis.Redis) -> None:
    """Neither the watermark's order nor the next minute, nor the next day, repeats the event."""
    candles.force_close(NAME)
    before = len(read_stream(client, KEYS.closed(0)))
    assert owner.close(SECOND) == (0, 0)
    assert owner.tick(557, 102.0, 50) == (0, 0)
    assert len(read_stream(client, KEYS.closed(0))) == before
    assert candles.force_close(NAME) is not None
    assert owner.tick(FIRST, 103.0, 5, day=DAY0 + 1) == (0, 0)
    confirmed, latest = candles.confirmed(NAME), candles.latest(NAME)
    assert confirmed is not None
    assert latest is not None
    assert (confirmed.close, latest.close, latest.final) == (102.0, 103.0, False)


def test_an_owner_that_claims_later_sees_no_running_candle(candles: Candles, owner: Owner) -> None:
    """The registry says so too: a restarted owner doesn't wait to close what is closed."""
    assert owner.store.claim("owner").instruments[STEM].open_minute == SECOND
    candles.force_close(NAME)
    registered = owner.store.claim("owner").instruments[STEM]
    assert (registered.open_minute, registered.name, registered.date) == (None, NAME, date_number(DAY0))


def test_nothing_running_is_none_and_nothing_is_written(candles: Candles, client: redis.Redis) -> None:
    """A second call, like one after the close, changes not a byte of the store."""
    candles.force_close(NAME)
    before = everything(client)
    assert candles.force_close(NAME) is None
    assert everything(client) == before


def test_an_unknown_instrument_is_named_with_its_neighbours(candles: Candles) -> None:
    """A slip of the finger says what was meant, and closes nothing."""
    with pytest.raises(UnknownInstrumentError, match=r"NSE_FO\|8765"):
        candles.force_close("NSE_FO|8756")
    latest = candles.latest(NAME)
    assert latest is not None
    assert not latest.final


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (KEYS.closed(0), "another program's"),
        (f"{STEM}{date_number(DAY0)}", "another program's"),
        (f"{STEM}{date_number(DAY0)}", ["another program's"]),
    ],
)
def test_a_key_of_another_program_is_named_and_nothing_is_written(
    candles: Candles, client: redis.Redis, key: str, value: str | list[str]
) -> None:
    """What the script can't read it refuses before its first write, in one line."""
    candles.latest(NAME)
    client.delete(key)
    if isinstance(value, str):
        client.set(key, value)
    else:
        client.rpush(key, *value)
    before = everything(client)
    with pytest.raises(StoreError, match=key) as caught:
        candles.force_close(NAME)
    assert "\n" not in str(caught.value)
    assert everything(client) == before


def test_lists_of_another_type_give_way(candles: Candles, client: redis.Redis) -> None:
    """The lists are a view: whatever took their place is replaced, and can't stop a close half way."""
    client.delete(STEM + CONFIRMED)
    client.set(STEM + CONFIRMED, "x")
    client.hset(STEM + "91600:", "x", "y")
    assert candles.force_close(NAME) is not None
    assert texts(client, STEM + CONFIRMED)[-1] == "91600"
    assert len(texts(client, STEM + "91600:")) == 5


@pytest.mark.parametrize("name", [INDEX, SHARE])
def test_it_finds_the_partition(server: Server, client: redis.Redis, name: str) -> None:
    """With several partitions the event is in the stream of the instrument's own, whose owner reads it."""
    writer = Writer(client, partitions=5)
    writer.day(name, FRIDAY, [100.0, 101.0], running=True)
    with Candles(server.url) as candles:
        closed = candles.force_close(name.replace("NSE", "nse").replace(" ", "_"))
    assert closed is not None
    assert (closed.instrument, closed.volume) == (name, None if name == INDEX else 100)
    lengths = [client.xlen(writer.keys.closed(partition)) for partition in range(5)]
    assert lengths == [int(partition == writer.partition(name)) for partition in range(5)]


def test_the_command_prints_the_candle_and_then_that_none_runs(
    server: Server, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a shell: the closed candle as one tab-separated line, exit 0; a wrong name exits 5 on one line."""
    command = ["--url", server.url, "--prefix", KEYS.prefix, "force-close"]
    assert main([*command, NAME]) == 0
    line = capsys.readouterr().out
    fields = line.rstrip("\n").split("\t")
    assert line.count("\n") == 1
    assert fields[0] == NAME
    assert fields[1].endswith("T09:16:00+05:30")
    assert fields[2:8] == ["101.5", "101.5", "101.5", "101.5", "30", "7"]
    assert main([*command, NAME]) == 0
    assert capsys.readouterr().out == "no candle is running\n"
    assert main([*command, "NSE_FO|8756"]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
