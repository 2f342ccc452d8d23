"""Blocks of an open file one after another, each checked, however large the file is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ray_ingest.journal.block import HEADER, HOLE, NAMES, TICKS, Block, block_at, block_size

WINDOW_BYTES = 4 << 20
_MAGIC = re.compile(b"|".join((TICKS, HOLE, NAMES)))


class BadBlockError(Exception):
    """What stands at byte `at` is no whole block, or its checksum is wrong."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def blocks(descriptor: int, start: int, end: int) -> Iterator[Block]:
    """The blocks in bytes [start, end) of the file; a block begins at `start` and one ends at `end`.

    Raises BadBlockError where that isn't so, OSError when the file can't be read.
    """
    at, wanted = start, WINDOW_BYTES
    while at < end:
        window = memoryview(os.pread(descriptor, min(max(wanted, WINDOW_BYTES), end - at), at))
        position = 0
        while True:
            left = len(window) - position
            size = block_size(window, position) if left >= HEADER.size else HEADER.size
            if not size:
                raise BadBlockError(at + position)
            if size > left:
                break
            block = block_at(window, position, size, at + position)
            if block is None:
                raise BadBlockError(at + position)
            yield block
            position += size
        at += position
        if not position and (at + size > end or wanted == size):
            raise BadBlockError(at)  # it ends behind the end of the file
        wanted = size


def whole_block_after(descriptor: int, start: int, end: int) -> int | None:
    """Where the first block whose checksum is right begins in bytes [start, end); None if there is none."""
    data = os.pread(descriptor, end - start, start)
    view = memoryview(data)
    for found in _MAGIC.finditer(data):
        position = found.start()
        if len(data) - position < HEADER.size:
            break
        size = block_size(view, position)
        if 0 < size <= len(data) - position and block_at(view, position, size, 0) is not None:
            return start + position
    return None
