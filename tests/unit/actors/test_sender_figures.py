"""What a sender measures: each tick's way to the store once, however many wait."""

import time
from typing import Any

import msgspec
import numpy as np
import pytest

from ray_ingest.actors import sender as module
from ray_ingest.actors.messages import Reply
from ray_ingest.actors.sender import Sender, SenderSettings
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.model import TICK

SETTINGS = SenderSettings(batch_ticks=2_000, window_calls=4, linger_s=0.0, heartbeat_s=1.0)


class Owner:
    """Takes calls and answers none."""

    def __init__(self) -> None:
        self.push = self

    def remote(self, head: bytes, ticks: bytes) -> Any:
        """A call."""
        return len(ticks)


def committed(sender: Sender, offset: int) -> None:
    """The owner says so."""
    answer = msgspec.msgpack.encode(Reply(offset, False, False))
    sender._heed(msgspec.msgpack.decode(answer, type=Reply), ended=False)


@pytest.mark.parametrize("kept", [8_192, 3])
def test_every_tick_is_measured_once(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when more blocks wait than there is memory of: those count as old as the oldest among them, so a
    store that was away shows in the figures."""
    monkeypatch.setattr(module, "LATENCIES_KEPT", kept)
    sender = Sender(Owner(), "sim-1", InstrumentTable(), True, SETTINGS)
    sender._stopped = False
    began_s = time.monotonic()
    for block in range(10):
        sender.append(np.zeros(5, TICK), began_s - 100 + block)
    committed(sender, 25)
    committed(sender, 50)
    committed(sender, 50)
    assert sum(sender.latency_s.counts) == 50
    mean_s = sender.latency_s.sum / 50
    assert 95 < mean_s < (96 if kept > 10 else 99) + (time.monotonic() - began_s)


def test_the_sizes_of_calls_are_counted() -> None:
    """Calls that carry ticks, by their number; heartbeats are none of them."""
    sender = Sender(Owner(), "sim-1", InstrumentTable(), True, SETTINGS)
    sender._stopped = False
    sender.append(np.zeros(2_400, TICK), time.monotonic())
    sender._send(source_idle=True)
    sender._send(source_idle=True)
    sender._send(source_idle=True)
    assert sender.calls == 3
    assert sender.batches.sum == 2_400
    assert sum(sender.batches.counts) == 2
