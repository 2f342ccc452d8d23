"""One broker's session on its venue, in this process: what was sent, what came, what the session said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ray_ingest.clock import epoch_ms
from ray_ingest.core.connection import State
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.preparation import Preparation
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import WireSettings
from ray_ingest.feeds.session.session import HELD_UP_S
from ray_ingest.feeds.session.source import BrokerSettings, BrokerSource
from ray_ingest.feeds.session.tokens import TokenSettings
from ray_ingest.feeds.source import Disconnected
from ray_ingest.model import TickColumns
from tests.calendars import load
from tests.venues.brokers import CLIENT_IDS, make_venue, new_token
from tests.venues.comparison import Trade, trade_of, wrong
from tests.venues.market import Market
from tests.venues.venue import VenueTick

DEADLINE_S = 60.0
FUTURE_MS = 60_000
PUBLISH_MS = 100
TURN_S = 0.1  # a session that is let run has a turn every 20 ms
RECOUNTED_S = HELD_UP_S - TURN_S  # after such a pause the session counts a silence anew


class Desk:
    """Runs from entering to leaving the context. Its market must be a live one.

    `published` is all that the venue was given to send, in its order; `received` what came out of the
    session, prepared as for an owner; `gaps` what the session says it missed; `states` those of its only
    connection since `forget_states`, without repetitions; `silence_s` how long no tick had come when it was
    last no longer live, without the time for which the machine held the session up; `longest_pause_s` the
    longest of these times since `forget_states`. Who holds `publishing` keeps the exchange waiting.
    """

    def __init__(self, broker: str, market: Market, folder: Path) -> None:
        self.broker = broker
        self.market = market
        self.venue = make_venue(broker, market)
        self.published: list[VenueTick] = []
        self.received: list[VenueTick] = []
        self.gaps: list[Disconnected] = []
        self.states: list[State] = []
        self.silence_s = self.longest_pause_s = 0.0
        self._token_file = folder / f"{broker}.token"
        self._came: set[Trade] = set()
        self._ticked_s = self._turn_s = 0.0
        self._held_up_s = 0.0  # since the last tick
        self._errors: list[Exception] = []
        self._changed = threading.Condition()
        self.publishing = threading.Lock()
        self._closed = threading.Event()
        self._leaving = threading.Event()
        self._exchange = threading.Thread(target=self._guarded, args=(self._trade,), daemon=True)
        self._session = threading.Thread(target=self._guarded, args=(self._receive,), daemon=True)

    def __enter__(self) -> Self:
        """Connected and subscribed; nothing is published yet."""
        self.venue.start()
        self.write_token(new_token(self.broker))
        self.source = BrokerSource(self._settings())
        self._session.start()
        try:
            self.venue.wait_subscribed(self.market.keys(self.broker), DEADLINE_S)
        except TimeoutError as error:
            self.__exit__(TimeoutError, error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._leaving.set()
        for thread in (self._exchange, self._session):
            if thread.ident is not None:
                thread.join(DEADLINE_S)
        self.venue.stop()
        if self._errors and error is None:
            raise self._errors[0]

    # What a test does.

    def trade(self) -> None:
        """Publish the market from now on, each snapshot when it is due."""
        self._exchange.start()

    def publish(self, ticks: Sequence[VenueTick]) -> None:
        """Have the venue send these, if it is up."""
        with self.publishing:
            self.published.extend(ticks)
            if self.venue.is_up:
                self.venue.publish(ticks)
            else:  # the exchange goes on, and the broker knows of it once it is back
                self.venue.last.update((tick.key, tick) for tick in ticks)

    def stop_venue(self) -> None:
        """The server goes down; what is published until it is started again is lost."""
        with self.publishing:
            self.venue.stop()

    def write_token(self, token: str) -> None:
        """Into the token file, at once."""
        new = self._token_file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(token)
        new.replace(self._token_file)

    def close(self) -> None:
        """The exchange closes, and its last tick has come."""
        self._closed.set()
        if self._exchange.ident is not None:
            self._exchange.join(DEADLINE_S)
        self.wait_last()

    # What a test sees.

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Until `condition` holds; it is looked at whenever the session has had a turn."""
        with self._changed:
            met = self._changed.wait_for(lambda: condition() or bool(self._errors), DEADLINE_S)
        if self._errors:
            raise self._errors[0]
        if not met:
            raise TimeoutError(f"not within {DEADLINE_S} s: {what}; states {', '.join(self.states)}")

    def wait_state(self, state: State) -> None:
        """Until it is in this state, or has been since `forget_states`."""
        self.wait(lambda: state in self.states, str(state))

    def wait_last(self) -> None:
        """Until what was published last has come."""
        self.wait(lambda: trade_of(self.published[-1]) in self._came, "the last tick")

    def wait_all(self) -> None:
        """Until all that was published has come."""
        wanted = {trade_of(tick) for tick in self.published}
        self.wait(lambda: wanted <= self._came, "every tick")

    def wait_new(self, count: int) -> None:
        """Until so many trades have come that are published from now on."""
        since, old = len(self.published), self._came.copy()

        def come() -> bool:
            return len({trade_of(tick) for tick in self.published[since:]} & self._came - old) >= count

        self.wait(come, f"{count} new trades")

    def forget_states(self) -> None:
        """From here on `states` begins with the one of now, and it has not been silent."""
        with self._changed:
            del self.states[:-1]
            self.silence_s = self.longest_pause_s = 0.0

    def newest(self, seconds: float) -> list[VenueTick]:
        """What was published of the last seconds of event time."""
        with self.publishing:
            newest_ms = max(tick.event_time_ms for tick in self.published)
            return [tick for tick in self.published if tick.event_time_ms >= newest_ms - seconds * 1000]

    def wrong(self, gaps: Collection[Disconnected]) -> list[str]:
        """See `comparison.wrong`."""
        return wrong(self.market, self.published, self.received, gaps, self._names())

    def _names(self) -> list[str]:
        return [entry.name for entry in self.source.table.entries]

    # On threads.

    def _settings(self) -> BrokerSettings:
        adapter = adapter_of(self.broker)
        return BrokerSettings(
            broker=self.broker,
            wire=WireSettings(self.venue.url, adapter.modes[0]),
            subscriptions=tuple(self.market.subscriptions(self.broker)),
            connections=1,
            instruments_per_connection=adapter.instruments_per_connection,
            token=TokenSettings(self.broker, CLIENT_IDS[self.broker], self._token_file, adapter.environment),
            calendar=load("continuous"),
        )

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            with self._changed:
                self._errors.append(error)
                self._changed.notify_all()

    def _trade(self) -> None:
        began_ms = epoch_ms()
        for due_ms, batch in self.market.batches(self.broker, PUBLISH_MS):
            if due_ms < began_ms:
                continue
            if self._closed.wait(max(0, due_ms - epoch_ms()) / 1000):
                return
            self.publish(batch)

    def _receive(self) -> None:
        preparation = Preparation(self.source.table, FilterSettings(), 1, FUTURE_MS)
        keys = {one.name: one.keys[self.broker] for one in self.market.instruments}
        blocks = self.source.blocks(epoch_ms())
        self._turn_s = time.monotonic()
        for block in blocks:
            with self._changed:
                last_s, self._turn_s = self._turn_s, time.monotonic()
                late_s = max(0.0, self._turn_s - last_s - TURN_S)
                self._held_up_s += late_s
                self.longest_pause_s = max(self.longest_pause_s, late_s)
                if late_s > RECOUNTED_S:
                    self._ticked_s, self._held_up_s = self._turn_s, 0.0
                if isinstance(block, Disconnected):
                    self.gaps.append(block)
                elif len(block):
                    ticks = self._prepared(block, preparation, keys)
                    self.received += ticks
                    self._came.update(map(trade_of, ticks))
                    self._ticked_s, self._held_up_s = self._turn_s, 0.0
                for status in self.source.connections():
                    self._turn(status.state)
                self._changed.notify_all()
            if self._leaving.is_set():
                break
        blocks.close()  # type: ignore[attr-defined]

    def _turn(self, state: State) -> None:
        if not self.states or self.states[-1] != state:
            if self.states[-1:] == [State.LIVE]:
                self.silence_s = self._turn_s - self._ticked_s - self._held_up_s
            self.states.append(state)

    def _prepared(
        self, block: TickColumns, preparation: Preparation, keys: dict[str, str]
    ) -> list[VenueTick]:
        (rows,) = preparation.prepare(block, epoch_ms())
        names = self._names()
        columns = ("instrument", "last_price", "last_qty", "event_time_ms", "day_volume", "oi")
        return [
            VenueTick(keys[names[row]], price, _or_none(qty), time_ms, _or_none(volume), _or_none(oi))
            for row, price, qty, time_ms, volume, oi in zip(
                *(rows[name].tolist() for name in columns), strict=True
            )
        ]


def _or_none(value: int) -> int | None:
    return None if value < 0 else value
