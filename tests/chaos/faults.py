"""How each kind of fault is done to a run. A function returns when its fault is over."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from tests.chaos.scenario import Fault
from tests.chaos.stores import ROLLBACK_S

if TYPE_CHECKING:
    from tests.chaos.run import Run

TRAP_S = 10.0
"""How long a trap waits for a commit to fall into it."""

ZOMBIE_S = 2.5
"""Longer than `SILENT_S`, after which the supervisor replaces an actor."""


def inject(run: Run, fault: Fault) -> None:
    """Do it."""
    _FAULTS[fault.kind](run, fault)


def _victim(run: Run, role: str, fault: Fault) -> int:
    """The process id of one of the actors of a role; 0 when none is known."""
    pids = run.pids(role)
    return pids[int(fault.choice * len(pids))] if pids else 0


def _send(pid: int, number: signal.Signals) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _kill(role: str) -> Callable[[Run, Fault], None]:
    def kill(run: Run, fault: Fault) -> None:
        _send(_victim(run, role, fault), signal.SIGKILL)

    return kill


def _freeze(role: str) -> Callable[[Run, Fault], None]:
    def freeze(run: Run, fault: Fault) -> None:
        pid = _victim(run, role, fault)
        _send(pid, signal.SIGSTOP)
        time.sleep(fault.lasts_s)
        _send(pid, signal.SIGCONT)

    return freeze


def _ohlc_kill_in_flush(run: Run, fault: Fault) -> None:
    """The owner dies when half of its commit is on its way; the server gets the rest, or never does."""
    pid = _victim(run, "ohlc", fault)
    if fault.choice < 0.5:
        _trapped(run, lambda sprung: run.proxy.hold_next_commit(sprung), lambda: _send(pid, signal.SIGKILL))
    else:
        _trapped(run, lambda sprung: run.proxy.cut_next_commit(sprung), lambda: _send(pid, signal.SIGKILL))


def _ohlc_zombie(run: Run, fault: Fault) -> None:
    """The owner is frozen for so long that it is replaced, and thawed beside its replacement."""
    pid = _victim(run, "ohlc", fault)
    _send(pid, signal.SIGSTOP)
    time.sleep(ZOMBIE_S)
    _send(pid, signal.SIGCONT)


def _server_kill(run: Run, fault: Fault) -> None:
    run.store.kill()
    time.sleep(fault.lasts_s / 3)
    run.store.start()


def _server_stop(run: Run, fault: Fault) -> None:
    run.store.freeze()
    time.sleep(fault.lasts_s)
    run.store.thaw()


def _server_torn_tail(run: Run, fault: Fault) -> None:
    """Up to the last second of writes is lost, the last of what remains in its middle."""
    size = run.store.aof_size()
    time.sleep(ROLLBACK_S)
    run.store.kill()
    now = run.store.aof_size()
    run.store.tear(int(size + fault.choice * max(0, now - size - 1)))
    run.store.start()


def _wiped(run: Run, fault: Fault) -> None:
    run.store.kill()
    run.store.wipe()
    run.store.start()


def _commands(before: tuple[str, ...], after: tuple[str, ...] = ()) -> Callable[[Run, Fault], None]:
    def switch(run: Run, fault: Fault) -> None:
        run.store.command(*before)
        if after:
            time.sleep(fault.lasts_s)
            run.store.command(*after)

    return switch


def _failover(run: Run, fault: Fault) -> None:
    run.store.fail_over(fault.lasts_s / 2)
    run.proxy.target = run.store.current.socket
    run.proxy.drop()


def _link_drop(run: Run, fault: Fault) -> None:
    run.proxy.drop()


def _link_stall(run: Run, fault: Fault) -> None:
    run.proxy.stall()
    time.sleep(fault.lasts_s)
    run.proxy.flow()


def _link_half_request(run: Run, fault: Fault) -> None:
    _trapped(run, lambda sprung: run.proxy.cut_next_commit(sprung))


def _link_lost_reply(run: Run, fault: Fault) -> None:
    _trapped(run, lambda sprung: run.proxy.swallow_next_reply(sprung))


def _trapped(
    run: Run, arm: Callable[[Callable[[], None]], None], then: Callable[[], None] = lambda: None
) -> None:
    sprung = threading.Event()

    def spring() -> None:
        then()
        sprung.set()

    arm(spring)
    if not sprung.wait(TRAP_S):
        run.note("no commit fell into the trap")


def _ray_kill(name: str) -> Callable[[Run, Fault], None]:
    def kill(run: Run, fault: Fault) -> None:
        driver = run.driver_pid()
        for process in psutil.Process(driver).children(recursive=True) if driver else []:
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith(name):
                    process.kill()

    return kill


def _driver_kill(run: Run, fault: Fault) -> None:
    _send(run.driver_pid(), signal.SIGKILL)


def _feed_kill_after_journal(run: Run, fault: Fault) -> None:
    """The trap was set inside the feed when it started."""
    deadline_s = time.monotonic() + TRAP_S
    while not any(run.folder.glob("died-*")):
        if time.monotonic() > deadline_s:
            run.note("no feed fell into its trap")
            return
        time.sleep(0.01)


_FAULTS: dict[str, Callable[[Run, Fault], None]] = {
    "feed_kill": _kill("feed"),
    "feed_stop": _freeze("feed"),
    "feed_kill_after_journal": _feed_kill_after_journal,
    "ohlc_kill": _kill("ohlc"),
    "ohlc_stop": _freeze("ohlc"),
    "ohlc_kill_in_flush": _ohlc_kill_in_flush,
    "ohlc_zombie": _ohlc_zombie,
    "supervisor_kill": _kill("supervisor"),
    "supervisor_stop": _freeze("supervisor"),
    "server_kill": _server_kill,
    "server_stop": _server_stop,
    "server_torn_tail": _server_torn_tail,
    "script_flush": _commands(("SCRIPT", "FLUSH")),
    "oom": _commands(("CONFIG", "SET", "maxmemory", "1mb"), ("CONFIG", "SET", "maxmemory", "0")),
    "readonly": _commands(("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "no_replicas": _commands(
        ("CONFIG", "SET", "min-replicas-to-write", "3"), ("CONFIG", "SET", "min-replicas-to-write", "0")
    ),
    "flushall": _commands(("FLUSHALL",)),
    "wiped": _wiped,
    "failover": _failover,
    "link_drop": _link_drop,
    "link_half_request": _link_half_request,
    "link_lost_reply": _link_lost_reply,
    "link_stall": _link_stall,
    "raylet_kill": _ray_kill("raylet"),
    "gcs_kill": _ray_kill("gcs_server"),
    "driver_kill": _driver_kill,
}
