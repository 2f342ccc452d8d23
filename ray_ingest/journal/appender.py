"""A file that grows by whole blocks: what couldn't be written whole is not there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ray_ingest.errors import JournalError

fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Appender:
    """One file open for writing at its end, which is byte `size`: whatever stands behind it is cut off."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.dirty = False
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(self._descriptor, size)
        except OSError:
            self.close()
            raise

    def append(self, head: bytes, payload: bytes | memoryview, durable: bool) -> None:
        """Write a block at the end, and wait until it is on disk if it is to be `durable`.

        Raises JournalError when it can't be, and then the file is as it was before.
        """
        size = len(head) + len(payload)
        try:
            written = os.pwritev(self._descriptor, [head, payload], self.size)
            if written != size:
                raise OSError(0, "no space left")
            if durable:
                fdatasync(self._descriptor)
        except OSError as error:
            with suppress(OSError):  # the next block is written over it
                os.ftruncate(self._descriptor, self.size)
            raise unwritable(self.path, error) from None
        self.size += size
        self.dirty = self.dirty or not durable

    def sync(self) -> None:
        """All of it is on disk.

        Raises OSError, and then it may never be: the system tells of pages it couldn't write once, and a
        second call would find nothing wrong.
        """
        if self.dirty:
            self.dirty = False  # before, as more may be written meanwhile
            fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sync_folder(folder: Path) -> None:
    """Have the names of the folder's files on disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> JournalError:
    """The error for a file that can't be written."""
    return JournalError(
        f"the journal can't be written ({error.strerror or error}: {path}): make room or mend the disk, or "
        "set journal.folder"
    )
