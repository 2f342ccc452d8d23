"""Raw frames as they came, recorded and read again: a user's odd frame becomes a test.

    python -m ray_ingest.feeds.session.frame_log FILE --broker upstox

A file is `MAGIC` and records: received (epoch ms, u64), connection (u32, another with every wire), length of
the payload (u32), payload; little-endian. A record of connection `DESCRIPTION` is JSON: what is subscribed
from there on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ray_ingest.clock import epoch_ms
from ray_ingest.command_line import exit_code_of
from ray_ingest.errors import InputError
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import Decoder, Keys, Subscription
from ray_ingest.model import NULL, TickColumns

log = logging.getLogger(__name__)

MAGIC = b"RIFRAME1"
DESCRIPTION = 0xFFFFFFFF
SUFFIX = ".frames"
_HEAD = struct.Struct("<QII")


class RecordedFrame(NamedTuple):
    """A message as it came, or with connection `DESCRIPTION` what is subscribed."""

    received_ms: int
    connection: int
    payload: bytes


class FrameLog:
    """Records into `folder`, in files of `file_bytes`; the oldest go when they are above `total_bytes`.

    What can't be written is not recorded, and said once: ticks go on.
    """

    def __init__(self, folder: Path, name: str, file_bytes: int, total_bytes: int) -> None:
        self._folder, self._name = folder, name
        self._file_bytes, self._total_bytes = min(file_bytes, total_bytes), total_bytes
        self._file: BinaryIO | None = None
        self._written = 0
        self._description = b"[]"
        self._failed = False

    def describe(self, subscriptions: Iterable[Subscription]) -> None:
        """These are subscribed from now on."""
        self._description = json.dumps([[one.name, one.key, one.tick_size] for one in subscriptions]).encode()
        if self._file is not None:
            self.append(epoch_ms(), DESCRIPTION, self._description)

    def append(self, received_ms: int, connection: int, payload: bytes) -> None:
        """Record a frame."""
        if self._failed:
            return
        try:
            if self._file is None or self._written >= self._file_bytes:
                self._file = self._next_file()
            self._write(self._file, received_ms, connection, payload)
        except OSError as error:
            self._failed = True
            log.error("%s: frames are recorded no longer: %s", self._name, error.strerror)

    def close(self) -> None:
        """All of it is in the file."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                log.error("%s: the last frames are not recorded: %s", self._name, error.strerror)
            self._file = None

    def _write(self, file: BinaryIO, received_ms: int, connection: int, payload: bytes) -> None:
        file.write(_HEAD.pack(received_ms, connection, len(payload)) + payload)
        self._written += _HEAD.size + len(payload)

    def _next_file(self) -> BinaryIO:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        path = self._folder / f"{self._name}-{time.time_ns()}-{os.getpid()}{SUFFIX}"
        file = path.open("xb")
        file.write(MAGIC)
        self._written = len(MAGIC)
        self._write(file, epoch_ms(), DESCRIPTION, self._description)
        return file

    def _make_room(self) -> None:
        """For the next file."""
        files = sorted(self._folder.glob(f"{self._name}-*{SUFFIX}"), key=lambda path: path.name)
        sizes = [path.stat().st_size for path in files]
        while files and sum(sizes) + self._file_bytes > self._total_bytes:
            files.pop(0).unlink(missing_ok=True)
            sizes.pop(0)


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """The file's records in their order; what a crash tore off its end is passed over. Raises InputError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{path}: not a file of recorded frames")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            received_ms, connection, length = _HEAD.unpack(head)
            payload = file.read(length)
            if len(payload) < length:
                return
            yield RecordedFrame(received_ms, connection, payload)


def decode_frames(path: Path, broker: str) -> Iterator[tuple[RecordedFrame, TickColumns, Decoder, Keys]]:
    """Each frame with what the broker's decoder gives; a connection has a decoder of its own. Raises
    InputError and ConfigError."""
    adapter, keys = adapter_of(broker), Keys(broker)
    decoders: dict[int, Decoder] = {}
    for frame in read_frames(path):
        if frame.connection == DESCRIPTION:
            keys.learn(Subscription(*one) for one in json.loads(frame.payload))
            continue
        decoder = decoders.setdefault(frame.connection, adapter.decoder(keys))
        yield frame, decoder.decode(frame.payload, frame.received_ms), decoder, keys


def main(arguments: list[str] | None = None) -> int:
    """Print what the frames of a file give, a line a tick, and at the end what was none."""
    parser = argparse.ArgumentParser(prog="python -m ray_ingest.feeds.session.frame_log")
    parser.add_argument("file", type=Path, help="a file of recorded frames")
    parser.add_argument("--broker", required=True, help="whose frames they are")
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: _print_ticks(given.file, given.broker))


def _print_ticks(path: Path, broker: str) -> int:
    decoders: dict[int, Decoder] = {}
    frames = ticks = 0
    for frame, columns, decoder, keys in decode_frames(path, broker):
        decoders[id(decoder)] = decoder
        frames, ticks = frames + 1, ticks + len(columns)
        for line in _lines(frame, columns, keys):
            print(line)
    dropped = {reason: n for decoder in decoders.values() for reason, n in decoder.dropped.items()}
    print(f"{frames} frames, {ticks} ticks, no ticks: {dropped or 'none'}")
    return 0


def _lines(frame: RecordedFrame, columns: TickColumns, keys: Keys) -> Iterator[str]:
    for row in range(len(columns)):
        quantities = [
            f"{name}={'-' if values[row] == NULL else values[row]}"
            for name, values in (
                ("qty", columns.last_qty),
                ("volume", columns.day_volume),
                ("oi", columns.oi),
            )
        ]
        name = keys.table.entries[columns.instrument[row]].name
        when = columns.event_time_ms[row]
        price = columns.last_price[row]
        yield f"{frame.received_ms} #{frame.connection} {name} {when} {price} {' '.join(quantities)}"


if __name__ == "__main__":
    sys.exit(main())
