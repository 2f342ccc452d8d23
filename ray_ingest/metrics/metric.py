"""What a metric is: its name, type and help, and where in a status its values are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from ray_ingest.actors.messages import Buckets, FeedStats, OhlcStats

if TYPE_CHECKING:
    from ray_ingest.actors.status import Status

PREFIX = "ray_ingest_"


class Kind(StrEnum):
    """As Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scrape sees: the status, now, and when its supervisor began, both in epoch seconds."""

    status: Status
    now_s: float
    began_s: float


Value: TypeAlias = float | Buckets
Sample: TypeAlias = tuple[tuple[str, ...], Value]
"""Values of the labels, and what was measured: of histograms `Buckets`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` is without prefix and `_total`; `bounds` are a histogram's."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...]
    samples: Callable[[Seen], Iterable[Sample]]
    bounds: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """The name as Prometheus knows it."""
        return f"{PREFIX}{self.name}" + ("_total" if self.kind is Kind.COUNTER else "")


def feed_actor(feed: FeedStats) -> str:
    """The name of a feed's actor."""
    return f"feed[{feed.name}]"


def feeds(
    name: str,
    kind: Kind,
    text: str,
    value: Callable[[FeedStats], Value],
    bounds: tuple[float, ...] = (),
    only: Callable[[FeedStats], bool] = lambda feed: True,
) -> Metric:
    """One value of each feed, or of those `only` chooses."""

    def samples(seen: Seen) -> Iterable[Sample]:
        return [((feed_actor(feed),), value(feed)) for feed in seen.status.feeds if only(feed)]

    return Metric(name, kind, text, ("actor",), samples, bounds)


def feeds_by(
    name: str, kind: Kind, text: str, label: str, values: Callable[[FeedStats], Mapping[str, float]]
) -> Metric:
    """Values of each feed by another label."""

    def samples(seen: Seen) -> Iterable[Sample]:
        return [((feed_actor(f), key), v) for f in seen.status.feeds for key, v in values(f).items()]

    return Metric(name, kind, text, ("actor", label), samples)


def owners(
    name: str,
    kind: Kind,
    text: str,
    value: Callable[[OhlcStats], Value],
    bounds: tuple[float, ...] = (),
) -> Metric:
    """One value of each OHLC actor."""

    def samples(seen: Seen) -> Iterable[Sample]:
        return [((owner.name,), value(owner)) for owner in seen.status.owners]

    return Metric(name, kind, text, ("actor",), samples, bounds)


def owners_by(
    name: str, kind: Kind, text: str, label: str, values: Callable[[OhlcStats], Mapping[str, float]]
) -> Metric:
    """Values of each OHLC actor by another label."""

    def samples(seen: Seen) -> Iterable[Sample]:
        return [((o.name, key), v) for o in seen.status.owners for key, v in values(o).items()]

    return Metric(name, kind, text, ("actor", label), samples)


def one_of(state: str, known: Iterable[str]) -> dict[str, float]:
    """1 for the state something is in, 0 for the others it might be in."""
    return {name: float(name == state) for name in known}
