"""Upstox V3: what it allows, and where its wire and decoder are. Importing this loads no SDK."""

from __future__ import annotations

from collections.abc import Mapping

from ray_ingest.feeds.session.adapter import Adapter, Credentials, Decoder, Keys, Listener, Wire, WireSettings


class UpstoxAdapter:
    """See `Adapter`.

    Upstox allows two connections (five on Plus) and on each 5,000 keys in one mode, 2,000 in each of several,
    50 in full_d30. A connection here has one mode, but 2,000 is what holds however an account is used.
    """

    name = "upstox"
    modes: tuple[str, ...] = ("full", "ltpc", "option_greeks", "full_d30")
    connections = 2
    instruments_per_connection = 2_000
    fewer_in: Mapping[str, int] = {"full_d30": 50}
    environment = ("", "UPSTOX_ACCESS_TOKEN")
    renewal = (
        "log in at Upstox again (its tokens end at 03:30 IST) and put the new token into UPSTOX_ACCESS_TOKEN "
        "or the token file"
    )

    def key_of(self, name: str) -> str | None:
        """See `Adapter`: derivatives and indices have our names; cash equities it names by ISIN."""
        segment, _, token = name.partition("|")
        return None if segment.endswith("_EQ") and token.isdecimal() else name

    def wire(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> Wire:
        """A connection that isn't begun yet; loads the SDK."""
        from ray_ingest.feeds.brokers.upstox_sdk import UpstoxWire

        return UpstoxWire(settings, credentials, listener)

    def decoder(self, keys: Keys) -> Decoder:
        """For the frames of one connection; loads the SDK's message classes."""
        from ray_ingest.feeds.brokers.upstox_frames import UpstoxDecoder

        return UpstoxDecoder(keys)


ADAPTER: Adapter = UpstoxAdapter()
