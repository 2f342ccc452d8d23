"""The folders of a journal's folder: one a producer, and what the producer is called."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import msgspec
from platformdirs import user_state_path

from ray_ingest.clock import epoch_ms
from ray_ingest.errors import JournalError
from ray_ingest.journal.appender import sync_folder

FILE = "producer.json"
LOCK = "lock"
FORMAT = 1


class ProducerFile(msgspec.Struct, frozen=True):
    """`producer.json`: whose ticks these are. `sequence` is the version of what makes sequences of ticks,
    `format` that of the files, `created_ms` epoch ms."""

    name: str
    producer: str
    partitions: int
    sequence: int
    created_ms: int
    format: int = FORMAT


def default_journal_dir() -> Path:
    """Where journals are when no folder is given: `journal` in the user's state folder."""
    return user_state_path("ray-ingest", appauthor=False) / "journal"


def partition_dir(folder: Path, partition: int) -> Path:
    """Where a producer's folder has the segments of a partition."""
    return folder / f"p{partition}"


def producers_in(folder: Path) -> list[ProducerFile]:
    """The producers that have a journal in the folder, the oldest first; none where there is no folder.

    Raises JournalError for a file that can't be read.
    """
    try:
        found = [read_producer(path.parent) for path in folder.glob(f"*/{FILE}")]
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror or error}: set journal.folder") from None
    return sorted(found, key=lambda producer: (producer.created_ms, producer.producer))


def read_producer(folder: Path) -> ProducerFile:
    """The producer whose folder this is. Raises JournalError when it can't be told."""
    path = folder / FILE
    try:
        producer = msgspec.json.decode(path.read_bytes(), type=ProducerFile)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise JournalError(f"{path}: {error}") from None
    if producer.format != FORMAT:
        raise JournalError(f"{path}: written by another version (format {producer.format}, not {FORMAT})")
    if producer.producer != folder.name:
        raise JournalError(f"{path}: says {producer.producer!r} in the folder {folder.name!r}")
    return producer


def find_or_make(
    folder: Path, name: str, partitions: int, sequence: int, producer: str | None
) -> ProducerFile:
    """See `Journal.open`: the producer's folder exists afterwards. Raises JournalError, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = (name, partitions, sequence)
    if producer is None:
        same = [p for p in producers_in(folder) if (p.name, p.partitions, p.sequence) == wanted]
        if same:
            return same[-1]
    elif (folder / producer / FILE).exists():
        found = read_producer(folder / producer)
        if (found.name, found.partitions, found.sequence) != wanted:
            raise JournalError(
                f"{folder / producer}: is of {found.name!r} in {found.partitions} partitions, version "
                f"{found.sequence}, not of {name!r} in {partitions}, version {sequence}: move it away"
            )
        return found
    made = ProducerFile(name, producer or f"{name}-{uuid4().hex[:12]}", partitions, sequence, epoch_ms())
    _make(folder / made.producer, made)
    return made


def _make(folder: Path, producer: ProducerFile) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    partial = folder / f"{FILE}.partial"
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(producer))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)
    sync_folder(folder)
    sync_folder(folder.parent)
