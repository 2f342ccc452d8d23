"""Dhan: its adapter. Its frames are in `dhan_frames`, its SDK is in `dhan_sdk`, which alone needs it."""

from __future__ import annotations

from collections.abc import Mapping

from ray_ingest.feeds.brokers.dhan_frames import DhanDecoder
from ray_ingest.feeds.session.adapter import Adapter, Credentials, Keys, Listener, Wire, WireSettings

_SEGMENT_OF = {
    "NSE_EQ": "NSE_EQ", "NSE_FO": "NSE_FNO", "NCD_FO": "NSE_CURRENCY", "MCX_FO": "MCX_COMM",
    "BSE_EQ": "BSE_EQ", "BSE_FO": "BSE_FNO", "BCD_FO": "BSE_CURRENCY",
}  # fmt: skip
"""Our segments whose exchange tokens are Dhan's security ids; an index has an id of Dhan's own."""


class Dhan:
    """See `Adapter`."""

    name = "dhan"
    modes: tuple[str, ...] = ("full", "quote", "ticker")
    connections = 5
    instruments_per_connection = 5_000
    fewer_in: Mapping[str, int] = {}
    environment = ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN")
    renewal = "make a new access token at web.dhan.co → My Profile → Access DhanHQ APIs (it lasts 24 h)"

    def key_of(self, name: str) -> str | None:
        """See `Adapter`: "NSE_FNO:8765" of "NSE_FO|8765"; None for an index."""
        segment, _, token = name.partition("|")
        return f"{_SEGMENT_OF[segment]}:{token}" if segment in _SEGMENT_OF and token.isdecimal() else None

    def wire(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> Wire:
        """See `Adapter`; loads the SDK, ImportError when it isn't installed."""
        from ray_ingest.feeds.brokers.dhan_sdk import DhanWire

        return DhanWire(settings, credentials, listener)

    def decoder(self, keys: Keys) -> DhanDecoder:
        """See `Adapter`."""
        return DhanDecoder(keys)


ADAPTER: Adapter = Dhan()
