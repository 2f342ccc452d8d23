"""A day string is made for the calendar's hours; when those grow it makes room, and it takes nothing else."""

from collections.abc import Iterator

import pytest

from ray_ingest.errors import StoreError
from tests.oracle.candle_oracle import Tick
from tests.oracle.flushes import DAY0, HOURS, PHASES, commit, everything, flush_of
from tests.oracle.test_store_state_machine import StoreMachine
from tests.servers import Server

INDEX = 1
LAST = Tick(DAY0, HOURS[1] - 1, 0, 100.0, -1, -1, -1, 3, 2)
"""An index tick of the last minute: its record ends in the bytes of a null volume."""


@pytest.fixture
def machine(server: Server) -> Iterator[StoreMachine]:
    """A store with that one tick in it, and its oracle."""
    StoreMachine.server = server
    machine = StoreMachine()
    machine.claim_first()
    machine.commit_batch([(INDEX, LAST)], "a", [])
    yield machine
    machine.teardown()


@pytest.mark.parametrize("front", range(1, 8))
def test_a_day_makes_room_in_front(machine: StoreMachine, front: int) -> None:
    """The first tick in hours grown by `front` minutes meets an empty minute, whatever the end holds."""
    machine.hours_grow(HOURS[0] - min(PHASES), 0)
    machine.commit_batch([(INDEX, LAST._replace(minute=HOURS[0] - front, phase=2))], "a", [])
    machine.every_key_is_equal()


def test_volume_still_counts_from_the_days_first_minute(machine: StoreMachine) -> None:
    """After making room, a late tick with the day's lowest volume gives the first minute its volume."""
    first = LAST._replace(minute=555, phase=2, volume=5)
    machine.commit_batch([(0, first)], "a", [])
    machine.hours_grow(HOURS[0] - min(PHASES), 5)
    machine.commit_batch([(0, first._replace(minute=556, volume=3))], "a", [])
    machine.every_key_is_equal()
    machine.commit_batch([(0, first._replace(minute=538, volume=2))], "a", [])
    machine.every_key_is_equal()


@pytest.mark.parametrize("minute", [HOURS[0] - 1, HOURS[1], 0])
@pytest.mark.parametrize("day", [DAY0, DAY0 + 1])
def test_a_minute_outside_its_hours_is_refused_whole(machine: StoreMachine, minute: int, day: int) -> None:
    """A candle outside the hours, and all that comes with it, isn't written, in a known day or a new one."""
    before = everything(machine.client)
    inside, outside = LAST._replace(day=day, minute=555), LAST._replace(day=day, minute=minute)
    with pytest.raises(StoreError, match=f"minute {minute} is outside the hours"):
        commit(machine.store, flush_of([(0, inside), (INDEX, outside)], [], [("a", 1, 3)]))
    assert everything(machine.client) == before


@pytest.mark.parametrize("minute", [HOURS[0] - 1, HOURS[1], 0])
def test_an_order_to_close_outside_the_hours_closes_nothing(machine: StoreMachine, minute: int) -> None:
    """Were it refused, an owner that learnt of the minute from the store could never commit again."""
    running = LAST._replace(minute=555, phase=2)
    machine.commit_batch([(0, running)], "a", [])
    machine.commit_batch([], "a", [(0, running.day, minute)])
    machine.every_key_is_equal()
