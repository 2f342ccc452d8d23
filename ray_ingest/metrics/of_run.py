"""Metrics of all actors alike, and of the program."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from ray_ingest.metrics.metric import Kind, Metric, Sample, Seen, feed_actor
from ray_ingest.metrics.of_owners import OWNER_REASONS


def _actors(seen: Seen) -> list[str]:
    status = seen.status
    known = [feed_actor(feed) for feed in status.feeds] + [owner.name for owner in status.owners]
    return list(dict.fromkeys([*known, *status.restarts, *status.silent_since_ms]))


def _rejected(seen: Seen) -> Iterable[Sample]:
    for feed in seen.status.feeds:
        for reason, number in feed.rejected.items():
            yield (feed_actor(feed), reason), number
    for owner in seen.status.owners:
        for reason in OWNER_REASONS:
            yield (owner.name, reason), owner.noted.get(reason, 0)


def _queued(seen: Seen) -> Iterable[Sample]:
    for feed in seen.status.feeds:
        yield (feed_actor(feed),), feed.queued
    for owner in seen.status.owners:
        yield (owner.name,), owner.ticks_pending


def _errors(seen: Seen) -> Iterable[Sample]:
    for feed in seen.status.feeds:
        yield (feed_actor(feed),), feed.rewinds
    for owner in seen.status.owners:
        yield (owner.name,), owner.store_errors


def _restarts(seen: Seen) -> Iterable[Sample]:
    """Of all actors from 0 on: what first appears as 1 has not increased for Prometheus."""
    return [((name,), seen.status.restarts.get(name, 0)) for name in _actors(seen)]


def _silence_s(seen: Seen) -> Iterable[Sample]:
    for name in _actors(seen):
        since_ms = seen.status.silent_since_ms.get(name, 0)
        yield (name,), max(0.0, seen.now_s - since_ms / 1000) if since_ms else 0.0


def _builds() -> tuple[str, ...]:
    found = []
    for package in ("ray-ingest", "ray"):
        try:
            found.append(version(package))
        except PackageNotFoundError:  # such as a checkout that is not installed
            found.append("unknown")
    return (*found, platform.python_version())


BUILDS = _builds()

RUN_METRICS = [
    Metric(
        "ticks_rejected",
        Kind.COUNTER,
        "Ticks that can't be used, by reason: of feeds what is wrong with the tick, of OHLC actors with its "
        "instrument or its time.",
        ("actor", "reason"),
        _rejected,
    ),
    Metric(
        "queue_size",
        Kind.GAUGE,
        "Ticks that wait: in a feed for being committed, in an OHLC actor for a flush.",
        ("actor",),
        _queued,
    ),
    Metric(
        "errors",
        Kind.COUNTER,
        "Of OHLC actors failed calls of the store; of feeds calls that failed or were refused.",
        ("actor",),
        _errors,
    ),
    Metric("restarts", Kind.COUNTER, "Times an actor died and was started again.", ("actor",), _restarts),
    Metric(
        "actor_silent_seconds", Kind.GAUGE, "For how long an actor hasn't answered.", ("actor",), _silence_s
    ),
    Metric(
        "takeovers",
        Kind.COUNTER,
        "Times another feed's ticks began to count.",
        (),
        lambda seen: [((), seen.status.takeovers)],
    ),
    Metric(
        "supervisor_start_time_seconds",
        Kind.GAUGE,
        "When the supervisor began, epoch seconds: what it counts begins then.",
        (),
        lambda seen: [((), seen.began_s)],
    ),
    Metric(
        "build_info",
        Kind.GAUGE,
        "1, with the versions of the program, Ray and Python.",
        ("version", "ray", "python"),
        lambda seen: [(BUILDS, 1)],
    ),
]
