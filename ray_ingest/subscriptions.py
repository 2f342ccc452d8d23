"""What live feeds subscribe: from the words of the configuration to each broker's own keys."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from ray_ingest.clock import today
from ray_ingest.config import AppConfig
from ray_ingest.core.instruments import split_name
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.instruments import Instruments, MastersError, read_list, select
from ray_ingest.instruments.columns import SEGMENTS
from ray_ingest.instruments.near import near_words
from ray_ingest.instruments.stored import default_instruments_dir, newest

log = logging.getLogger(__name__)

LOOK_S = 1.0
NAMED = 3  # of those that are missing
FINEST_TICK = 0.01
FINEST_OF_CURRENCIES = 0.0025
"""Tick sizes in rupees where no master tells the real one, which is a multiple: rounding keeps any price."""

Subscriptions = dict[str, tuple[Subscription, ...]]
"""By broker."""


def subscriptions_of(config: AppConfig) -> Subscriptions:
    """What `instruments` and `instruments_file` mean at each broker of the run.

    Without stored masters full names are taken as they are where a broker's keys can be told from them.
    Raises ConfigError in one line: for a name that nobody knows, with near matches, for one that the only
    broker doesn't have, and when a broker has none at all. One that some of several lack is logged, and its
    ticks from any of the others count.
    """
    texts = [*config.instruments, *_listed(config)]
    masters: Instruments | None = None
    try:
        masters = Instruments.load()
        names = select(texts, masters, today())
    except MastersError as error:
        if masters is not None:  # they are there, and can't be read
            raise
        names = _plain(texts, error)
    if not names:
        raise ConfigError("instruments: nothing to subscribe")
    return _with_carriers({b: _of_broker(b, names, masters, config) for b in config.live_brokers})


class Changes:
    """Looks now and then whether what is to be subscribed is something else than before: `instruments_file`
    was written, masters were fetched, or another day has begun in India, and "nearest" is another expiry."""

    def __init__(self, config: AppConfig) -> None:
        self._config = config
        self._told: Subscriptions | None = None
        self._stamp = self._look() if config.live_brokers else ()
        self._next_s = 0.0

    def change(self) -> Subscriptions | None:
        """What is to be subscribed from now on, when that may have changed since the last call. What can't be
        used changes nothing, and that is logged."""
        if not self._config.live_brokers or time.monotonic() < self._next_s:
            return None
        self._next_s = time.monotonic() + LOOK_S
        stamp = self._look()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            self._told = subscriptions_of(self._config)
        except ConfigError as error:
            log.warning("subscriptions stay as they are: %s", error)
            return None
        return self._told

    def last(self) -> Subscriptions | None:
        """What `change` said last, for those who were started again since; None if it never said anything."""
        return self._told

    def _look(self) -> tuple[object, ...]:
        path, day = _file(self._config), today()
        try:
            stat = path.stat() if path else None
        except OSError:
            stat = None
        masters = newest(default_instruments_dir(), day)
        return (
            (stat.st_mtime_ns, stat.st_size) if stat else None,
            day,
            *((broker, _written_ns(master.path)) for broker, master in masters.items()),
        )


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # gone since it was found
        return 0


def _file(config: AppConfig) -> Path | None:
    return Path(config.instruments_file).expanduser() if config.instruments_file else None


def _listed(config: AppConfig) -> list[str]:
    path = _file(config)
    return read_list(path) if path else []


def _plain(texts: Sequence[str], error: MastersError) -> list[str]:
    """Full names as they are; `error` says why nothing else can be understood."""
    names = []
    for text in texts:
        try:
            segment, token = split_name(text)
        except ValueError:
            raise ConfigError(
                f"instruments: {text} is no full name such as NSE_FO|8765, and {error}"
            ) from None
        if segment not in SEGMENTS:
            raise ConfigError(
                f"instruments: {text}: there is no segment {segment}{near_words(segment, SEGMENTS)}"
            )
        names.append(f"{segment}|{token}")
    return list(dict.fromkeys(names))


def _of_broker(
    broker: str, names: Sequence[str], masters: Instruments | None, config: AppConfig
) -> tuple[Subscription, ...]:
    if masters is not None and broker in masters.masters:
        found = masters.subscriptions(names, broker)
        why = f"{broker}'s master has no"
    else:
        found = list(_told(broker, names))
        why = f"without a master of {broker} (python -m ray_ingest.instruments fetch) there is no key for"
    has = {subscription.name for subscription in found}
    missing = [name for name in names if name not in has]
    if missing:
        more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
        line = f"instruments: {why} {', '.join(missing[:NAMED])}{more}"
        if not found or len(config.live_brokers) == 1:
            raise ConfigError(line)
        _warn_once(f"{line}: of those the ticks of any broker that has them count")
    return tuple(found)


def _with_carriers(found: Subscriptions) -> Subscriptions:
    """The same, each knowing who else has it."""
    brokers = Counter(one.name for subscriptions in found.values() for one in subscriptions)
    return {
        broker: tuple(
            one if brokers[one.name] == len(found)
            else replace(one, carriers="one" if brokers[one.name] == 1 else "some")
            for one in subscriptions
        )
        for broker, subscriptions in found.items()
    }  # fmt: skip


@cache
def _warn_once(line: str) -> None:
    log.warning("%s", line)


def _told(broker: str, names: Sequence[str]) -> Iterator[Subscription]:
    """Those whose keys the broker's own adapter can tell from our names."""
    for name in names:
        key = adapter_of(broker).key_of(name)
        if key is not None:
            is_currency = name.startswith(("NCD_FO|", "BCD_FO|"))
            yield Subscription(name, key, FINEST_OF_CURRENCIES if is_currency else FINEST_TICK)
