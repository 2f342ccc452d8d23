"""The journal's blocks on disk: a checksummed header, then what it covers. Pure: bytes in, bytes out.

All files of a journal are blocks one after another, little-endian:

    magic 2 B · version u16 · count u32 · first u64 · written_ms i64 · crc32 u32 · payload

`crc32` is zlib's, of the 24 bytes before it and the payload. `first` is the offset of the first row (or
the id of the first name), `written_ms` the wall clock in epoch ms.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ray_ingest.model import TICK

TICKS = b"RJ"
"""Magic of a block of ticks: `count` TICK rows."""
HOLE = b"RH"
"""Magic of a block that stands for `count` lost rows: one TICK row, the gap note each of them is read as."""
NAMES = b"RN"
"""Magic of a block of instrument names: `count` bytes of msgpack, a list of (exchange, token, source)."""

VERSION = 1
HEADER = struct.Struct("<2sHIQqI")
_CHECKED = HEADER.size - 4
_UNIT = {TICKS: TICK.itemsize, HOLE: 0, NAMES: 1}
_ROW = TICK.itemsize


class Block(NamedTuple):
    """One whole block, its checksum right. `at` is its first byte's place in the file, `length` the
    number of its rows (of a block of names: of bytes)."""

    kind: bytes
    at: int
    first: int
    length: int
    written_ms: int
    payload: memoryview

    @property
    def end(self) -> int:
        """The offset after its last row."""
        return self.first + self.length

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return HEADER.size + len(self.payload)

    def rows_between(self, start: int, end: int) -> memoryview | bytes:
        """The bytes of its TICK rows with offsets in [start, end), as far as it has them."""
        start, end = max(start, self.first) - self.first, min(end, self.end) - self.first
        if self.kind == HOLE:
            return bytes(self.payload) * (end - start)
        return self.payload[start * _ROW : end * _ROW]

    def ticks(self) -> npt.NDArray[np.void]:
        """Its ticks (TICK rows), read-only; none of a hole."""
        return np.frombuffer(self.payload if self.kind == TICKS else b"", TICK)


def header(kind: bytes, first: int, length: int, written_ms: int, payload: bytes | memoryview) -> bytes:
    """The header of a block whose payload this is."""
    checked = HEADER.pack(kind, VERSION, length, first, written_ms, 0)[:_CHECKED]
    crc = zlib.crc32(payload, zlib.crc32(checked))
    return checked + crc.to_bytes(4, "little")


def block_size(data: memoryview, position: int) -> int:
    """Bytes of the block at `position` of `data`, as its header tells; 0 when that is no block's header."""
    kind, version, count, _, _, _ = HEADER.unpack_from(data, position)
    unit = _UNIT.get(kind)
    if unit is None or version != VERSION:
        return 0
    return HEADER.size + (count * unit or _ROW)


def block_at(data: memoryview, position: int, size: int, at: int) -> Block | None:
    """The block of `size` bytes at `position` of `data` (byte `at` of its file), None if it isn't whole."""
    kind, _, count, first, written_ms, crc = HEADER.unpack_from(data, position)
    payload = data[position + HEADER.size : position + size]
    if zlib.crc32(payload, zlib.crc32(data[position : position + _CHECKED])) != crc:
        return None
    return Block(kind, at, first, count, written_ms, payload)
