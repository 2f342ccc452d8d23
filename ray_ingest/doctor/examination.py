"""Runs the checks side by side, none of them for longer than it may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ray_ingest.config import AppConfig
from ray_ingest.doctor import alerts, disk, feeds, machine, ray_check, store
from ray_ingest.doctor.finding import Finding, wrong
from ray_ingest.errors import RayIngestError
from ray_ingest.redact import redact

Look = Callable[[AppConfig], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check's name, what looks, and how long (seconds) it may take."""

    name: str
    look: Look
    timeout_s: float = 10.0


CHECKS: tuple[Check, ...] = (
    Check("Python", machine.python),
    Check("packages", machine.packages),
    Check("open files", machine.open_files),
    Check("shared memory", machine.shared_memory),
    Check("clock", machine.clock),
    Check("ports", machine.ports, 20.0),
    Check("disk", disk.disks, 30.0),
    Check("Ray", ray_check.ray_starts, ray_check.LONGEST_S + 30.0),
    Check("store", store.store, 40.0),
    Check("calendar", feeds.calendar),
    Check("tokens", feeds.tokens),
    Check("instruments", feeds.instruments, 30.0),
    Check("alerts", alerts.alerts, 20.0),
)


def examine(config: AppConfig, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """What they find, in their order, as soon as it is known."""
    begun_s = time.monotonic()
    running = [_Running(check, config) for check in checks]
    for one in running:
        one.thread.start()
    for one in running:
        one.thread.join(max(0.0, begun_s + one.check.timeout_s - time.monotonic()))
        if one.thread.is_alive():
            yield wrong(one.check.name, f"no answer within {one.check.timeout_s:g} s", "look why it hangs")
            continue
        for finding in one.found:
            yield Finding(finding.check, finding.verdict, _clean(finding.found), _clean(finding.mend))


@dataclass(slots=True)
class _Running:
    """On a thread of its own, which the program's end doesn't wait for."""

    check: Check
    config: AppConfig
    found: list[Finding] = field(default_factory=list)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._look, name=self.check.name, daemon=True)

    def _look(self) -> None:
        try:
            for finding in self.check.look(self.config):
                self.found.append(finding)
        except RayIngestError as error:
            self.found.append(wrong(self.check.name, str(error)))
        except Exception as error:  # a check that fails says something, too
            self.found.append(
                wrong(self.check.name, f"it can't be looked at: {type(error).__name__}: {error}")
            )


def _clean(text: str) -> str:
    return redact(" ".join(text.split()))
