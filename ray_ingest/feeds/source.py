"""What a feed runs: a source of raw columns with a name and an identity; each kind has its own file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.model import GapReason, TickColumns


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Between these wall-clock times (epoch ms, both included) a live source missed what was traded: of these
    ids of its table, or of all of them (None)."""

    from_ms: int
    to_ms: int
    instruments: tuple[int, ...] | None = None
    reason: GapReason = GapReason.DISCONNECT


class TickSource(Protocol):
    """Ticks in the order they came.

    `identity` names what is sent: a bounded source sends the same ticks in the same blocks whenever it has
    the same identity, so it can be resumed; a live one never ends and is new every time it starts.
    `paced_by` names the column that tells when a tick is due; None: as they come.
    """

    name: str
    identity: str
    live: bool
    table: InstrumentTable

    @property
    def paced_by(self) -> str | None:
        """See the class."""

    def blocks(self, start_ms: int) -> Iterator[TickColumns | Disconnected]:
        """Blocks of ticks from the first on, and between them what a live source missed; `start_ms` is the
        wall clock, for a source that goes by it. A source that waits for the world gives an empty block now
        and then, and ends what it holds open when a generator of its is closed.

        Raises InputError, and ProcessSpentError when the source can only go on in a new process.
        """


def digest(*parts: object) -> str:
    """A short name for whatever has the same parts."""
    return blake2b(repr(parts).encode("utf-8"), digest_size=8).hexdigest()
