"""A live run under a real Prometheus whose store, actors and disk fail: each alert fires and clears."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ray_ingest.ports import next_free_port
from tests.conftest import skip_or_fail
from tests.integration.monitoring.expectations import MACHINE_ALERTS, check_panels, check_words
from tests.integration.monitoring.prometheus import prometheus
from tests.integration.run.processes import MARK, Run, running
from tests.servers import running_server

DISK_BYTES = 64 << 20
LIVE = (
    *("ray.dashboard=false", "feed=sim", "feed.forever=true", "calendar=continuous"),
    *("feed.ticks_per_second=2000", "ingest.buffer_ticks=2000", "redis=url", "redis.timeout_s=1"),
    *("ray.silent_s=8", "log.level=error", "journal.ticks=all"),
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the journal."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not mount or not umount or os.getuid() != 0:
        skip_or_fail("a small disk needs mount and its permission")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    if subprocess.run([str(mount), *options], check=False).returncode:
        skip_or_fail("a small disk can't be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([str(umount), "--lazy", str(folder)], check=True)  # a failed run may hold it yet


def freeze(run: Run, actor: str) -> None:
    """Stop the process of an actor's class as a machine that swaps does."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == run.mark and f"ray::{actor}" in "".join(process.cmdline()):
                process.send_signal(signal.SIGSTOP)
                return
    raise AssertionError(f"no process of {actor}")


def fill(disk: Path) -> Path:
    """A file that leaves nothing."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    return filler


def test_alerts_fire_while_something_is_wrong_and_clear_afterwards(tmp_path: Path, small_disk: Path) -> None:
    """The store stands still, an actor freezes, the journal's disk is full, the program ends: each is told
    by its name and with its words, and that it is over; every panel has data in between."""
    port = next_free_port(18_950)
    with running_server(tmp_path / "server") as store, prometheus(tmp_path / "prometheus", port) as server:
        places = (
            f"redis.url={store.url}",
            f"metrics.port={port}",
            f"journal.folder={small_disk / 'journal'}",
        )
        with running(tmp_path / "run", *LIVE, *places) as run:
            server.wait_value("ray_ingest:ticks_processed:rate1m", lambda rate: rate > 500)
            server.wait_quiet()
            check_panels(server, with_brokers=False)

            os.kill(store.pid, signal.SIGSTOP)
            server.wait_firing("StoreDown", "QueueGrowing")
            os.kill(store.pid, signal.SIGCONT)
            server.wait_quiet()

            freeze(run, "OhlcPartition")
            server.wait_firing("ActorSilent", "ActorRestarting")
            server.wait_quiet()

            filler = fill(small_disk)
            server.wait_firing("JournalDiskNearlyFull", "JournalUnwritable", "TicksDropped", "CandleLag")
            filler.unlink()
            server.wait_firing("GapsNoted")
            server.wait_quiet()
            check_panels(server, with_brokers=False)

            run.interrupt(signal.SIGTERM)
            assert run.end() == 0, run.errors
        server.wait_firing("IngestDown")
        assert server.fired.keys() >= MACHINE_ALERTS
        check_words(server)
