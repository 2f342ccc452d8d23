"""Other processes attached to an embedded store, and whether servers are really gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]

MOMENT_S = 5.0
HOLD = """
import os, sys
from pathlib import Path
from ray_ingest.errors import StoreError
from ray_ingest.store.embedded import EmbeddedServer
from ray_ingest.store.redis import connect
sys.stdin.readline()
try:
    server = EmbeddedServer.attach(Path(sys.argv[1]), driver="driver" in sys.argv[2:])
except StoreError as error:
    sys.exit(f"refused: {error}")
print(server.pid, flush=True)
sys.stdin.read()
if "fork" in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        server.close()
        os._exit(0)
    os.waitpid(child, 0)
    with connect(server.url) as client:
        client.ping()
if "close" in sys.argv[2:]:
    server.close()
"""
"""Attaches on the first line of its input, prints the server's pid, and leaves at the end of its input."""


class Holder:
    """Another process attached to the store, in a session of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", HOLD, str(folder), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            start_new_session=True,
        )

    def go(self) -> "Holder":
        """Let it attach now."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self

    def server_pid(self) -> int:
        """Wait until it is attached; the pid it sees."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.end()[1]
        return int(line)

    def end(self) -> tuple[int, str]:
        """Let it leave by itself: its exit code and what it said on stderr."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def kill(self) -> None:
        """SIGKILL its whole process group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=60)


def is_gone(pid: int) -> bool:
    """Whether the process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def goes(pid: int) -> bool:
    """Whether the process ends, reaped or not: a server lets go of its lock a moment before."""
    deadline_s = time.monotonic() + MOMENT_S
    while not is_gone(pid) and time.monotonic() < deadline_s:
        time.sleep(0.005)  # between two looks
    return is_gone(pid)


def crash(pid: int) -> None:
    """Kill a server and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    psutil.wait_procs([process], timeout=30)
