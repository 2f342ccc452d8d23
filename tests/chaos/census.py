"""Memory and file descriptors of every process of a run, sampled while it goes."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

JUDGED_S = 60.0
"""Shorter runs are still warming up: their trend says nothing."""

MOST_GROWTH = 0.05
SLACK_BYTES = 4 << 20
BYTES_PER_CANDLE = 700
"""What the store may keep of each candle: its record, its list, its event, and the allocator's share."""


@dataclass
class _Samples:
    name: str
    process: psutil.Process
    is_store: bool
    at_s: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)


class Census:
    """Samples this process, all it started, and the store's server, on a thread of its own."""

    def __init__(self, store: Path, interval_s: float) -> None:
        self._pid_file = store / "valkey.pid"
        self._interval_s = interval_s
        self._known: dict[tuple[int, float], _Samples] = {}
        self._over = threading.Event()
        self._began_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="census", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sample no more; may be called twice."""
        self._over.set()
        self._thread.join()

    def judge(self, candles: int) -> list[str]:
        """What grew in the last half of the run, in words; prints a line for each process."""
        wrong = []
        for samples in self._known.values():
            at_s, half_s = np.array(samples.at_s), (samples.at_s[0] + samples.at_s[-1]) / 2
            late = at_s >= half_s
            if late.sum() < 5 or samples.at_s[-1] - samples.at_s[0] < JUDGED_S:
                continue
            rss, fds = np.array(samples.rss)[late], np.array(samples.fds)[late]
            slope = float(np.polyfit(at_s[late], rss, 1)[0])
            grown = slope * float(at_s[late][-1] - at_s[late][0])
            text = (
                f"{samples.name}: {rss[-1] >> 20} MB, {grown / 2**20:+.1f} MB in the last half, "
                f"{fds.min()} to {fds.max()} descriptors"
            )
            print(f"  {text}", flush=True)
            allowed = BYTES_PER_CANDLE * candles / 2 if samples.is_store else MOST_GROWTH * float(rss.mean())
            if grown > allowed + SLACK_BYTES or fds[-5:].min() > fds[:5].max():
                wrong.append(text)
        return wrong

    def left_behind(self, timeout_s: float) -> list[str]:
        """Processes that still run `timeout_s` after the end."""
        others = [s for s in self._known.values() if s.process.pid != psutil.Process().pid]
        _, alive = psutil.wait_procs([samples.process for samples in others], timeout_s)
        return [f"left behind: {samples.name}" for samples in others if samples.process in alive]

    def _watch(self) -> None:
        while True:
            for process in self._processes():
                with suppress(psutil.Error):
                    key = (process.pid, process.create_time())
                    samples = self._known.get(key)
                    if samples is None:
                        is_store = process.name().startswith("valkey")
                        samples = self._known[key] = _Samples(_name(process), process, is_store)
                    samples.rss.append(process.memory_info().rss)
                    samples.fds.append(process.num_fds())
                    samples.at_s.append(time.monotonic() - self._began_s)
                    samples.name = _name(process)
            if self._over.wait(self._interval_s):
                return

    def _processes(self) -> list[psutil.Process]:
        own = psutil.Process()
        found = [own, *own.children(recursive=True)]
        with suppress(OSError, ValueError, psutil.Error):
            found.append(psutil.Process(int(self._pid_file.read_text())))
        return list({process.pid: process for process in found}.values())


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    title = words[0].rsplit("/", 1)[-1] if words else process.name()
    script = next((w.rsplit("/", 1)[-1] for w in words[1:3] if w.endswith(".py")), "")
    return f"{title}{' ' + script if script else ''} ({process.pid})"
