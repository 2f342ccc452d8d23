"""The machine: Python and its packages, limits, the clock, ports."""

from __future__ import annotations

import ctypes
import platform
import resource
import shutil
import struct
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ray_ingest.config import AppConfig
from ray_ingest.doctor.finding import Finding, ok, warning, wrong
from ray_ingest.ports import LOOPBACK, next_free_port, port_error
from ray_ingest.status.asking import NotRunningError, look

DISTRIBUTION = "ray-ingest"
LEAST_FILES = 4_096
LEAST_SHARED_MEMORY = 256 << 20
APPRISE_ALERTS = ("telegram", "slack", "webhook")

STA_UNSYNC = 0x40  # of adjtimex(2)
_MAXERROR, _STATUS = 24, 40  # where they are in struct timex with 64-bit longs


def python(config: AppConfig) -> Iterator[Finding]:
    """Its version is one of those supported."""
    version, wanted = platform.python_version(), metadata.metadata(DISTRIBUTION)["Requires-Python"]
    if version in SpecifierSet(wanted):
        yield ok("Python", version)
    else:
        yield wrong("Python", f"{version}, not {wanted}", "make clean setup PYTHON=python3.12")


def packages(config: AppConfig) -> Iterator[Finding]:
    """All that the configured feed and alerts need is installed, in a version that will do."""
    extras = [*config.live_brokers, *(["alerts"] if config.alerts.kind in APPRISE_ALERTS else [])]
    for extra in ("", *extras):
        needed = [_needed(line, extra) for line in metadata.requires(DISTRIBUTION) or []]
        missing = [text for requirement in needed if requirement and (text := _lack(requirement))]
        name, what = (f"packages [{extra}]", f"ray-ingest[{extra}]") if extra else ("packages", DISTRIBUTION)
        if missing:
            yield wrong(name, ", ".join(missing), f"make setup, or: python -m pip install '{what}'")
        else:
            yield ok(name, f"{sum(requirement is not None for requirement in needed)} as required")


def open_files(config: AppConfig) -> Iterator[Finding]:
    """Ray's daemons and sockets need more than the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"at most {soft:,} a process"
    if soft >= LEAST_FILES or soft == resource.RLIM_INFINITY:
        yield ok("open files", "no limit" if soft == resource.RLIM_INFINITY else text)
    else:
        most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        yield warning("open files", text, f"ulimit -n {most}")


def shared_memory(config: AppConfig, folder: Path = Path("/dev/shm")) -> Iterator[Finding]:  # noqa: S108
    """Ray keeps its object store there."""
    if not folder.is_dir():
        yield ok("shared memory", f"no {folder} on this system: Ray uses files")
        return
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GB free in {folder}"
    if free >= LEAST_SHARED_MEMORY:
        yield ok("shared memory", text)
    else:
        yield warning("shared memory", text, "docker run --shm-size=1g, or remove what lies there")


def kernel_clock() -> tuple[bool, float] | None:
    """Whether the kernel counts its clock as synchronised, and its largest error (seconds); None where it
    doesn't say (adjtimex(2) of 64-bit Linux)."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(256)  # modes 0: nothing is set
    if adjtimex(timex) < 0:
        return None
    (status,), (error_us,) = (
        struct.unpack_from("i", timex, _STATUS),
        struct.unpack_from("q", timex, _MAXERROR),
    )
    return not status & STA_UNSYNC, error_us / 1e6


def clock(
    config: AppConfig, read: Callable[[], tuple[bool, float] | None] = kernel_clock
) -> Iterator[Finding]:
    """It is kept right by NTP: ticks from the future are rejected, and minutes of live feeds close by it."""
    mend = "sudo timedatectl set-ntp true, or start chronyd"
    state = read()
    if state is None:
        yield warning("clock", "this system doesn't say whether it is synchronised", "see that NTP runs")
    elif not state[0]:
        yield warning("clock", "not synchronised", mend)
    elif state[1] > 1.0:
        yield warning("clock", f"it may be wrong by {state[1]:.1f} s", mend)
    else:
        yield ok("clock", f"synchronised, wrong by {state[1] * 1000:.0f} ms at most")


def ports(config: AppConfig) -> Iterator[Finding]:
    """Those of metrics and dashboard can be had; one that a run of ours has is well used."""
    port = config.metrics.port
    if not port:
        yield ok("metrics port", "none is served" if port is None else "any that is free")
    elif port_error(port) is None:
        yield ok("metrics port", f"{port} is free")
    else:
        try:
            look(f"http://{LOOPBACK}:{port}")
            yield ok("metrics port", f"{port} is that of a run under way")
        except NotRunningError:
            yield wrong(
                "metrics port",
                f"{port} is taken by another program",
                f"metrics.port=0, or another one; ss -ltnp 'sport = :{port}' shows who has it",
            )
    ray = config.ray
    if ray.kind == "local" and ray.dashboard:
        free = next_free_port(ray.dashboard_port)
        taken = f"{ray.dashboard_port} is taken, it will be {free}"
        yield ok("dashboard port", f"{free} is free" if free == ray.dashboard_port else taken)


def _needed(line: str, extra: str) -> Requirement | None:
    """The requirement, where it is one of that extra, "" being none."""
    requirement = Requirement(line)
    if requirement.marker is None:
        return None if extra else requirement
    here = requirement.marker.evaluate({"extra": extra})
    return requirement if here and (not extra or not requirement.marker.evaluate({"extra": ""})) else None


def _lack(requirement: Requirement) -> str:
    """What is wrong with what is installed; "" if nothing is."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is not {requirement.specifier}"
