"""Advisory locks on files that the kernel releases when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class FileLock:
    """flock(2) on a descriptor of its own, unlocked at first; made if absent, never deleted.

    Two locks of one file exclude each other within a process too. Like any OSError of the file system, those
    of opening it (no such folder, no permission, disk full) reach the caller.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def try_exclusive(self) -> bool:
        """Hold it alone, giving up a shared hold for it; False when others hold it, and then hold nothing."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Hold it together with others; waits while one holds it alone."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Hold nothing, ready to be locked again."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def is_held_elsewhere(self) -> bool:
        """Whether somebody else holds it, shared or alone; only for a lock that is itself unlocked."""
        if not self.try_exclusive():
            return True
        self.release()
        return False

    def write(self, text: str) -> None:
        """Replace the file's content, which tells others who holds it."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def read(self) -> str:
        """What the holder wrote."""
        return os.pread(self.descriptor, 100, 0).decode(errors="replace").strip()

    def close(self) -> None:
        """Unlock and close; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
