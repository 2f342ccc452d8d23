"""Ticks on local disk before they are sent: what the store loses, or never got, is read from here."""

from ray_ingest.journal.journal import Journal, JournalSettings, JournalSize
from ray_ingest.journal.producer import default_journal_dir

__all__ = ["Journal", "JournalSettings", "JournalSize", "default_journal_dir"]
