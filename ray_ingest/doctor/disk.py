"""The disks that journal, store, logs and Ray write to: room, and how long it takes to reach the platter."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ray_ingest.config import AppConfig
from ray_ingest.doctor.finding import Finding, ok, warning, wrong
from ray_ingest.journal import default_journal_dir
from ray_ingest.store.embedded import default_data_dir

LEAST_BYTES = 1 << 30
LITTLE_BYTES = 5 << 30
SLOW_MS = 50.0
WRITES = 9


def disks(
    config: AppConfig, least_bytes: int = LEAST_BYTES, little_bytes: int = LITTLE_BYTES
) -> Iterator[Finding]:
    """One finding a file system: it can be written, has room, and fsync is quick."""
    by_device: dict[int, tuple[Path, list[str]]] = {}
    for name, folder in _places(config).items():
        there = _nearest(folder)
        by_device.setdefault(there.stat().st_dev, (there, []))[1].append(name)
    for folder, names in by_device.values():
        yield _disk(folder, ", ".join(names), least_bytes, little_bytes)


def _disk(folder: Path, names: str, least_bytes: int, little_bytes: int) -> Finding:
    check = f"disk ({names})"
    try:
        took_ms = fsync_ms(folder)
    except OSError as error:
        return wrong(
            check, f"{folder} can't be written: {error.strerror}", "give another folder, or its rights"
        )
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / (1 << 30):,.1f} GB free at {folder}, fsync {took_ms:.1f} ms"
    room = f"make room: du -xh {folder} | sort -h | tail; old journals go with journal.keep_gb"
    if usage.free < least_bytes:
        return wrong(check, text, room)
    if usage.free < little_bytes:
        return warning(check, text, room)
    if took_ms > SLOW_MS:
        return warning(check, text, "a faster disk, or journal.fsync=no: only a power cut makes a difference")
    return ok(check, text)


def fsync_ms(folder: Path) -> float:
    """The median time (ms) to have 4 KiB more of a file on disk. Raises OSError."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(WRITES):
            begun_s = time.perf_counter()
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begun_s) * 1000)
    return statistics.median(times)


def _places(config: AppConfig) -> dict[str, Path]:
    places = {}
    if config.keeps_ticks:
        places["journal"] = Path(config.journal.folder or default_journal_dir())
    if config.redis.kind == "embedded":
        places["store"] = Path(config.redis.data_dir or default_data_dir())
    if config.log.file:
        places["logs"] = Path(config.log.file).parent
    if config.ray.kind == "local":
        places["Ray"] = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()))
    return {name: path.expanduser().absolute() for name, path in places.items()}


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())
