"""Is a journal whole? Every byte that was written is looked at."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ray_ingest.core.gaps import is_note
from ray_ingest.errors import JournalError
from ray_ingest.journal.names import FILE as NAMES_FILE
from ray_ingest.journal.names import read_names
from ray_ingest.journal.producer import ProducerFile
from ray_ingest.journal.reader import JournalReader
from ray_ingest.journal.segment import INDEX_SUFFIX, opened, read_index, scan
from ray_ingest.journal.walk import blocks, whole_block_after


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, in one line."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def verify(reader: JournalReader, producer: ProducerFile) -> Iterator[Fault]:
    """The faults of a journal: checksums, torn tails, offsets that don't continue, ids without a name.

    A writer at work may be in the midst of its newest block: that is no fault.
    """
    known = 0
    path = reader.folder / producer.producer / NAMES_FILE
    writing = bool(reader.writer(producer.producer))
    try:
        names, size, torn = read_names(path)
        known = len(names)
        if torn and not writing:
            yield Fault(path, _torn(size, torn))
    except JournalError as error:
        yield Fault(path, str(error).removeprefix(f"{path}: ").partition(":")[0])
        known = -1
    for partition in range(producer.partitions):
        paths = reader.paths(producer.producer, partition)
        end: int | None = None
        for path in paths:
            last = path == paths[-1]
            if end is not None and int(path.stem) != end:
                yield Fault(path, f"begins at offset {int(path.stem):,}, the file before it ends at {end:,}")
            try:
                end = yield from _verify_segment(path, last, writing and last, known)
            except FileNotFoundError:  # trimmed since
                end = None


def _verify_segment(path: Path, last: bool, writing: bool, names: int) -> Generator[Fault, None, int]:
    """The faults of a segment; returns the offset it ends at."""
    size = path.stat().st_size
    segment, fault = scan(path, size)
    with opened(path) as descriptor:
        if fault is not None:
            whole = whole_block_after(descriptor, fault + 1, size)
            if whole is not None:
                yield Fault(path, f"damaged at byte {fault:,}; from byte {whole:,} on it can be read")
            elif not last:
                yield Fault(path, f"damaged from byte {fault:,} to its end")
            elif not writing:
                yield Fault(path, _torn(fault, size - fault))
        if names >= 0:
            for block in blocks(descriptor, 0, segment.size):
                ticks = block.ticks()
                ids = ticks["instrument"][~is_note(ticks)]
                if len(ids) and int(ids.max()) >= names:
                    yield Fault(path, f"byte {block.at:,}: an instrument that has no name")
    index = path.with_suffix(INDEX_SUFFIX)
    if fault is None and not last and index.exists() and read_index(path) != segment:
        yield Fault(index, "damaged: it is made anew when the journal is next written if you remove it")
    return segment.end


def _torn(at: int, size: int) -> str:
    return f"torn at byte {at:,}: its last {size:,} bytes are cut when it is next written"
