"""The three brokers side by side: how to make each one's venue, and credentials it takes."""

from __future__ import annotations

import ssl
from importlib import import_module
from uuid import uuid4

from tests.venues import tls
from tests.venues.market import Market
from tests.venues.venue import Venue

HOSTS = {"upstox": tls.UPSTOX, "fyers": tls.FYERS, "dhan": tls.DHAN}
CLIENT_IDS = {"upstox": "", "fyers": "TESTAPP123-100", "dhan": "1100000001"}

MARK = "SECRET"
ISSUED: list[str] = []
"""All tokens made in this process: nothing may ever show one."""


def make_venue(broker: str, market: Market, context: ssl.SSLContext | None = None) -> Venue:
    """One that knows the market's instruments; not started yet."""
    module = import_module(f"tests.venues.{broker}.venue")
    if broker == "fyers":
        names = {one.keys["fyers"]: one for one in market.instruments}
        fytokens = {key: one.fytoken for key, one in names.items()}
        indices = {key: one.name.split("|")[1] for key, one in names.items() if key.endswith("-INDEX")}
        venue: Venue = module.FyersVenue(context, fytokens, indices)
        return venue
    venue = getattr(module, f"{broker.capitalize()}Venue")(context)
    return venue


def new_token(broker: str) -> str:
    """Of the broker's form, good for an hour, like no other; `MARK` is in what it holds."""
    token = f"{MARK}{uuid4().hex}"
    if broker == "fyers":
        token = import_module("tests.venues.fyers.venue").access_token(token)
    ISSUED.append(token)
    return token
