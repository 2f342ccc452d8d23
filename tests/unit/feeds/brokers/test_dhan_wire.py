"""How Dhan's wire explains its end: the kind of trouble, and never the text of an exception."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from websockets import exceptions
from websockets.datastructures import Headers
from websockets.frames import Close
from websockets.http11 import Response

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.brokers.dhan_sdk import explained

SECRET = "wss://api-feed.dhan.co?token=eyJsecret"  # noqa: S105 — a made-up one


def refused(status: int) -> Exception:
    """What an HTTP answer in place of a WebSocket raises."""
    return exceptions.InvalidStatus(Response(status, SECRET, Headers({"Location": SECRET}), b""))


def closed(theirs: int | None, ours: int | None) -> Exception:
    """What the end of a WebSocket raises; None for who sent no close frame."""
    frames = [None if code is None else Close(code, SECRET) for code in (theirs, ours)]
    rcvd_then_sent = None if None in frames else True
    return exceptions.ConnectionClosedError(frames[0], frames[1], rcvd_then_sent)


def caused(error: Exception, cause: Exception) -> Exception:
    """As `raise error from cause`."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (refused(401), Trouble.TOKEN),
        (refused(403), Trouble.TOKEN),
        (refused(404), Trouble.REFUSED),
        (refused(503), Trouble.REFUSED),
        (closed(1000, 1000), Trouble.CLOSED),
        (closed(1006, None), Trouble.CLOSED),
        (closed(None, None), Trouble.NETWORK),
        (closed(None, 1009), Trouble.PROTOCOL),
        (TimeoutError(SECRET), Trouble.NETWORK),
        (ConnectionResetError(104, SECRET), Trouble.NETWORK),
        (ssl.SSLCertVerificationError(1, SECRET), Trouble.NETWORK),
        (exceptions.ProxyError(SECRET), Trouble.NETWORK),
        (caused(exceptions.InvalidMessage(SECRET), EOFError(SECRET)), Trouble.NETWORK),
        (caused(exceptions.InvalidMessage(SECRET), ValueError(SECRET)), Trouble.PROTOCOL),
        (exceptions.InvalidURI(SECRET, SECRET), Trouble.PROTOCOL),
        (exceptions.SecurityError(SECRET), Trouble.PROTOCOL),
        (KeyError(SECRET), Trouble.PROTOCOL),
    ],
)
def test_every_end_has_its_trouble(error: Exception, trouble: Trouble) -> None:
    """What is done next depends on the kind; the words hold nothing of the exception's own."""
    kind, why = explained(error)
    assert kind is trouble
    assert "secret" not in why
    assert "\n" not in why
    assert why


def test_the_adapter() -> None:
    """Dhan is found by its name, with its limits and the names of its variables."""
    dhan: Any = adapter_of("dhan")
    assert dhan.modes == ("full", "quote", "ticker")
    assert (dhan.connections, dhan.instruments_per_connection) == (5, 5_000)
    assert dhan.environment == ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NSE_EQ|2885", "NSE_EQ:2885"),
        ("NSE_FO|8765", "NSE_FNO:8765"),
        ("MCX_FO|430106", "MCX_COMM:430106"),
        ("NSE_INDEX|Nifty 50", None),
        ("NSE_FO|eight", None),
    ],
)
def test_keys_told_from_names(name: str, key: str | None) -> None:
    """Exchange tokens are Dhan's security ids, but for indices, which need the instruments' table."""
    assert adapter_of("dhan").key_of(name) == key
