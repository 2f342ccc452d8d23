"""From when a feed's last process ended until this one listens: nobody has what came meanwhile."""

from __future__ import annotations

from ray_ingest.actors.live import LiveSource, well_since_ms

PIECE_MS = 30_000


class Silence:
    """The silence since `since_ms` (epoch ms; 0: there is none). It ends when all connections of the source
    are live, however long that takes; one without connections (None) listens at once. Until then it is told
    in pieces, each before the ticks that come after it: should this process end as well, those are told."""

    def __init__(self, since_ms: int, source: LiveSource | None) -> None:
        self._since_ms = since_ms
        self._source = source
        self._piece_ms = 0

    def end(self, now_ms: int, ticks_wait: bool) -> tuple[int, int] | None:
        """First and last ms of it, or of the next piece, once that is known; None: nothing is to be told."""
        if not self._since_ms:
            return None
        well_ms = well_since_ms(self._source.connections()) if self._source else now_ms
        from_ms = self._since_ms
        if well_ms:
            self._since_ms = 0
            return from_ms, max(from_ms, well_ms)
        if ticks_wait and now_ms >= self._piece_ms:
            self._since_ms, self._piece_ms = now_ms, now_ms + PIECE_MS
            return from_ms, now_ms
        return None
