"""What actors say to each other, as msgpack arrays."""

from __future__ import annotations

import msgspec

from ray_ingest.core.failover import CountedUntil


class Batch(msgspec.Struct, array_like=True):
    """The head of one call to an OHLC actor; the ticks themselves follow as `TICK` bytes.

    Ticks are those of `producer` from offset `start` on. `names` are (exchange, token, source) of instrument
    ids from `names_from` on. `newest_event_ms` is the newest event time the producer has sent to
    this partition. `idle`: nothing else is sent or waits to be, so a commit is worth waiting for. `ended`: a
    bounded producer has no tick after these. `backlog`: ticks wait to be sent, so coalescing matters more
    than delay. `oldest` is the lowest offset that exists anywhere: an owner behind it goes on from there, as
    the ticks before it are past getting.
    """

    producer: str
    start: int
    names_from: int
    names: list[tuple[str, str, str]]
    newest_event_ms: int
    live: bool
    idle: bool
    ended: bool
    backlog: bool = False
    oldest: int = 0


class Reply(msgspec.Struct, array_like=True):
    """An OHLC actor's answer, its `committed` offset being the only acknowledgement.

    `rewind`: the call's ticks weren't taken, and the producer is to send again from `committed` on.
    `settled`: nothing is left to commit or to close. `trouble` says in words why nothing
    is committed at present ("" if all is well), `fenced` that this owner has been replaced.
    """

    committed: int
    rewind: bool
    settled: bool
    trouble: str = ""
    fenced: bool = False


class Standing(msgspec.Struct):
    """Where a producer stands at an OHLC actor: its committed offset, when the store first heard of it
    (epoch ms), and how many of its ticks that owner rejected or took without a candle, by reason. With
    `trouble` the store can't be asked at present, and the rest means nothing; `fenced` as in `Reply`."""

    committed: int
    since_ms: int
    counts: dict[str, int]
    trouble: str = ""
    fenced: bool = False


class Buckets(msgspec.Struct, array_like=True):
    """A `core.histogram.Histogram`: how often a value fell into each bucket, and the sum of all values."""

    counts: list[int] = []
    sum: float = 0.0


class OhlcStats(msgspec.Struct):
    """One OHLC actor's figures since it started, times in seconds and epoch ms.

    `closed`, `amended` and `counts` (by producer and reason) are the store's own, kept through restarts;
    `samples` are the first rejected tick of each reason in words. `trouble` is what keeps the store from
    committing now and `breaker` the state of its circuit breaker; `trouble_since_ms` stays until a commit has
    succeeded, and `last_trouble` for good.

    Counted by this process, unlike `closed` and so on: `closings`, `amendings`, and `noted`, its ticks
    without a candle by reason or phase and its gap notes. Of flushes `plan_s` is what their making took,
    `flush_s` the store, `flush` both (seconds); `round_trip_s` is what the store took to answer the last
    small question. `in_session`: an instrument trades continuously now, by the calendar.
    """

    name: str
    owner: str
    pid: int
    instruments: int = 0
    unclassified: int = 0
    ticks_committed: int = 0
    ticks_pending: int = 0
    rows: int = 0
    flushes: int = 0
    flush_s: float = 0.0
    closed: int = 0
    amended: int = 0
    store_errors: int = 0
    open_candles: int = 0
    watermark_ms: int = 0
    newest_event_ms: int = 0
    trouble: str = ""
    breaker: str = "closed"
    trouble_since_ms: int = 0
    last_trouble: str = ""
    counts: dict[str, dict[str, int]] = {}
    samples: dict[str, str] = {}
    closings: int = 0
    amendings: int = 0
    noted: dict[str, int] = {}
    plan_s: float = 0.0
    flush: Buckets = msgspec.field(default_factory=Buckets)
    round_trip_s: float = 0.0
    in_session: bool = False


class ConnectionStats(msgspec.Struct):
    """A connection to a broker as `core.connection.ConnectionStatus` has it; times in epoch ms."""

    name: str
    state: str
    since_ms: int
    why: str = ""
    instruments: int = 0
    reconnects: int = 0
    last_frame_ms: int = 0


class FeedStats(msgspec.Struct):
    """One feed actor's figures since it started. `state` is starting, running, ended, stopped or failed.

    `queued` ticks are taken and not committed, in memory or in the journal; `to_recover` of them the store
    had committed before it lost them; `dropped` ones found the buffer full. `live`: the source can't be read
    again. `trouble` is with an owner, `waits_for` with the journal.
    A feed is `over` when it does nothing more; one that has ended still looks after what it sent.

    `active`: its ticks count; of those that came while they didn't, `standby` were never sent. Of one of
    several feeds: since when it is well, when it received its newest tick (wall clock), how far it counted,
    and `heard_before_ms`, see `Duty`; all in epoch ms, 0 is never.
    `dropped_frames` are what its source received and couldn't use, by reason; `subscriptions` is the digest
    of the list it was told last. `batches` are ticks a call, `latency` seconds from a tick's receipt to its
    commit, by tick. Where there is a journal: its size, its files, and the disk it is on.
    """

    name: str
    producer: str
    pid: int
    state: str = "starting"
    over: bool = False
    error: str = ""
    exit_code: int = 0
    received: int = 0
    repeated: int = 0
    filtered: int = 0
    rejected: dict[str, int] = {}
    samples: dict[str, str] = {}
    sequence: int = 0
    already_committed: int = 0
    committed: int = 0
    running_s: float = 0.0
    queued: int = 0
    in_flight: int = 0
    calls: int = 0
    rewinds: int = 0
    trouble: str = ""
    waits_for: str = ""
    live: bool = False
    dropped: int = 0
    to_recover: int = 0
    counts: dict[str, int] = {}
    latency_ms: list[float] = []
    active: bool = True
    standby: int = 0
    well_since_ms: int = 0
    last_tick_ms: int = 0
    counted: CountedUntil = CountedUntil()
    heard_before_ms: int = 0
    connections: list[ConnectionStats] = []
    dropped_frames: dict[str, int] = {}
    subscriptions: str = ""
    batches: Buckets = msgspec.field(default_factory=Buckets)
    latency: Buckets = msgspec.field(default_factory=Buckets)
    journal_bytes: int = 0
    journal_segments: int = 0
    journal_disk_bytes: int = 0
    journal_disk_free_bytes: int = 0
