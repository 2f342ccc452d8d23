"""One file of a partition's ticks: what is in it, where, and its index beside it once it is full."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from ray_ingest.errors import JournalError
from ray_ingest.journal.block import HOLE, TICKS, Block
from ray_ingest.journal.walk import BadBlockError, blocks, whole_block_after
from ray_ingest.model import GAP_NOTE, TICK

SUFFIX = ".seg"
INDEX_SUFFIX = ".idx"
INDEX_STRIDE_BYTES = 64 << 10


class Segment(msgspec.Struct):
    """What a segment file holds: offsets [first, end) in `size` bytes of whole blocks.

    Times are epoch ms: of the ticks' events (None while there is no tick; gap notes don't count) and of the
    newest ticks' writing (0: none). `offsets` and `positions` say at which byte the block of an offset
    begins, for a block every 64 KiB or so, the first one included.
    """

    first: int
    end: int
    size: int = 0
    blocks: int = 0
    oldest_event_ms: int | None = None
    newest_event_ms: int | None = None
    newest_written_ms: int = 0
    offsets: list[int] = []
    positions: list[int] = []

    def add(self, kind: bytes, count: int, size: int, written_ms: int, ticks: npt.NDArray[np.void]) -> None:
        """A block of `count` rows, of which these are no lost ones, now stands at the end."""
        if not self.positions or self.size - self.positions[-1] >= INDEX_STRIDE_BYTES:
            self.offsets.append(self.end)
            self.positions.append(self.size)
        self.end += count
        self.size += size
        self.blocks += 1
        if kind == TICKS:
            self.newest_written_ms = max(self.newest_written_ms, written_ms)
            self._note_times(ticks)

    def _note_times(self, ticks: npt.NDArray[np.void]) -> None:
        flags = ticks["flags"]
        if flags.any():
            ticks = ticks[(flags & GAP_NOTE) == 0]
        if len(ticks):
            times = ticks["event_time_ms"]
            oldest, newest = int(times.min()), int(times.max())
            known = self.oldest_event_ms, self.newest_event_ms
            self.oldest_event_ms = oldest if known[0] is None else min(known[0], oldest)
            self.newest_event_ms = newest if known[1] is None else max(known[1], newest)

    def bytes_of(self, start: int, end: int) -> tuple[int, int]:
        """Bytes [from, to) of whole blocks that hold all its offsets in [start, end)."""
        before = max(bisect_right(self.offsets, start) - 1, 0)
        after = bisect_left(self.offsets, end)
        return (
            self.positions[before] if self.positions else 0,
            self.positions[after] if after < len(self.positions) else self.size,
        )


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment that begins at offset `first`."""
    return folder / f"{first:020d}{SUFFIX}"


def segment_paths(folder: Path) -> list[Path]:
    """A partition's segment files in the order of their offsets."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def open_segment(path: Path, last: bool) -> tuple[Segment, int]:
    """What the file holds, and how many bytes of a torn tail follow it, which only the `last` may have.

    A segment with an index is taken at the index's word, if its size is right. Raises JournalError, naming
    file and byte, for one that is damaged otherwise: ticks that can still be read are never cut off.
    """
    known = None if last else read_index(path)
    if known is not None:
        return known, 0
    size = path.stat().st_size  # before it is read: what a writer adds meanwhile is not looked at
    segment, fault = scan(path, size)
    if fault is None:
        return segment, 0
    with opened(path) as descriptor:
        if last and whole_block_after(descriptor, fault + 1, size) is None:
            return segment, size - fault
    raise damaged(path, fault)


def scan(path: Path, size: int) -> tuple[Segment, int | None]:
    """The whole blocks in the file's first `size` bytes, and the byte of the first that is none or doesn't
    continue the one before it."""
    first = int(path.stem)
    segment = Segment(first, first)
    with opened(path) as descriptor:
        try:
            for block in blocks(descriptor, 0, size):
                if block.first != segment.end or block.kind not in (TICKS, HOLE):
                    return segment, block.at
                segment.add(block.kind, block.length, block.size, block.written_ms, block.ticks())
        except BadBlockError as error:
            return segment, error.at
    return segment, None


def read_rows(path: Path, segment: Segment, start: int, limit: int) -> npt.NDArray[np.void]:
    """1 to `limit` TICK rows from offset `start` on, which the segment holds, in an array of one's own.

    Raises JournalError, naming file and byte, where a checksum is wrong.
    """
    end = min(start + limit, segment.end)
    parts = [block.rows_between(start, end) for block in segment_blocks(path, segment, start, end)]
    return np.frombuffer(bytearray().join(parts), TICK)


def segment_blocks(path: Path, segment: Segment, start: int, end: int) -> Iterator[Block]:
    """The blocks that hold offsets [start, end) of the segment. Raises JournalError as `read_rows`."""
    with opened(path) as descriptor:
        try:
            for block in blocks(descriptor, *segment.bytes_of(start, end)):
                if block.end > start:
                    if block.first >= end:
                        return
                    yield block
        except BadBlockError as error:
            raise damaged(path, error.at) from None


def damaged(path: Path, at: int) -> JournalError:
    """The error for a file whose byte `at` is not what was written."""
    return JournalError(
        f"{path}: damaged at byte {at:,}: `python -m ray_ingest.journal verify` lists all damage; with the "
        "file moved away the feed goes on without its ticks"
    )


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor to read the file with. Raises FileNotFoundError, JournalError when it can't be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise JournalError(f"{path}: can't be read: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_index(path: Path, segment: Segment) -> None:
    """Keep what the full segment file `path` holds beside it, so that nobody has to scan it again."""
    encoded = msgspec.msgpack.encode(segment)
    partial = path.with_suffix(".idx.partial")
    partial.write_bytes(zlib.crc32(encoded).to_bytes(4, "little") + encoded)
    partial.replace(path.with_suffix(INDEX_SUFFIX))


def read_index(path: Path) -> Segment | None:
    """What the index of the segment file `path` says; None when there is none, or it is damaged or not of
    the file as it is now."""
    try:
        data = path.with_suffix(INDEX_SUFFIX).read_bytes()
    except FileNotFoundError:
        return None
    encoded = data[4:]
    if zlib.crc32(encoded).to_bytes(4, "little") != data[:4]:
        return None
    try:
        segment = msgspec.msgpack.decode(encoded, type=Segment)
    except msgspec.DecodeError:
        return None
    return segment if segment.size == path.stat().st_size else None
