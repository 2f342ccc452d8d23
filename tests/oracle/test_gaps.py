"""A gap mark says of a minute that ticks are missing and changes nothing else, whenever it comes."""

from collections.abc import Iterator

import numpy as np
import pytest

from ray_ingest.model import CANDLE, DAY_HEADER, Flag
from tests.oracle.candle_oracle import Tick
from tests.oracle.flushes import DAY0, HOURS, KEYS, commit, day_key, flush_of, read_stream, stem
from tests.oracle.test_store_state_machine import StoreMachine
from tests.servers import Server

FUTURE = 0
TICK = Tick(DAY0, 556, 0, 100.0, -1, 5, -1, 2, 2)


@pytest.fixture
def machine(server: Server) -> Iterator[StoreMachine]:
    """A store with one running candle in it, and its oracle."""
    StoreMachine.server = server
    machine = StoreMachine()
    machine.claim_first()
    machine.commit_batch([(FUTURE, TICK)], "a", [])
    yield machine
    machine.every_key_is_equal()
    machine.teardown()


def slot(machine: StoreMachine, minute: int, day: int = DAY0) -> np.void:
    """The record of a minute."""
    raw = machine.client.get(day_key(FUTURE, day))
    record: np.void = np.frombuffer(raw, CANDLE, offset=DAY_HEADER.itemsize)[minute - HOURS[0]]
    return record


def mark(machine: StoreMachine, minute: int, day: int = DAY0) -> None:
    """A commit of this mark alone."""
    machine.commit_batch([], "a", [], [(FUTURE, day, minute)])


def header(machine: StoreMachine) -> np.void:
    """The day's header."""
    found: np.void = np.frombuffer(machine.client.get(day_key(FUTURE, DAY0)), DAY_HEADER, 1)[0]
    return found


@pytest.mark.parametrize("minute", [541, 555, 556, 557, 558])
def test_a_mark_moves_no_slot_and_no_price(machine: StoreMachine, minute: int) -> None:
    """Before, on and after the running candle: header and every other byte of the day stay, lists too."""
    before, head = machine.client.get(day_key(FUTURE, DAY0)), header(machine)
    latest = machine.client.lrange(f"{stem(FUTURE)}_latest_:", 0, -1)
    mark(machine, minute)
    assert header(machine) == head
    assert machine.client.lrange(f"{stem(FUTURE)}_latest_:", 0, -1) == latest
    assert slot(machine, minute)["flags"] & Flag.GAP
    after = machine.client.get(day_key(FUTURE, DAY0))
    if minute == TICK.minute:
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert read_stream(machine.client, KEYS.closed(0)) == []


def test_the_first_tick_of_a_marked_minute_keeps_the_mark(machine: StoreMachine) -> None:
    """The gap was told before the candle began; its event tells it too, and it closes as revision 0."""
    mark(machine, 557)
    machine.commit_batch([(FUTURE, TICK._replace(minute=557, volume=7))], "a", [])
    assert (slot(machine, 557)["ticks"], slot(machine, 557)["flags"]) == (1, Flag.GAP)
    machine.commit_batch([(FUTURE, TICK._replace(minute=558, volume=8, phase=3))], "a", [])
    assert (slot(machine, 557)["flags"], slot(machine, 557)["revision"]) == (Flag.FINAL | Flag.GAP, 0)


def test_a_final_candle_is_amended_by_its_first_mark_only(machine: StoreMachine) -> None:
    """A new state of it is published; a second note of the same minute says nothing new."""
    machine.commit_batch([], "a", [(FUTURE, DAY0, TICK.minute)])
    mark(machine, TICK.minute)
    mark(machine, TICK.minute)
    assert slot(machine, TICK.minute)["revision"] == 1
    assert len(read_stream(machine.client, KEYS.closed(0))) == 2


def test_a_candle_that_closes_in_the_marks_own_commit_is_not_amended(machine: StoreMachine) -> None:
    """One event tells both."""
    machine.commit_batch([], "a", [(FUTURE, DAY0, TICK.minute)], [(FUTURE, DAY0, TICK.minute)])
    assert slot(machine, TICK.minute)["flags"] == Flag.FINAL | Flag.GAP
    assert slot(machine, TICK.minute)["revision"] == 0


def test_a_mark_on_a_new_day_begins_it_as_a_tick_would(machine: StoreMachine) -> None:
    """The feed listened again on that day, so the day before is over: its candle closes, a mark of its own
    survives the roll-over, and the new day's first tick finds its mark."""
    mark(machine, TICK.minute)
    mark(machine, 555, DAY0 + 1)
    assert slot(machine, TICK.minute)["flags"] == Flag.FINAL | Flag.GAP
    machine.commit_batch([(FUTURE, TICK._replace(day=DAY0 + 1, minute=555))], "a", [])
    assert slot(machine, 555, DAY0 + 1)["flags"] == Flag.GAP


def test_a_mark_makes_no_day_older_than_the_newest(machine: StoreMachine) -> None:
    """Where there is no candle there is nothing to mark; with a tick of that day in the commit there is."""
    mark(machine, 555, DAY0 - 1)
    assert machine.client.exists(day_key(FUTURE, DAY0 - 1)) == 0
    late = TICK._replace(day=DAY0 - 1)
    machine.commit_batch([(FUTURE, late)], "a", [], [(FUTURE, DAY0 - 1, 555)])
    assert slot(machine, 555, DAY0 - 1)["flags"] == Flag.GAP


def test_gaps_are_recorded_exactly_once(machine: StoreMachine) -> None:
    """In the commit that moves the offset past their notes: refused, it records none."""
    gap = ("p", 1_795_339_898_814, 1_795_339_898_815, "restart", "NSE_FO|8765", 3)
    flush = flush_of([], [], [("a", 1, 2)], gaps=[gap])  # type: ignore[list-item]
    commit(machine.store, flush)
    machine.offsets["a"] = 2
    machine.gaps += [gap]  # type: ignore[list-item]
    with pytest.raises(Exception, match="is at 2"):
        commit(machine.store, flush)
    ((_, fields),) = machine.client.xrange(KEYS.gaps(0))
    assert fields == {
        b"producer": b"p",
        b"from_ms": b"1795339898814",
        b"to_ms": b"1795339898815",
        b"reason": b"restart",
        b"instrument": b"NSE_FO|8765",
        b"missing": b"3",
    }
