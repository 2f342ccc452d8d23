"""The buffer between the receiving and the sending thread: bounded, ordered, right about its size."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.tick_buffer import TickBuffer
from ray_ingest.model import TickColumns
from tests.unit.core.tick_makers import columns


def block(size: int, instrument: int = 0) -> TickColumns:
    """A block of `size` ticks."""
    return columns(*[{"instrument": instrument}] * size)


@given(st.integers(1, 10), st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=40))
def test_buffer_equals_a_plain_queue(capacity: int, steps: list[int | None]) -> None:
    """Puts (a size) and takes (None): oldest first, whole blocks, above capacity only a lone one."""
    buffer, queue = TickBuffer(capacity), deque[TickColumns]()
    for size in steps:
        held = sum(len(b) for b in queue)
        if size is None:
            assert buffer.take() == ((queue.popleft(), 1.5) if queue else None)
        else:
            fresh = block(size)
            fits = held + size <= capacity or held == 0
            assert buffer.put(fresh, 1.5) is fits
            if fits:
                queue.append(fresh)
        assert len(buffer) == sum(len(b) for b in queue)
        assert len(buffer) <= capacity or len(queue) - sum(not len(b) for b in queue) == 1


def test_a_full_buffer_refuses_and_keeps_what_it_has() -> None:
    """The producer is told, nothing is dropped, and there is room again after a take."""
    buffer = TickBuffer(5)
    assert buffer.put(block(3), 1.5)
    assert not buffer.put(block(3), 2.5)
    assert len(buffer) == 3
    taken = buffer.take()
    assert taken is not None
    assert (len(taken[0]), taken[1]) == (3, 1.5)
    assert buffer.put(block(3), 3.5)


class Overtaken(TickBuffer):
    """Right after one read of its counters, the two other threads put and take a block."""

    armed = False

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name in ("_put", "_taken") and self.armed:
            self.armed = False
            self.put(block(3), 0.0)
            self.take()
        return value


def test_its_size_is_never_negative_while_others_put_and_take() -> None:
    """Asked by a third thread between a put and a take, it may say too much but never less than nothing."""
    buffer = Overtaken(100)
    buffer.armed = True
    assert len(buffer) >= 0
    assert not buffer.armed


class TakenAtOnce(deque[tuple[TickColumns, float]]):
    """Blocks whose reader takes each in the very moment it is there, and asks for the size."""

    def __init__(self, buffer: TickBuffer) -> None:
        super().__init__()
        self.buffer, self.sizes = buffer, list[int]()

    def append(self, item: tuple[TickColumns, float]) -> None:
        """Append, then be overtaken by the reader."""
        super().append(item)
        self.buffer.take()
        self.sizes.append(len(self.buffer))


def test_its_size_is_never_negative_for_a_fast_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block may be taken before `put` has returned."""
    buffer = TickBuffer(100)
    blocks = TakenAtOnce(buffer)
    monkeypatch.setattr(buffer, "_blocks", blocks)
    assert buffer.put(block(3), 0.0)
    assert blocks.sizes == [0]
    assert len(buffer) == 0
