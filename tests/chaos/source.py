"""A feed's source in a chaos run: the seed's tape at its pace, the same again after every restart."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.source import digest
from ray_ingest.model import NULL, TickColumns
from tests.chaos.scenario import Scenario
from tests.chaos.tape import BLOCK_S, SOURCES, names_of, tape_of

BEGUN = "begun"
"""File of a run's folder: wall clock (epoch s) at which the first feed began; all pace by it."""


@dataclass(frozen=True)
class MakeSource:
    """Builds the source inside the feed's process, and there sets the trap of `die_after_journal_s`: once so
    many seconds of load are appended, the process kills itself before it sends what it just kept. Only the
    first process to get there does. Without `rewinds` the feed goes on where it is after a failure, which is
    wrong, and a test shows that it is."""

    scenario: Scenario
    producer: int
    folder: Path
    die_after_journal_s: float | None = None
    rewinds: bool = True

    def __call__(self) -> ChaosSource:
        """The source; a process that is started again makes an equal one."""
        if self.die_after_journal_s is not None:
            share = self.die_after_journal_s / self.scenario.load_s
            ticks = int(
                share * self.scenario.ticks_per_second * self.scenario.load_s / self.scenario.producers
            )
            _die_once(self.folder / f"died-{self.producer}", ticks, self.scenario.journaled)
        if not self.rewinds:
            _never_rewind()
        return ChaosSource(self.scenario, self.producer, self.folder)


class ChaosSource:
    """The ticks of one producer, each when the wall clock says so. After a restart what is overdue comes at
    once, from a live source not at all."""

    paced_by = "receive_time_ms"

    def __init__(self, scenario: Scenario, producer: int, folder: Path) -> None:
        self.live = scenario.live
        self.name = SOURCES[producer % len(SOURCES)]
        self.identity = digest("chaos", scenario, producer)
        self.table = InstrumentTable()
        for exchange, token in names_of(scenario):
            self.table.intern(exchange, token, self.name)
        self._tape = tape_of(scenario, producer)
        self._folder = folder
        self._started = folder / f"started-{producer}"

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """Blocks of about 10 ms, cut at the same ticks every time."""
        tape = self._tape
        columns = TickColumns(
            tape.instrument.astype(np.uint32),
            tape.event_time_ms,
            tape.price,
            *(np.where(c < 0, NULL, c) for c in (tape.quantity, tape.volume, tape.oi)),
            tape.event_time_ms,
        )
        begun_s = _begun_s(self._folder)
        number = (tape.due_s / BLOCK_S).astype(np.int64)
        starts = np.flatnonzero(np.diff(number, prepend=-1))
        restarted = self._started.exists()
        self._started.touch()
        missed_s = time.time() - begun_s if self.live and restarted else 0.0
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(tape)], strict=True):
            wait_s = begun_s + float(tape.due_s[start]) - time.time()
            if wait_s > 0:
                time.sleep(wait_s)
            if tape.due_s[start] >= missed_s:
                yield columns[start:end]
        # Such a source never ends: its broker goes on repeating the last trade.
        last = int(np.flatnonzero(tape.volume >= 0)[-1])
        while self.live:
            time.sleep(BLOCK_S)
            yield columns[last : last + 1]


def _begun_s(folder: Path) -> float:
    """When the load began: now, if nobody has begun it."""
    mine = folder / f"{BEGUN}.{os.getpid()}"
    mine.write_text(repr(time.time()))
    with suppress(FileExistsError):
        os.link(mine, folder / BEGUN)  # whole or not at all, and only the first
    mine.unlink()
    return float((folder / BEGUN).read_text())


def _die_once(marker: Path, ticks: int, journaled: bool) -> None:
    """Have this process kill itself between keeping ticks and sending them, `ticks` from its start on."""
    if marker.exists():
        return
    from ray_ingest.actors.sender import Sender
    from ray_ingest.journal import Journal

    owner: Any = Journal if journaled else Sender
    append: Callable[..., Any] = owner.append
    kept = [0]

    def append_and_die(self: Any, *arguments: Any, **named: Any) -> Any:
        result = append(self, *arguments, **named)
        kept[0] += sum(len(a) for a in arguments if isinstance(a, np.ndarray))
        if kept[0] >= ticks and not marker.exists():
            marker.write_text(repr(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    owner.append = append_and_die


def _never_rewind() -> None:
    from ray_ingest.core.outbox import Outbox

    Outbox.rewind = Outbox.acknowledge  # type: ignore[method-assign]
