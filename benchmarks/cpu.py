"""CPU seconds by process over an interval: this process, its descendants, and servers named by pid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own


@contextmanager
def cpu_by_process(*server_pids: int) -> Iterator[dict[str, float]]:
    """A with statement's interval; the dict it gives is filled at the end: name → user + system CPU seconds.

    Names: "driver" for this process; an actor's own, "ray workers" for Ray's idle and task processes, else
    the script's or executable's ("raylet", "gcs_server", "valkey-server"); equal names are added up.
    Descendants of the processes `server_pids` count too. A process that ended inside the interval is missing:
    end actors after it.
    """
    before = _read(server_pids)
    seconds: dict[str, float] = {}
    yield seconds
    for process, (name, total) in _read(server_pids).items():
        _, earlier = before.get(process, (name, 0.0))
        seconds[name] = seconds.get(name, 0.0) + total - earlier


def _read(server_pids: tuple[int, ...]) -> dict[psutil.Process, tuple[str, float]]:
    driver = psutil.Process()
    roots = [driver, *(psutil.Process(pid) for pid in server_pids if psutil.pid_exists(pid))]
    found: dict[psutil.Process, tuple[str, float]] = {}
    for root in roots:
        for process in (root, *root.children(recursive=True)):
            try:
                times = process.cpu_times()
                name = "driver" if process == driver else _name(process)
            except psutil.NoSuchProcess:
                continue
            found[process] = (name, times.user + times.system)
    return found


def _name(process: psutil.Process) -> str:
    command = process.cmdline()
    title = " ".join(command)
    if not title.startswith("ray::"):
        # Ray's helpers are Python scripts: log_monitor, and the agents under their own titles.
        script = next((Path(word).stem for word in command if word.endswith(".py")), "")
        return script or process.name()
    # "ray::FeedActor.run" while a method runs, "ray::FeedActor" in between; "ray::IDLE" belongs to no actor.
    actor = title.removeprefix("ray::").partition(" ")[0].partition(".")[0]
    return "ray workers" if actor in ("", "IDLE") else actor
