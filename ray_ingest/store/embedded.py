"""The embedded store: a real Valkey server of one's own, shared by all who use the same data folder.

    with EmbeddedServer.attach(default_data_dir()) as server:
        client = connect(server.url)

Whoever attaches first starts the server, whoever leaves last stops it. Three locks in the folder, all
released by the kernel if their holder is killed, keep that true:

- `attached.lock`, shared by all who are attached: who gets it alone is the last one;
- `driver.lock`, held alone by the one who writes candles;
- `start.lock`, held alone for the moments of starting, attaching, emptying and leaving.

If the last one is killed (SIGKILL) its server stays, idle, until the next attaches, adopts it, and in its
turn stops it when it leaves last. Close it, or let the process end: that closes it too.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from platformdirs import user_state_path

from ray_ingest.errors import ConfigError, StoreError
from ray_ingest.store import valkey
from ray_ingest.store.locks import FileLock
from ray_ingest.store.redis import connect

log = logging.getLogger(__name__)


def default_data_dir() -> Path:
    """Where the embedded store is when no folder is given: `store` in the user's state folder."""
    return user_state_path("ray-ingest", appauthor=False) / "store"


class EmbeddedServer:
    """This process's hold on the server of one data folder; make it with `attach`."""

    url: str
    """unix:///…?db=0, the same for every server of the folder, so clients reconnect after a restart."""
    pid: int
    """Process id of the server."""

    def __init__(self, files: valkey.ServerFiles, appendfsync: str, driver: bool) -> None:
        self.url = files.url
        self.pid = 0
        self._files = files
        self._appendfsync = appendfsync
        self._driver = driver
        self._attached_in = os.getpid()
        self._closed = False
        with ExitStack() as undo:
            self._start_lock = undo.enter_context(FileLock(files.folder / "start.lock"))
            self._attached_lock = undo.enter_context(FileLock(files.folder / "attached.lock"))
            self._driver_lock = undo.enter_context(FileLock(files.folder / "driver.lock"))
            self._server_lock = undo.enter_context(FileLock(files.lock))
            self._descriptors = undo.pop_all()

    @classmethod
    def attach(
        cls,
        data_dir: Path,
        *,
        driver: bool = False,
        fresh: bool = False,
        timeout_s: float = 30,
        appendfsync: str = "everysec",
        create: bool = True,
    ) -> EmbeddedServer:
        """Attach to the folder's server, starting it if none runs, and return once it answers.

        `driver` marks the one process that writes candles; its `appendfsync` (always, everysec, no) is set on
        a server that runs already, too. `fresh` removes all earlier data first. A crash's torn AOF tail
        is cut before a start, and how much is logged. Without `create` the folder must hold a store already;
        where it doesn't, nothing is written.

        Raises ConfigError for an unknown `appendfsync`; StoreError when another driver is at work, when
        `fresh` finds others attached, when the folder can't be used, when there is no server for this
        machine, or when it isn't ready within `timeout_s`.
        """
        if appendfsync not in ("always", "everysec", "no"):
            raise ConfigError(f"redis.appendfsync must be always, everysec or no, not {appendfsync!r}")
        data_dir = Path(data_dir).expanduser().absolute()
        with _folder_errors(data_dir):
            if create:
                data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = valkey.ServerFiles(data_dir.resolve())
            if not create and not (files.lock.exists() or files.aof.exists()):
                raise StoreError(
                    f"there is no store in {data_dir}: check the folder, or make one with "
                    "python -m ray_ingest.main (the demo's: make run)"
                )
            server = cls(files, appendfsync, driver)
            try:
                server._enter(fresh, timeout_s)
            except BaseException:
                server._descriptors.close()
                raise
        atexit.register(server._close_at_exit)
        return server

    def is_alive(self) -> bool:
        """Whether the server's process runs, answering or not: a look at a lock, some ten microseconds."""
        return self._server_lock.is_held_elsewhere()

    def ensure_alive(self, timeout_s: float = 30) -> bool:
        """Start the server again if it died under us: True when it had. Raises StoreError as `attach`."""
        deadline = time.monotonic() + timeout_s
        with _folder_errors(self._files.folder), self._alone(deadline):
            return self._run(deadline)

    def close(self) -> None:
        """Leave; the last one to leave stops the server, all its data on disk. A second call does nothing.

        In a process forked off after `attach` it does nothing: the hold is its parent's.
        """
        if self._closed or os.getpid() != self._attached_in:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        with self._descriptors, self._alone(time.monotonic() + 60):
            if self._attached_lock.try_exclusive():
                valkey.stop(self._files, self.pid, self._server_lock)

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _enter(self, fresh: bool, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        folder = self._files.folder
        if self._driver:
            if not self._driver_lock.try_exclusive():
                raise StoreError(
                    f"the embedded store in {folder} already has a driver, process "
                    f"{self._driver_lock.read()}: stop that one or choose another redis.data_dir"
                )
            self._driver_lock.write(str(os.getpid()))
        with self._alone(deadline):
            if fresh:
                if not self._attached_lock.try_exclusive():
                    raise StoreError(
                        f"the embedded store in {folder} can't be emptied: others are attached to it"
                    )
                valkey.stop(self._files, 0, self._server_lock)  # one left over by a killed process
                self._files.remove_data()
            self._attached_lock.share()
            self._run(deadline)

    def _run(self, deadline: float) -> bool:
        """Have a server that answers; True if it had to be started."""
        started = not self._server_lock.is_held_elsewhere()
        if started:
            valkey.start(self._files, self._appendfsync)
        self.pid = valkey.wait_until_ready(self._files, deadline)
        if self._driver and not started:
            with connect(self.url, pool_size=1) as client:
                client.config_set("appendfsync", self._appendfsync)
        return started

    @contextmanager
    def _alone(self, deadline: float) -> Iterator[None]:
        """Hold the start lock."""
        while not self._start_lock.try_exclusive():
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the embedded store in {self._files.folder} has been starting or stopping for too long "
                    "in another process: try again, or stop that process"
                )
            time.sleep(valkey.POLL_S)
        try:
            yield
        finally:
            self._start_lock.release()

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except (StoreError, OSError) as error:
            log.warning("the embedded store may still be running: %s", error)


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    """What the file system refuses becomes a StoreError a person can act on."""
    try:
        yield
    except OSError as error:
        place = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise StoreError(
            f"the embedded store can't use {folder} ({place}): choose another redis.data_dir"
        ) from None
