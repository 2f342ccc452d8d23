"""`Candles`: what readers see of the store."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import polars as pl
from redis.exceptions import RedisError

from ray_ingest.candles.follow import closed_candles, stream_positions
from ray_ingest.candles.gaps import gaps_frame
from ray_ingest.candles.last_seen import LastSeen
from ray_ingest.candles.one_line import one_line, one_line_errors
from ray_ingest.candles.ranges import (
    dates_between,
    day_at,
    day_bounds_ms,
    instant_ms,
    minute_of_day,
    range_ms,
)
from ray_ingest.candles.reader import DayReader, SlotOf, confirmed_slot, latest_slot
from ray_ingest.core.instruments import split_name
from ray_ingest.core.partition import partition_of
from ray_ingest.errors import ConfigError, StoreError, StoreUnreachableError
from ray_ingest.journal.producer import default_journal_dir
from ray_ingest.journal.reader import JournalReader
from ray_ingest.model import date_number, day_of
from ray_ingest.store.embedded import EmbeddedServer, default_data_dir
from ray_ingest.store.force_close import force_close
from ray_ingest.store.keys import Keys
from ray_ingest.store.records import Candle, Day, candle_frame, candle_of
from ray_ingest.store.redis import address, connect, with_password
from ray_ingest.store.registry import Known, Registry
from ray_ingest.store.scripts import Scripts, script_texts

INTERVALS = ("1m",)
LONGEST_BLOCK_MS = 5_000  # the client gives up waiting for a reply then


class Candles:
    """Candles of one store; close it, or use it in a `with` statement.

    An instrument is "NSE_FO|8765": the exchange in any case, the token with spaces or underscores. All
    methods raise UnknownInstrumentError, naming near matches, for one the store doesn't hold,
    StoreUnreachableError when there is no server, and StoreError when it holds something else or refuses.
    """

    where: str
    """Which store it is, for a person: its folder, or its address without user and password; its prefix."""

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str = "",
        data_dir: Path | str | None = None,
        journal_dir: Path | str | None = None,
    ) -> None:
        """Connect to the store at `url` (redis://, rediss:// or unix://), its keys beginning with `prefix`.

        A password may come from RAY_INGEST_REDIS_PASSWORD. Without a url it is the embedded store in
        `data_dir`, by default the user's own, which is started if it isn't running. `ticks` reads journals
        in `journal_dir`, by default the user's own. Raises ConfigError for a bad url, and for both a url and
        a data_dir; StoreError for a folder without a store: the main job makes one, a reader never does.
        """
        if url is not None and data_dir is not None:
            raise ConfigError("give either a url or a data_dir, not both: a data_dir is of an embedded store")
        self._server: EmbeddedServer | None = None
        if url is None:
            folder = Path(data_dir or default_data_dir()).expanduser().absolute()
            self._server = EmbeddedServer.attach(folder, create=False)
            url = self._server.url
        self._url = url = with_password(url, os.environ)
        self._client = connect(url)
        self.where = str(folder) if self._server else address(self._client)
        if prefix:
            self.where += f", prefix {prefix}"
        self._keys = Keys(prefix)
        self._journals = JournalReader(Path(journal_dir or default_journal_dir()))
        self._registry = Registry(self._client, self._keys)
        self._scripts = Scripts(self._client, script_texts())
        self._reader = DayReader(self._client, self._registry, self._scripts)
        self._last_seen = LastSeen()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store; `follow` ends. An embedded store that nobody else uses stops."""
        self._closed = True
        self._client.close()
        if self._server:
            self._server.close()

    @one_line_errors
    def instruments(self) -> list[str]:
        """All instruments the store knows, as their feeds wrote them, sorted."""
        return self._registry.names()

    @overload
    def latest(self, instruments: str) -> Candle | None: ...  # type: ignore[overload-overlap]
    @overload
    def latest(self, instruments: Iterable[str]) -> dict[str, Candle | None]: ...
    def latest(self, instruments: str | Iterable[str]) -> Candle | dict[str, Candle | None] | None:
        """The newest candle: the running one, or the last closed one while no newer has begun.

        Of a list: a dict by the names given, read in bulk. None where there is none yet. While the store
        can't be reached it is what this object read last, its age in `stale_s`, if it has read all of them.
        """
        return self._newest(instruments, latest_slot)

    @overload
    def confirmed(self, instruments: str) -> Candle | None: ...  # type: ignore[overload-overlap]
    @overload
    def confirmed(self, instruments: Iterable[str]) -> dict[str, Candle | None]: ...
    def confirmed(self, instruments: str | Iterable[str]) -> Candle | dict[str, Candle | None] | None:
        """The last closed candle, of today or of the last session day; otherwise like `latest`."""
        return self._newest(instruments, confirmed_slot)

    @one_line_errors
    def candle(self, instrument: str, timestamp: datetime | str) -> Candle | None:
        """The candle of the minute that holds `timestamp` (without an offset: IST); None if there is none."""
        moment_ms = instant_ms(timestamp)
        known = self._known(instrument)
        day = self._reader.day(known, date_number(day_at(moment_ms)))
        return day.candle(known.name, moment_ms) if day else None

    @one_line_errors
    def history(
        self,
        instrument: str,
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        interval: str = "1m",
    ) -> pl.DataFrame:
        """Candles that begin in [start, end), ascending, the running one included, in `FRAME_SCHEMA`.

        Times without an offset are IST, a date is its midnight. Without `end` the range goes through the
        newest session day; without `start` it is the one day in which `end` lies or which it ends. A holiday
        or a time without trades gives an empty frame. Raises ConfigError for an interval other than
        `INTERVALS`, a text that is no time, or a range of more than 3,660 days.
        """
        if interval not in INTERVALS:
            raise ConfigError(f"interval {interval!r} is not supported; there is {', '.join(INTERVALS)}")
        if start is None and end is None:
            day = self._reader.newest_day(instrument)
            if day is None:
                return candle_frame([], 0, 0)
            return candle_frame([day], *day_bounds_ms(day_of(day.header.date)))
        known = self._known(instrument, fresh=end is None)
        start_ms, end_ms = range_ms(start, end, known.date)
        minutes = minute_of_day(start_ms), minute_of_day(end_ms - 1) + 1
        days = self._reader.days(known, dates_between(start_ms, end_ms), *minutes)
        return candle_frame(days, start_ms, end_ms)

    @one_line_errors
    def ticks(
        self,
        instrument: str,
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
    ) -> pl.DataFrame:
        """The instrument's ticks in this machine's journals, with event times in [start, end), the range as
        for `history`; in `TICKS_SCHEMA`, by producer, then in the order they came. A missing integer is null,
        `receive_time_ms` is when the tick was written. Empty where no journal has any.

        Raises JournalError for a damaged journal.
        """
        known = self._known(instrument, fresh=end is None)
        return self._journals.ticks(*split_name(known.name), *range_ms(start, end, known.date))

    @one_line_errors
    def gaps(
        self, start: datetime | date | str | None = None, end: datetime | date | str | None = None
    ) -> pl.DataFrame:
        """Intervals touching [start, end) in which ticks are known to be missing, ascending: `GAPS_SCHEMA`.

        The store keeps them as long as closed events; candles carry their `gap` for good. Raises ConfigError
        for what is no time.
        """
        bounds = (None if bound is None else instant_ms(bound) for bound in (start, end))
        streams = [self._keys.gaps(partition) for partition in range(self._registry.partitions())]
        return gaps_frame(self._client, streams, *bounds)

    @one_line_errors
    def age_s(self, instrument: str) -> float:
        """Seconds since the instrument's partition last committed, by the server's clock.

        An owner commits when it has ticks or a minute is over, so a quiet market grows old as well. Infinite
        in a store that an older version wrote.
        """
        return self._registry.committed_age_s(instrument)

    @one_line_errors
    def day(self, instrument: str, session: date | str) -> Day | None:
        """A session day as it lies in the store, for numpy: its header and all its minutes' records."""
        return self._reader.day(self._known(instrument), date_number(day_at(instant_ms(session))))

    @one_line_errors
    def force_close(self, instrument: str) -> Candle | None:
        """Make the running candle final now and return it; None when none runs.

        It changes no price and no volume; a later tick of its minute amends it. Raises StoreError when the
        store refuses.
        """
        known = self._known(instrument)
        exchange, token = split_name(known.name)
        partition = partition_of(exchange, token, self._registry.partitions())
        event = force_close(self._scripts, self._keys, partition, known.stem)
        return candle_of(known.name, *event) if event else None

    @one_line_errors
    def follow(
        self, instruments: Iterable[str] | None = None, *, from_id: str = "$", block_ms: int = 1_000
    ) -> Generator[Candle, None, None]:
        """Closed and amended candles as they come, of all instruments or of these; waits for the next one.

        From now on ("$", the moment of this call), from the oldest event kept ("0"), or after a stream id or
        epoch ms. Those closed by one flush come in no particular order, and an event may come twice, never
        not at all: (instrument, timestamp, revision) identifies it. Ends when it or the `Candles` is closed,
        the latter within `block_ms`.

        Raises ConfigError for a bad `from_id` or `block_ms`, StoreError when the store was never written to.
        """
        if not 0 < block_ms < LONGEST_BLOCK_MS:
            raise ConfigError(f"block_ms must be above 0 and under {LONGEST_BLOCK_MS:,}, not {block_ms}")
        stems = None
        if instruments is not None:
            stems = frozenset(known.stem for known in self._registry.find(list(instruments)))
        streams = [self._keys.closed(partition) for partition in range(self._registry.partitions())]
        if not streams:
            raise StoreError("nothing was ever written to this store: start python -m ray_ingest.main first")
        positions = stream_positions(self._client, streams, from_id)
        return self._follow(positions, stems, block_ms)

    def _follow(
        self, positions: dict[str, str], stems: frozenset[str] | None, block_ms: int
    ) -> Generator[Candle, None, None]:
        with one_line(self), connect(self._url, pool_size=1) as client:
            try:
                yield from closed_candles(
                    client, self._registry, positions, stems, block_ms, lambda: not self._closed
                )
            except RedisError:
                if not self._closed:  # an embedded store may have stopped under a waiting read
                    raise

    def _newest(
        self, instruments: str | Iterable[str], slot_of: SlotOf
    ) -> Candle | dict[str, Candle | None] | None:
        names = [instruments] if isinstance(instruments, str) else list(instruments)
        try:
            with one_line(self):
                candles = self._reader.newest(names, slot_of)
        except StoreUnreachableError:
            recalled = self._last_seen.recall(slot_of, names)
            if recalled is None or self._closed:
                raise
            candles = recalled
        else:
            self._last_seen.remember(slot_of, names, candles)
        return candles[0] if isinstance(instruments, str) else dict(zip(names, candles, strict=True))

    def _known(self, instrument: str, *, fresh: bool = False) -> Known:
        return self._registry.find([instrument], fresh=fresh)[0]
