"""A process that appends to a journal until it is killed, and says after each append where it ends.

python -m tests.integration.journal.endless_writer FOLDER FSYNC
"""

import sys
from pathlib import Path

from ray_ingest.journal import Journal, JournalSettings
from tests.unit.journal.tick_rows import NAMES, ticks

if __name__ == "__main__":
    settings = JournalSettings(Path(sys.argv[1]), sys.argv[2], segment_bytes=5_000)
    journal = Journal.open(settings, "sim", 1, 1)
    journal.learn(NAMES)
    while True:
        first = journal.end(0)
        journal.append(0, ticks(range(first, first + 1 + first % 97)))
        print(journal.end(0), flush=True)
