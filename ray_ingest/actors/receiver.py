"""From a source into a bounded buffer, on a thread of its own; a broker's socket thread does no more."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ray_ingest.clock import epoch_ms
from ray_ingest.core.gaps import LostTicks, gap_notes, gap_of_all
from ray_ingest.core.tick_buffer import TickBuffer
from ray_ingest.errors import RayIngestError
from ray_ingest.feeds.source import Disconnected, TickSource
from ray_ingest.model import GapReason, TickColumns

log = logging.getLogger(__name__)

NAP_S = 0.0005


class Receiver:
    """Puts a source's blocks into `buffer`, each when it is due.

    Ticks of a source that can be read again wait until there is room. A live source's never wait: what finds
    the buffer full is dropped, and told as gap notes (`take_notes`) like the source's own disconnects.
    """

    def __init__(self, source: TickSource, speed: float | None, capacity: int) -> None:
        self.buffer = TickBuffer(capacity)
        self.over = threading.Event()
        self.error: Exception | None = None
        self._source = source
        self._speed = 1.0 if source.live else speed
        self._stopping = threading.Event()
        self._lost = LostTicks()
        self._lock = threading.Lock()
        self._notes: deque[npt.NDArray[np.void]] = deque()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    @property
    def dropped(self) -> int:
        """Ticks that found no room."""
        return self._lost.total

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more; `over` is set soon after, at once when nothing was begun."""
        self._stopping.set()
        if self._thread.ident is None:
            self.over.set()

    def note_gap(
        self, from_ms: int, to_ms: int, reason: GapReason, instruments: Sequence[int] | None = None
    ) -> None:
        """Ticks of these instruments (the source's ids; None: of all) are missing between these epoch ms."""
        to_ms = max(from_ms, to_ms)
        if instruments is None:
            self._notes.append(gap_of_all(from_ms, to_ms, reason))
        elif instruments:
            n = len(instruments)
            self._notes.append(gap_notes(instruments, [from_ms] * n, [to_ms] * n, [-1] * n, reason))

    def take_notes(self) -> npt.NDArray[np.void] | None:
        """Gap notes (TICK rows, the source's instrument ids) since the last call; None if there are none."""
        if not self._notes and not self._lost.waiting:
            return None
        with self._lock:
            notes = [self._lost.drain()]
        while self._notes:
            notes.append(self._notes.popleft())
        return np.concatenate(notes)

    def _run(self) -> None:
        start_ms = epoch_ms()
        blocks: Iterator[TickColumns | Disconnected] = iter(())
        try:
            blocks = self._source.blocks(start_ms)
            for block in self._paced(blocks, start_ms):
                if isinstance(block, Disconnected):
                    self.note_gap(block.from_ms, block.to_ms, block.reason, block.instruments)
                elif len(block):
                    self._put(block)
                if self._stopping.is_set():
                    return
        except RayIngestError as error:
            self.error = error
        except Exception as error:
            log.exception("source %s failed", self._source.name)
            self.error = RayIngestError(f"source {self._source.name}: {type(error).__name__}: {error}")
            self.error.exit_code = 6
        finally:
            self._end(blocks)
            self.over.set()

    def _end(self, blocks: Iterator[TickColumns | Disconnected]) -> None:
        """What the source holds open, such as sockets, is closed now and not whenever it is forgotten."""
        if isinstance(blocks, Generator):
            try:
                blocks.close()
            except Exception:
                log.exception("source %s did not end in order", self._source.name)

    def _put(self, block: TickColumns) -> None:
        received_s = time.monotonic()
        while not self.buffer.put(block, received_s):
            if self._source.live:
                with self._lock:
                    self._lost.add(block)
                return
            if self._stopping.wait(NAP_S):
                return

    def _paced(
        self, blocks: Iterator[TickColumns | Disconnected], start_ms: int
    ) -> Iterator[TickColumns | Disconnected]:
        """The source's blocks, cut and held back so that each tick comes when it is due."""
        paced_by = self._source.paced_by
        if self._speed is None or paced_by is None:
            yield from blocks
            return
        began_s, first_ms = time.monotonic(), start_ms if self._source.live else None
        for block in blocks:
            if isinstance(block, Disconnected):
                yield block
                continue
            due_ms = np.maximum.accumulate(getattr(block, paced_by))
            if first_ms is None:
                first_ms = int(due_ms[0])
            row = 0
            while row < len(block):
                reached_ms = first_ms + (time.monotonic() - began_s) * 1000 * self._speed
                upto = int(np.searchsorted(due_ms, reached_ms, side="right"))
                if upto > row:
                    yield block[row:upto]
                    row = upto
                else:
                    wait_s = (int(due_ms[row]) - reached_ms) / 1000 / self._speed
                    if self._stopping.wait(min(max(wait_s, NAP_S), 1.0)):
                        return
