"""The journal against a plain list, through anything that may happen to its files."""

import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ray_ingest.errors import JournalError
from ray_ingest.journal import block as block_module
from ray_ingest.journal.check import verify
from ray_ingest.journal.reader import JournalReader
from ray_ingest.model import GAP_NOTE, GapReason
from tests.unit.journal.tick_rows import NAMES, everything, open_journal, ticks

LOST = -1
SEGMENT_BYTES = 700


class JournalMachine(RuleBasedStateMachine):
    """The twin keeps one list of tick numbers (`LOST`: skipped) and what was trimmed from its front."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.numbers: list[int] = []
        self.first = 0
        self.origin = 0
        self.next_number = 0
        self.open()

    def open(self) -> None:
        """With segments of a few blocks, of which none is kept on purpose."""
        self.journal = open_journal(self.folder, segment_bytes=SEGMENT_BYTES, keep_days=0, keep_bytes=0)

    def teardown(self) -> None:
        """Leave nothing."""
        self.journal.close()
        shutil.rmtree(self.folder)

    @property
    def end(self) -> int:
        """The offset of the next tick."""
        return self.origin + len(self.numbers)

    def newest_file(self) -> Path:
        """The segment that is written to."""
        return sorted((self.folder / self.journal.producer / "p0").glob("*.seg"))[-1]

    @rule(count=st.integers(1, 9), day=st.integers(0, 2))
    def append(self, count: int, day: int) -> None:
        """The next ticks, of any day."""
        numbers = list(range(self.next_number, self.next_number + count))
        self.next_number += count
        self.journal.append(0, ticks(numbers, day))
        self.numbers += numbers

    @rule()
    def reopen(self) -> None:
        """A new process finds it as it was, under the same producer."""
        producer = self.journal.producer
        self.journal.close()
        self.open()
        assert self.journal.producer == producer
        assert self.journal.table.entries == NAMES

    @rule(ahead=st.integers(1, 5))
    def skip(self, ahead: int) -> None:
        """The store is ahead: an empty journal begins there, another reads as gap notes in between."""
        self.journal.skip_to(0, self.end + ahead)
        if self.first < self.end:
            self.numbers += [LOST] * ahead
        else:
            self.origin = self.first = self.end + ahead
            self.numbers = []

    @rule(start=st.integers(0, 60), limit=st.integers(1, 30))
    def read(self, start: int, limit: int) -> None:
        """From any offset there are at least one and at most `limit` rows, or none at the end."""
        start += self.first
        rows = self.journal.read(0, start, limit)
        expected = self.numbers[start - self.origin :][: len(rows)]
        assert self.shown(rows) == expected
        assert len(rows) <= limit
        assert bool(len(rows)) == (start < self.end)

    @precondition(lambda self: self.first)
    @rule()
    def read_what_is_gone(self) -> None:
        """What was trimmed is refused, not made up."""
        with pytest.raises(JournalError, match="is gone"):
            self.journal.read(0, self.first - 1, 1)

    @rule(data=st.data())
    def tear(self, data: st.DataObject) -> None:
        """The newest file ends at any byte, as after a power cut: whole blocks before it stay."""
        path = self.newest_file()
        cut = data.draw(st.integers(0, path.stat().st_size))
        self.journal.close()
        with path.open("r+b") as file:
            file.truncate(cut)
        self.open()
        end = self.journal.end(0)
        assert int(path.stem) <= end <= self.end
        del self.numbers[end - self.origin :]
        assert not list(verify(JournalReader(self.folder), JournalReader(self.folder).producers()[0]))

    @precondition(lambda self: self.newest_file().stat().st_size)
    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        """A flipped byte in the newest block costs that block; elsewhere it is refused, and mended for the
        sake of the machine."""
        path = self.newest_file()
        at = data.draw(st.integers(0, path.stat().st_size - 1))
        self.journal.close()
        flip(path, at)
        reader = JournalReader(self.folder)
        assert list(verify(reader, reader.producers()[0]))
        try:
            self.open()
        except JournalError:
            flip(path, at)
            self.open()
            return
        end = self.journal.end(0)
        assert end < self.end
        del self.numbers[end - self.origin :]

    @rule(committed=st.integers(0, 60))
    def trim(self, committed: int) -> None:
        """Nothing is kept on purpose here: only uncommitted segments, today's and the newest stay."""
        committed = min(self.first + committed, self.end)
        self.journal.trim([committed, 0], now_ms=2**50)
        assert self.journal.first(0) >= self.first
        assert self.journal.first(0) <= max(committed, self.first)
        self.first = self.journal.first(0)

    @invariant()
    def all_is_there(self) -> None:
        """Offsets and rows are those of the list."""
        assert (self.journal.first(0), self.journal.end(0)) == (self.first, self.end)
        assert self.shown(everything(self.journal, 0, 7)) == self.numbers[self.first - self.origin :]
        assert self.journal.end(1) == 0

    @staticmethod
    def shown(rows: np.ndarray) -> list[int]:
        """The numbers of rows, `LOST` for a gap note."""
        notes = rows["flags"] == GAP_NOTE
        assert (rows["day_volume"][notes] == GapReason.JOURNAL).all()
        return np.where(notes, LOST, rows["day_volume"]).tolist()


def flip(path: Path, at: int) -> None:
    """Turn one bit of the file over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


THOROUGH = settings(max_examples=30, stateful_step_count=25, suppress_health_check=list(HealthCheck))
QUICK = settings(THOROUGH, phases=[Phase.generate], report_multiple_bugs=False, database=None)


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Torn tails are logged; here by the hundred."""
    logging.getLogger("ray_ingest.journal.tick_log").setLevel(logging.ERROR)


def test_it_is_the_plain_list() -> None:
    """Whatever is appended, cut, flipped, trimmed and skipped, what is read is what was appended."""
    run_state_machine_as_test(JournalMachine, settings=THOROUGH)


def test_without_the_checksum_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with every checksum taken for right the machine finds made-up ticks."""
    monkeypatch.setattr(block_module.zlib, "crc32", lambda data, start=0: 0)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(JournalMachine, settings=QUICK)
