"""Brokers' venues that trade one market, and how a run is told of them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

from ray_ingest.clock import epoch_ms
from tests.integration.live.masters import write_listing
from tests.venues.brokers import CLIENT_IDS, make_venue, new_token
from tests.venues.market import BROKERS, Market
from tests.venues.venue import Venue, VenueTick

PUBLISH_MS = 100
DEADLINE_S = 60.0


class Exchange:
    """Venues of `brokers` by name, started and stopped by the context.

    Tokens are in files of `folder`/tokens, masters in the state folder `folder`/state, what is to be
    subscribed in `list_file`. The market trades `pace` times as fast as the clock: with 1 by it. Instruments
    that a broker `lacks` are not in its master.
    """

    def __init__(
        self,
        folder: Path,
        market: Market,
        brokers: Sequence[str] = BROKERS,
        pace: int = 1,
        lacks: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self.market = market
        self.pace = pace
        self.brokers = tuple(brokers)
        self.venues: dict[str, Venue] = {broker: make_venue(broker, market) for broker in brokers}
        self.state_home = folder / "state"
        self.list_file = folder / "instruments.txt"
        self._lacks = lacks
        self._tokens = folder / "tokens"
        self._stack = ExitStack()

    def __enter__(self) -> Exchange:
        self._tokens.mkdir(parents=True)
        for broker, venue in self.venues.items():
            self._stack.enter_context(venue)
            self.renew_token(broker)
            lacking = self._lacks.get(broker, ())
            listed = [
                (one.name, one.keys[broker]) for one in self.market.instruments if one.name not in lacking
            ]
            write_listing(self.state_home, broker, listed)
        self.list_instruments([one.name for one in self.market.instruments])
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def renew_token(self, broker: str) -> None:
        """One that the venue lets in is in the broker's token file, at once."""
        token = new_token(broker)
        self.venues[broker].accept_token(token)
        file = self._tokens / broker
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(token)
        new.replace(file)

    def list_instruments(self, names: Sequence[str]) -> None:
        """These are to be subscribed from now on."""
        new = self.list_file.with_suffix(".new")
        new.write_text("\n".join(names) + "\n")
        new.replace(self.list_file)

    @property
    def overrides(self) -> list[str]:
        """Where the brokers are and what to subscribe, as the command line is told."""
        given = ["calendar=continuous", f"instruments_file={self.list_file}"]
        for broker, venue in self.venues.items():
            given += [
                f"brokers.{broker}.url={venue.url}",
                f"brokers.{broker}.token_file={self._tokens / broker}",
            ]
            if CLIENT_IDS[broker]:
                given.append(f"brokers.{broker}.client_id={CLIENT_IDS[broker]}")
        return given

    def wait_subscribed(self) -> None:
        """Until every venue has a subscription to every instrument."""
        for broker, venue in self.venues.items():
            venue.wait_subscribed(self.market.keys(broker), DEADLINE_S)

    @contextmanager
    def trading(self, failed: threading.Event) -> Iterator[None]:
        """Every venue publishes the market, each snapshot when it is due. `failed` is set when one can't go
        on, and at the end that is raised."""
        over = threading.Event()
        errors: list[BaseException] = []
        began_ms = epoch_ms()

        def trade(broker: str) -> None:
            try:
                for batch in self._as_due(broker, began_ms, over):
                    self.venues[broker].publish(batch)
            except BaseException as error:
                errors.append(error)
                failed.set()

        threads = [threading.Thread(target=trade, args=(broker,), daemon=True) for broker in self.brokers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(DEADLINE_S)
        if errors:
            raise errors[0]

    def _as_due(self, broker: str, began_ms: int, over: threading.Event) -> Iterator[list[VenueTick]]:
        start_ms = self.market.start_ms or 0
        from_ms = start_ms if self.pace == 1 else began_ms
        for end_ms, batch in self.market.batches(broker, PUBLISH_MS * self.pace):
            due_ms = from_ms + (end_ms - start_ms) / self.pace
            if due_ms < began_ms:
                continue
            if over.wait(max(0, due_ms - epoch_ms()) / 1000):
                return
            yield batch
        raise AssertionError("the market is over: give it more minutes")
