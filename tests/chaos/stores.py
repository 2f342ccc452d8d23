"""The server of a run and its replica, treated as an operator and as bad luck do."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import redis

from tests.chaos.scenario import Scenario
from tests.servers import Server, binary_of, free_port, start_server

ROLLBACK_S = 0.9
"""How much of its newest writes a server with everysec may lose."""


class Store:
    """A primary with AOF in `folder`/primary, and with `replicated` a replica in `folder`/replica.

    `current` is the server that clients should be sent to. `checks` off leaves out what the operator's start
    script does before each start: have the server's own checker cut what a crash tore.
    """

    def __init__(self, folder: Path, scenario: Scenario, replicated: bool, checks: bool = True) -> None:
        self._kind = scenario.server
        self._aof = ("--appendonly", "yes", "--appendfsync", scenario.appendfsync)
        self._folder = folder / "primary"
        self._checks = checks
        port = free_port() if replicated else 0
        self._arguments = (*self._aof, "--port", str(port), "--bind", "127.0.0.1")
        self.current = self._start()
        self._replica: Server | None = None
        if replicated:
            following = (
                "--replicaof",
                "127.0.0.1",
                str(port),
                "--port",
                str(free_port()),
                "--bind",
                "127.0.0.1",
            )
            self._replica = start_server(folder / "replica", *self._aof, *following, kind=self._kind)
            self._await_link(self._replica)

    def close(self) -> None:
        """End all servers."""
        for server in (self.current, self._replica):
            if server is not None:
                server.kill()

    def client(self) -> redis.Redis:
        """A client of the current server, past any proxy."""
        return self.current.client()

    def kill(self) -> None:
        """SIGKILL."""
        self.current.kill()

    def start(self) -> None:
        """Start what was killed, as the operator's script does."""
        self.current = self._start()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.current.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.current.process.send_signal(signal.SIGCONT)

    def aof_size(self) -> int:
        """Bytes of the newest increment of the AOF."""
        newest = self._newest_increment()
        return newest.stat().st_size if newest else 0

    def tear(self, size: int) -> None:
        """Cut the newest increment of a server that was killed to `size` bytes."""
        newest = self._newest_increment()
        if newest is not None and size < newest.stat().st_size:
            with newest.open("r+b") as file:
                file.truncate(size)

    def wipe(self) -> None:
        """Remove all data of a server that was killed."""
        shutil.rmtree(self._folder / "appendonlydir")

    def fail_over(self, lag_s: float) -> None:
        """The replica stops following, `lag_s` later the primary dies, and the replica takes its place."""
        replica = self._replica
        if replica is None:
            raise RuntimeError("this store has no replica")
        with replica.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        time.sleep(lag_s)  # the writes of this time are lost, which is the point
        self.current.kill()
        self.current, self._replica = replica, None
        self._folder, self._arguments = replica.socket.parent, self._aof

    def command(self, *words: str) -> None:
        """Run a command on the current server."""
        with self.client() as client:
            client.execute_command(*words)

    def _start(self) -> Server:
        newest = self._newest_increment()
        if self._checks and newest is not None:
            check_aof(newest, self._kind)
        return start_server(self._folder, *self._arguments, kind=self._kind)

    def _newest_increment(self) -> Path | None:
        manifest = self._folder / "appendonlydir" / "appendonly.aof.manifest"
        with suppress(FileNotFoundError):
            names = re.findall(r"^file (\S+) seq \d+ type i", manifest.read_text(), re.M)
            return manifest.parent / names[-1] if names else None
        return None

    @staticmethod
    def _await_link(replica: Server) -> None:
        deadline = time.monotonic() + 20
        with replica.client() as client:
            while client.info("replication").get("master_link_status") != "up":
                if time.monotonic() > deadline:
                    raise RuntimeError("the replica doesn't follow")
                time.sleep(0.01)


def check_aof(increment: Path, kind: str) -> None:
    """Have the server's own checker cut a torn tail. Raises RuntimeError if it can't mend the file."""
    done = subprocess.run(
        [f"{kind}-check-aof", "--fix", str(increment)],
        executable=str(binary_of("redis-check-aof" if kind == "redis" else "valkey")),
        input=b"y\n",
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the AOF is beyond repair: {(done.stdout + done.stderr).decode()[-500:]}")
