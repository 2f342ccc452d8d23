"""A producer and an owner without Ray, for what must happen in order: a line pushes a tape in pieces."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec
import numpy as np

from ray_ingest.actors import ohlc
from ray_ingest.actors.messages import Batch, Reply
from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.core.preparation import Preparation
from ray_ingest.model import NULL, TickColumns
from tests.chaos.oracle import feed_name
from tests.chaos.scenario import Scenario
from tests.chaos.tape import SOURCES, names_of, tape_of

AHEAD_MS = 2**42  # no tick is from the future
LONGEST_S = 20.0
PAUSE_S = 0.005  # an owner in trouble tries again by the clock


class Owner(Protocol):
    """What a line pushes to."""

    def push(self, head: bytes, ticks: bytes) -> bytes:
        """As `OhlcPartition.push`."""


class Line:
    """The ticks of one producer of a scenario of one partition, and how far they are sent."""

    def __init__(self, scenario: Scenario, producer: int) -> None:
        tape, source = tape_of(scenario, producer), SOURCES[producer % len(SOURCES)]
        table = InstrumentTable()
        for exchange, token in names_of(scenario):
            table.intern(exchange, token, source)
        columns = TickColumns(
            tape.instrument.astype(np.uint32),
            tape.event_time_ms,
            tape.price,
            *(np.where(c < 0, NULL, c) for c in (tape.quantity, tape.volume, tape.oi)),
            tape.event_time_ms,
        )
        preparation = Preparation(table, FilterSettings(), 1, AHEAD_MS)
        (self.ticks,) = preparation.prepare(columns, 0)
        self._producer = f"{feed_name(producer)}-line"
        self._names = [(entry.exchange, entry.token, entry.source) for entry in table.entries]
        self.sent = 0

    def push(self, owner: Owner, upto: float = 0.0) -> Reply:
        """Send what is missing up to that share of the tape, nothing more than once unless the owner says so;
        the end of the tape is told with its last tick."""
        end = max(self.sent, int(upto * len(self.ticks)))
        ticks = self.ticks[self.sent : end]
        newest_ms = int(self.ticks["event_time_ms"][:end].max(initial=0))
        head = Batch(
            self._producer,
            self.sent,
            0,
            self._names,
            newest_ms,
            live=False,
            idle=True,
            ended=end == len(self.ticks),
        )
        reply = msgspec.msgpack.decode(owner.push(msgspec.msgpack.encode(head), ticks.tobytes()), type=Reply)
        self.sent = reply.committed if reply.rewind else end
        return reply

    def send(self, owner: Owner, upto: float) -> Reply:
        """Push until everything up to that share of the tape is committed, or the owner is fenced."""
        for _ in _tries():
            reply = self.push(owner, upto)
            if reply.fenced or reply.committed >= int(upto * len(self.ticks)):
                return reply
        raise AssertionError(f"never committed: {reply}")


def settle(owner: Owner, *lines: Line) -> None:
    """Send all that is left and have every minute closed."""
    for _ in _tries():
        replies = [line.push(owner, 1.0) for line in lines]
        if all(r.settled and r.committed == len(line.ticks) for r, line in zip(replies, lines, strict=True)):
            return
    raise AssertionError(f"never settled: {replies}")


def _tries() -> Iterator[None]:
    deadline_s = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline_s:
        yield
        time.sleep(PAUSE_S)


class OwnerProcess:
    """An `OhlcPartition` in a process of its own, which can be frozen and thawed; one that never `verifies`
    doesn't ask the store by itself who its owner is."""

    def __init__(self, settings: OhlcSettings, verifies: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(settings, verifies, theirs), daemon=True)
        self._process.start()
        self._pipe.recv_bytes()  # it has claimed the partition

    def push(self, head: bytes, ticks: bytes) -> bytes:
        """As `OhlcPartition.push`."""
        self._pipe.send_bytes(head)
        self._pipe.send_bytes(ticks)
        return self._pipe.recv_bytes()

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self._process.pid or 0, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self._process.pid or 0, signal.SIGCONT)

    def close(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()


def _serve(settings: OhlcSettings, verifies: bool, pipe: Connection[bytes, bytes]) -> None:
    if not verifies:
        ohlc.VERIFY_S = math.inf
    owner = OhlcPartition(settings)
    pipe.send_bytes(b"ready")
    push: Callable[[bytes, bytes], bytes] = owner.push
    while True:
        pipe.send_bytes(push(pipe.recv_bytes(), pipe.recv_bytes()))
