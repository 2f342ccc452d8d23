"""Lua on a real server and a plain oracle get the same commits; every key must be equal after each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ray_ingest.core.gap_marks import Gap
from ray_ingest.errors import FencedError, OffsetError, OwnerLostError, StoreError
from ray_ingest.model import ROW, date_number
from ray_ingest.store.force_close import force_close
from ray_ingest.store.partition import Flush
from ray_ingest.store.scripts import Scripts, script_texts
from tests.oracle.candle_oracle import Event, OracleDay, OracleInstrument, event_bytes
from tests.oracle.comparison import assert_day, assert_registry
from tests.oracle.flushes import (
    DAY0,
    GAPS,
    HOURS,
    INSTRUMENTS,
    KEYS,
    MARKS,
    PHASES,
    Order,
    Sent,
    commit,
    day_key,
    everything,
    flush_of,
    new_store,
    read_stream,
    stem,
    ticks_of,
)
from tests.servers import Server

SPOILT = ["day", "short day", "day before", "instruments", "closed", "gaps", "meta"]
NUMBERS = st.integers(0, len(INSTRUMENTS) - 1)
CLOSES = st.tuples(NUMBERS, st.integers(DAY0, DAY0 + 2), st.sampled_from([538, 555, 556, 558, 566]))


class StoreMachine(RuleBasedStateMachine):
    """Commits with repeats, overlaps, gaps, stale owners, forced closes, forgotten scripts, growing hours and
    keys that others have spoilt."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.client: Any = self.server.client()  # redis-py types every reply as bytes or text
        self.client.flushall()
        self.store = new_store(self.client)
        self.scripts = Scripts(self.client, script_texts())
        self.oracles = {number: OracleInstrument(name) for number, name in enumerate(INSTRUMENTS)}
        self.offsets = {"a": 0, "b": 0}
        self.events: list[tuple[bytes, bytes]] = []
        self.gaps: list[Gap] = []
        self.hours = HOURS
        self.hours_of: dict[str, tuple[int, int]] = {}

    @initialize()
    def claim_first(self) -> None:
        """The first owner."""
        self.store.claim("first")

    @rule()
    def another_owner(self) -> None:
        """A new incarnation claims; the old one is refused from then on and its commit changes nothing."""
        stale, self.store = self.store, new_store(self.client)
        claim = self.store.claim("next")
        assert {name: claim.meta.get(f"offset:{name}", 0) for name in self.offsets} == self.offsets
        with pytest.raises(OwnerLostError):
            commit(stale, Flush([("a", self.offsets["a"], self.offsets["a"] + 5)], {}, [], np.zeros(0, ROW)))
        with pytest.raises(FencedError):
            stale.claim("stale")
        stale.close()

    @rule(
        batch=st.lists(ticks_of(), max_size=12),
        producer=st.sampled_from(["a", "b"]),
        closes=st.lists(CLOSES, max_size=2),
        marks=st.lists(MARKS, max_size=3),
        gaps=st.lists(GAPS, max_size=2),
    )
    def commit_batch(
        self,
        batch: list[Sent],
        producer: str,
        closes: list[Order],
        marks: Sequence[Order] = (),
        gaps: Sequence[Gap] = (),
    ) -> None:
        """Ticks in any order over minutes and days, with orders to close, and gaps."""
        first, end = self.hours
        batch = [(number, tick) for number, tick in batch if first <= tick.minute < end]
        closes = [c for c in closes if first <= c[2] < end and self.oracles[c[0]].days.get(c[1])]
        marks = [mark for mark in marks if first <= mark[2] < end]
        committed = self.offsets[producer]
        offsets = [(producer, committed, committed + len(batch))]
        flush = flush_of(batch, closes, offsets, self.hours, marks, gaps)
        result = commit(self.store, flush)
        self.offsets[producer] += len(batch)
        self.gaps += gaps
        for group in flush.groups:
            key = f"{group.stem}{group.date}"
            begins, ends = self.hours_of.get(key, self.hours)
            self.hours_of[key] = (min(begins, first), max(ends, end))
        closed = 0
        events = []
        for number, oracle in self.oracles.items():
            own = oracle.apply(
                [tick for i, tick in batch if i == number],
                [(d, m) for i, d, m in closes if i == number],
                [(d, m, PHASES[m]) for i, d, m in marks if i == number],
            )
            events += [(number, event) for event in own]
            closed += sum(event.revision == 0 for event in own)
        assert result == (closed, len(events) - closed)
        self.expect_events(events)

    @rule(batch=st.lists(ticks_of(), min_size=1, max_size=4), shift=st.sampled_from([-1, 1]))
    def wrong_offset(self, batch: list[Sent], shift: int) -> None:
        """A batch that repeats or skips offsets is refused whole."""
        start = self.offsets["a"] + shift
        with pytest.raises(OffsetError):
            commit(self.store, flush_of(batch, [], [("a", start, start + len(batch))]))

    @rule(number=NUMBERS)
    def close_by_force(self, number: int) -> None:
        """Anyone may close the running candle."""
        event = force_close(self.scripts, KEYS, 0, stem(number))
        expected = [(number, event) for event in self.oracles[number].force_close()]
        assert (event is not None) == bool(expected)
        self.expect_events(expected)

    @rule()
    def script_flush(self) -> None:
        """The server forgets its scripts; nobody notices."""
        self.client.script_flush()

    @rule(front=st.integers(0, 7), behind=st.integers(0, 5))
    def hours_grow(self, front: int, behind: int) -> None:
        """The calendar learns of longer hours: days that exist make room when they are next written."""
        first, end = self.hours
        self.hours = (max(first - front, min(PHASES)), min(end + behind, max(PHASES) + 1))

    @rule(sent=ticks_of(), kind=st.sampled_from(SPOILT))
    def spoilt_key(self, sent: Sent, kind: str) -> None:
        """A key of ours that holds something else is named, and nothing at all is written."""
        number, tick = sent
        tick = tick._replace(minute=555, phase=2)
        newest = self.oracles[number].newest
        if kind == "day before" and newest >= 0:
            tick = tick._replace(day=newest + 1)
        key = {
            "instruments": KEYS.instruments(0),
            "closed": KEYS.closed(0),
            "gaps": KEYS.gaps(0),
            "meta": KEYS.meta(0),
            "day before": day_key(number, tick.day if newest < 0 else newest),
        }.get(kind, day_key(number, tick.day))
        kept = self.client.dump(key), self.client.pexpiretime(key)
        self.client.delete(key)
        if kind == "day":
            self.client.rpush(key, "another program's")
        else:
            self.client.set(key, "another program's")
        before = everything(self.client)
        start = self.offsets["a"]
        with pytest.raises(StoreError, match=f"^{key} (is|has) "):
            commit(self.store, flush_of([(number, tick)], [], [("a", start, start + 1)]))
        if kind in ("instruments", "closed"):
            with pytest.raises(StoreError, match=f"^{key} is "):
                force_close(self.scripts, KEYS, 0, stem(number))
        if kind in ("instruments", "meta"):
            with pytest.raises(StoreError, match=f"^{key} is "):
                self.store.claim("anyone")
        assert everything(self.client) == before
        self.client.delete(key)
        if kept[0] is not None:
            self.client.restore(key, max(kept[1], 0), kept[0], absttl=True)

    def expect_events(self, events: list[tuple[int, Event]]) -> None:
        """Events of one commit come in any order among themselves."""
        fresh = [
            (stem(number).encode(), event_bytes(date_number(event.day), event)) for number, event in events
        ]
        stored = read_stream(self.client, KEYS.closed(0))
        assert stored[: len(self.events)] == self.events
        assert sorted(stored[len(self.events) :]) == sorted(fresh)
        self.events = stored

    @invariant()
    def every_key_is_equal(self) -> None:
        """All candle keys in the store, and no others, hold what the oracle says, and none lives for ever."""
        lists = {
            stem(number) + suffix: values
            for number, oracle in self.oracles.items()
            for suffix, values in oracle.lists.items()
        }
        days = {
            day_key(number, day_number): day
            for number, oracle in self.oracles.items()
            for day_number, day in oracle.days.items()
        }
        own = {KEYS.meta(0), KEYS.instruments(0), KEYS.closed(0), KEYS.gaps(0)}
        found = {key.decode() for key in self.client.scan_iter("t:*")} - own
        assert found >= {*lists, *(key for key, day in days.items() if day.touched() or day.gaps)}
        for key in found:
            assert self.client.pttl(key) > 0, f"{key} has no TTL"
            if key in lists:
                assert [v.decode() for v in self.client.lrange(key, 0, -1)] == lists[key], key
            else:
                assert_day(key, self.client.get(key), self.hours_of[key], days.get(key, OracleDay()))
        meta = self.client.hgetall(KEYS.meta(0))
        for producer, offset in self.offsets.items():
            assert int(meta.get(f"offset:{producer}".encode(), 0)) == offset
        fields = [value for _, value in read_stream(self.client, KEYS.gaps(0))]
        assert fields == [str(value).encode() for gap in self.gaps for value in gap]
        assert_registry(self.client.hgetall(KEYS.instruments(0)), self.oracles)

    def teardown(self) -> None:
        """Connections of this run end with it."""
        self.store.close()
        self.client.close()


EXAMPLES = {"valkey": 100, "redis": 25}


def test_store_equals_oracle_in_every_key(server: Server, request: pytest.FixtureRequest) -> None:
    """Whatever the ticks and their batches, Lua and the oracle agree on every key, event and offset."""
    StoreMachine.server = server
    kind = request.node.callspec.params["server"]
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=25,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
