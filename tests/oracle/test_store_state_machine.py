"""Lua on a real server and a plain oracle get the same commits; every key must be equal after each."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ray_ingest.core.aggregate import PlacedTicks, aggregate
from ray_ingest.errors import FencedError, OffsetError
from ray_ingest.model import CANDLE, DAY_HEADER, ROW, TICK, date_number
from ray_ingest.store.expiry import Expiry
from ray_ingest.store.keys import Keys
from ray_ingest.store.partition import Flush, Group, PartitionStore
from ray_ingest.store.scripts import script_texts
from tests.oracle.candle_oracle import (
    OracleInstrument,
    Tick,
    event_bytes,
    record_bytes,
)
from tests.servers import Server, start_server

FIRST_MINUTE, SLOTS = 540, 30
PHASES = {540: 1, 541: 1, 555: 2, 556: 2, 557: 2, 558: 3, 560: 4}
INSTRUMENTS = ("NSE_FO|8765", "NSE_INDEX|Nifty 50", "TAPE|X", "MIX|Y")
CANDLE_MASK = np.array([False, False, True, True, False])
DAY0 = 20_000
PRICES = st.sampled_from([100.0, 100.05, 99.95, 0.1 + 0.2, 1e-7, 123456789.15, 2e22, 1 / 3])


@st.composite
def ticks_of(draw: st.DrawFn) -> tuple[int, Tick]:
    """An instrument's number and a tick of it, of a small world in which everything collides."""
    instrument = draw(st.integers(0, len(INSTRUMENTS) - 1))
    minute = draw(st.sampled_from(list(PHASES)))
    volume = draw(st.integers(0, 12))
    if instrument in (1, 2) or (instrument == 3 and draw(st.booleans())):
        volume = -1
    return instrument, Tick(
        day=DAY0 + draw(st.integers(0, 2)),
        minute=minute,
        ms=draw(st.integers(0, 3)),
        price=draw(PRICES),
        qty=draw(st.integers(-1, 5)) if instrument >= 2 else -1,
        volume=volume,
        oi=draw(st.integers(-1, 3)),
        phase=PHASES[minute],
        source=draw(st.sampled_from([2, 8, 32])),
    )


class EveryDay:
    """A calendar without mornings: lists live for their TTL."""

    expires_daily = False

    def next_session_day(self, day: int) -> int:
        """The day after."""
        return day + 1


class StoreMachine(RuleBasedStateMachine):
    """Commits with repeats, overlaps, stale owners, forced closes and forgotten scripts."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client()
        self.client.flushall()
        self.keys = Keys("t:")
        self.now_ms = int(time.time() * 1000)
        self.expiry = Expiry(EveryDay(), 86_400_000, 30, 3_600_000)
        self.store = self.new_store()
        self.oracles = {number: OracleInstrument(name) for number, name in enumerate(INSTRUMENTS)}
        self.offsets = {"a": 0, "b": 0}
        self.events: list[tuple[bytes, bytes]] = []

    def new_store(self) -> PartitionStore:
        """A client of the partition with no claim on it yet."""
        return PartitionStore(self.client, self.keys, 0, script_texts(), self.expiry)

    @initialize()
    def claim_first(self) -> None:
        """The first owner."""
        self.store.claim("first")

    @rule()
    def another_owner(self) -> None:
        """A new incarnation claims; the old one is refused from then on and its commit changes nothing."""
        stale, self.store = self.store, self.new_store()
        claim = self.store.claim("next")
        assert {name: claim.meta.get(f"offset:{name}", 0) for name in self.offsets} == self.offsets
        with pytest.raises(FencedError):
            commit(stale, Flush([("a", self.offsets["a"], self.offsets["a"] + 5)], {}, [], np.zeros(0, ROW)))
        with pytest.raises(FencedError):
            stale.claim("stale")

    @rule(
        batch=st.lists(ticks_of(), max_size=12),
        producer=st.sampled_from(["a", "b"]),
        closes=st.lists(
            st.tuples(st.integers(0, 3), st.integers(DAY0, DAY0 + 2), st.sampled_from([555, 556, 558])),
            max_size=2,
        ),
    )
    def commit_batch(
        self, batch: list[tuple[int, Tick]], producer: str, closes: list[tuple[int, int, int]]
    ) -> None:
        """Ticks in any order over minutes and days, with orders to close."""
        closes = [c for c in closes if self.oracles[c[0]].days.get(c[1])]
        committed = self.offsets[producer]
        flush = self.flush_of(batch, closes, [(producer, committed, committed + len(batch))])
        result = commit(self.store, flush)
        self.offsets[producer] += len(batch)
        closed = 0
        events = []
        for number, oracle in self.oracles.items():
            own = oracle.apply(
                [tick for i, tick in batch if i == number], [(d, m) for i, d, m in closes if i == number]
            )
            events += [(number, *event) for event in own]
            closed += sum(revision == 0 for *_, revision in own)
        assert result == (closed, len(events) - closed)
        self.expect_events(events)

    @rule(batch=st.lists(ticks_of(), min_size=1, max_size=4), shift=st.sampled_from([-1, 1]))
    def wrong_offset(self, batch: list[tuple[int, Tick]], shift: int) -> None:
        """A batch that repeats or skips offsets is refused whole."""
        start = self.offsets["a"] + shift
        with pytest.raises(OffsetError):
            commit(self.store, self.flush_of(batch, [], [("a", start, start + len(batch))]))

    @rule(number=st.integers(0, len(INSTRUMENTS) - 1))
    def force_close(self, number: int) -> None:
        """Anyone may close the running candle."""
        exchange, _, token = INSTRUMENTS[number].partition("|")
        self.store._scripts.run(
            "force_close",
            [self.keys.instruments(0), self.keys.closed(0), self.keys.stem(exchange, token)],
            [self.now_ms + 86_400_000, 0, "_confirmed_:"],
        )
        self.expect_events([(number, *event) for event in self.oracles[number].force_close()])

    @rule()
    def script_flush(self) -> None:
        """The server forgets its scripts; nobody notices."""
        self.client.script_flush()

    def flush_of(
        self,
        batch: list[tuple[int, Tick]],
        closes: list[tuple[int, int, int]],
        offsets: list[tuple[str, int, int]],
    ) -> Flush:
        """A commit the way an owner makes it: aggregate, number the groups, add the orders."""
        ticks = np.zeros(len(batch), TICK)
        for row, (_, t) in enumerate(batch):
            epoch = (t.day * 1440 + t.minute) * 60_000 - 19_800_000 + t.ms
            ticks[row] = (epoch, t.price, t.qty, t.volume, t.oi, 0, 0)
        placed = PlacedTicks(
            ticks,
            np.array([i for i, _ in batch], np.int64),
            np.array([t.day for _, t in batch], np.int64),
            np.array([t.minute for _, t in batch], np.int64),
            np.array([t.phase for _, t in batch], np.uint8),
            np.array([t.source for _, t in batch], np.uint16),
        )
        partial = aggregate(placed, CANDLE_MASK)
        items = [(int(i), int(d), row) for i, d, row in zip(partial.instrument, partial.day, partial.rows, strict=True)]
        for number, day, minute in closes:
            order = np.zeros((), ROW)
            order["minute"], order["kind"] = minute, 1
            items.append((number, day, order))
        items.sort(key=lambda item: (item[0], item[1], int(item[2]["minute"]), int(item[2]["kind"])))
        numbers = sorted({(number, day) for number, day, _ in items})
        rows = np.array([row for *_, row in items], ROW) if items else np.zeros(0, ROW)
        rows["group"] = [numbers.index((number, day)) for number, day, _ in items]
        groups = []
        for number, day in numbers:
            exchange, _, token = INSTRUMENTS[number].partition("|")
            groups.append(
                Group(self.keys.stem(exchange, token), INSTRUMENTS[number], day, date_number(day), FIRST_MINUTE, SLOTS)
            )
        return Flush(offsets, {"count:rows": len(rows)} if len(rows) else {}, groups, rows)

    def expect_events(self, events: list[tuple[int, int, int, object, int]]) -> None:
        """Events of one commit come in any order among themselves."""
        fresh = [
            (
                self.stem(number).encode(),
                event_bytes(date_number(day), minute, candle, True, revision),
            )
            for number, day, minute, candle, revision in events
        ]
        stored = read_stream(self.client, self.keys.closed(0))
        assert stored[: len(self.events)] == self.events
        assert sorted(stored[len(self.events) :]) == sorted(fresh)
        self.events = stored

    def stem(self, number: int) -> str:
        """The key stem of an instrument."""
        exchange, _, token = INSTRUMENTS[number].partition("|")
        return self.keys.stem(exchange, token)

    @invariant()
    def every_key_is_equal(self) -> None:
        """All candle keys in the store, and no others, hold what the oracle says, and none lives for ever."""
        expected: dict[str, object] = {}
        for number, oracle in self.oracles.items():
            for suffix, values in oracle.lists.items():
                expected[self.stem(number) + suffix] = values
            for day_number, day in oracle.days.items():
                expected[f"{self.stem(number)}{date_number(day_number)}"] = day
        found = {key.decode() for key in self.client.scan_iter("t:*")} - {
            self.keys.meta(0),
            self.keys.instruments(0),
            self.keys.closed(0),
        }
        expected = {
            key: value for key, value in expected.items() if isinstance(value, list) or value.touched()
        }
        assert found >= set(expected)
        for key in found:
            assert self.client.pttl(key) > 0, f"{key} has no TTL"
            value = expected.get(key)
            if isinstance(value, list):
                assert [v.decode() for v in self.client.lrange(key, 0, -1)] == value, key
            else:
                self.compare_day(key, value)
        meta = self.client.hgetall(self.keys.meta(0))
        for producer, offset in self.offsets.items():
            assert int(meta.get(f"offset:{producer}".encode(), 0)) == offset
        self.compare_registry()

    def compare_day(self, key: str, day: object) -> None:
        """Header and every record, byte for byte; a day without a trace is all empty."""
        raw = self.client.get(key)
        header = np.frombuffer(raw, DAY_HEADER, 1)[0]
        assert (header["magic"], header["version"], header["slots"]) == (b"RI", 1, SLOTS)
        minutes = day.minutes() if day else {}
        finals = [m for m in minutes if day and m in day.final]
        assert header["confirmed_slot"] == (max(finals) - FIRST_MINUTE if finals else -1)
        running = day.open_minute() if day else None
        assert header["open_slot"] == (-1 if running is None else running - FIRST_MINUTE)
        for slot in range(SLOTS):
            start = DAY_HEADER.itemsize + slot * CANDLE.itemsize
            record = raw[start : start + CANDLE.itemsize]
            candle = minutes.get(FIRST_MINUTE + slot)
            if candle is None:
                assert record == bytes(CANDLE.itemsize)
            else:
                final = FIRST_MINUTE + slot in day.final
                assert record == record_bytes(candle, final, day.revision.get(FIRST_MINUTE + slot, 0)), (
                    np.frombuffer(record, CANDLE),
                    candle,
                )

    def compare_registry(self) -> None:
        """The registry names each instrument's newest day and running minute."""
        registry = self.client.hgetall(self.keys.instruments(0))
        for number, oracle in self.oracles.items():
            value = registry.get(self.stem(number).encode())
            if value is None:
                assert not any(day.touched() for day in oracle.days.values())
                continue
            date, minute = struct.unpack_from("<IH", value)
            running = oracle.days[oracle.newest].open_minute()
            assert (date, minute) == (date_number(oracle.newest), 0xFFFF if running is None else running)
            assert value[6:].decode() == INSTRUMENTS[number]

    def teardown(self) -> None:
        """Connections of this run end with it."""
        self.store.close()
        self.client.close()


def commit(store: PartitionStore, flush: Flush) -> tuple[int, int]:
    """Begin and wait for the reply."""
    store.begin(flush, int(time.time() * 1000))
    try:
        while (reply := store.poll(1.0)) is None:
            pass
    finally:
        store.close()
    return reply


def read_stream(client: object, key: str) -> list[tuple[bytes, bytes]]:
    """All (field, value) pairs of a stream, repeated fields included."""
    raw = client.execute_command("EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, key)
    return [pair for _, fields in raw for pair in zip(fields[::2], fields[1::2], strict=True)]


@pytest.fixture(scope="module", params=["valkey"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("store")
    server = start_server(folder, kind=request.param)
    yield server
    server.stop()


def test_store_equals_oracle_in_every_key(server: Server) -> None:
    """Whatever the ticks and their batches, Lua and the oracle agree on every key, event and offset."""
    StoreMachine.server = server
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )
