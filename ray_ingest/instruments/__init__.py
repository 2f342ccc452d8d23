"""What can be subscribed: the brokers' instrument masters, their names for ours, and choosing among them.

A master is a broker's list of all its instruments on one day. `python -m ray_ingest.instruments fetch` stores
them dated; `Instruments.load()` reads them; `select` turns what a user wrote into names; docs/instruments.md.
"""

from ray_ingest.instruments.errors import MastersError, UnknownInstrumentError
from ray_ingest.instruments.listing import Contract, Instruments
from ray_ingest.instruments.selection import read_list, select
from ray_ingest.instruments.stored import default_instruments_dir

__all__ = [
    "Contract",
    "Instruments",
    "MastersError",
    "UnknownInstrumentError",
    "default_instruments_dir",
    "read_list",
    "select",
]
