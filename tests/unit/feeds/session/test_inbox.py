"""A wire's inbox: order kept, memory bounded, and what finds no room is known with its times."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.inbox import Change, Failure, Frame, Inbox


def inbox(frames: int = 10, n_bytes: int = 1_000) -> Inbox:
    """A small one."""
    return Inbox(threading.Event(), frames, n_bytes, 0.0)


def test_what_is_told_comes_in_its_order() -> None:
    """Changes and frames alike, and whoever waits is woken."""
    box = inbox()
    box.connected()
    box.opened()
    box.frame(b"one")
    box.failed(Trouble.CLOSED, "gone")
    told = [box.take() for _ in range(5)]
    assert told[0] is Change.CONNECTED
    assert told[1] is Change.OPENED
    assert isinstance(told[2], Frame)
    assert told[2].payload == b"one"
    assert told[3] == Failure(Trouble.CLOSED, "gone")
    assert told[4] is None
    assert box.heard_s > 0


@given(
    st.lists(st.one_of(st.integers(0, 40), st.none()), max_size=60), st.integers(1, 8), st.integers(1, 100)
)
def test_no_more_is_held_than_allowed_and_none_is_lost_in_silence(
    steps: list[int | None], frames: int, n_bytes: int
) -> None:
    """Frames of so many bytes come, or one is taken (None): what is held stays within both bounds, and what
    came is what was taken, what is held and what is told as lost. The end is told even when it is full."""
    box, lost, told_lost = inbox(frames, n_bytes), 0, 0
    held: list[int] = []
    for step in steps:
        if step is None:
            found = box.take()
            if held:
                assert isinstance(found, Frame)
                assert len(found.payload) == held.pop(0)
            else:
                assert found is None
        else:
            box.frame(b"x" * step)
            if len(held) < frames and sum(held) + step <= n_bytes:
                held.append(step)
            else:
                lost += 1
    box.failed(Trouble.NETWORK, "over")
    if told := box.take_lost():
        told_lost = told.frames
        assert told.from_ms <= told.to_ms
    assert told_lost == lost
    assert box.take_lost() is None
    left = [box.take() for _ in range(len(held) + 1)]
    assert [len(frame.payload) for frame in left[:-1] if isinstance(frame, Frame)] == held
    assert isinstance(left[-1], Failure)
