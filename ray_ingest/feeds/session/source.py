"""A broker as a live source of ticks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import uuid4

from ray_ingest.core.connection import ConnectionStatus
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.errors import RayIngestError
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import Adapter, Keys, Subscription, Uneven
from ray_ingest.feeds.session.session import Session
from ray_ingest.feeds.session.settings import BrokerSettings, SessionSettings
from ray_ingest.feeds.source import Disconnected, digest
from ray_ingest.model import TickColumns
from ray_ingest.redact import install, redact

log = logging.getLogger(__name__)

__all__ = ["BrokerSettings", "BrokerSource", "SessionSettings"]


class BrokerSource:
    """Ticks of one broker as they come, whatever happens to its connections.

    All but `blocks` may be used from any thread. Raises ConfigError for what can't be subscribed.
    """

    live = True
    paced_by: str | None = None

    def __init__(self, settings: BrokerSettings, adapter: Adapter | None = None) -> None:
        self.name = settings.broker
        self.identity = digest(settings.broker, uuid4().hex)
        keys = Keys(settings.broker)
        self.table: InstrumentTable = keys.table
        self._session = Session(settings, adapter or adapter_of(settings.broker), keys)

    def blocks(self, start_ms: int) -> Iterator[TickColumns | Disconnected]:
        """Ticks and gaps, an empty block at least every 20 ms; closing the generator closes every connection.
        To be called once. Secrets are redacted in this process from now on.

        Raises ProcessSpentError, and ConfigError when the SDK isn't installed.
        """
        install()
        try:
            yield from self._session.run()
        except RayIngestError:
            raise
        except Exception as error:  # of an SDK, and told beyond this process
            log.exception("%s", self.name)
            failure = RayIngestError(redact(f"{self.name}: {type(error).__name__}: {error}"))
            failure.exit_code = 6
            raise failure from None

    def set_subscriptions(self, subscriptions: tuple[Subscription, ...]) -> None:
        """Subscribe these from now on, and no others; what is subscribed already stays where it is. Raises
        ConfigError, and then nothing changes."""
        self._session.want(subscriptions)

    def connections(self) -> list[ConnectionStatus]:
        """The connections there are: as few as hold what is subscribed."""
        return self._session.statuses()

    def dropped(self) -> dict[str, int]:
        """What was no tick, by the decoders' reasons, and "frames_overflow": frames that found no room."""
        return self._session.dropped()

    @property
    def uneven(self) -> Uneven:
        """What of its instruments other feeds lack."""
        return self._session.uneven

    @property
    def last_tick_ms(self) -> int:
        """When the last tick came, epoch ms; 0: never."""
        return self._session.last_tick_ms

    @property
    def well_since_ms(self) -> int:
        """Since when, epoch ms, ticks have come without interruption on all connections; 0: they don't."""
        return self._session.well_since_ms
