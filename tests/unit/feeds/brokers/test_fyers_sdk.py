"""Around Fyers' SDK: tokens, what its exceptions mean, and its module in private."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers import adapter_of, fyers_sdk, names
from ray_ingest.feeds.brokers.fyers_sdk import BadTokenError, Rest, hsm_key, private_sdk, trouble_of
from tests.venues.fyers.venue import access_token


def test_the_adapter_is_found() -> None:
    """The broker's name leads to it, and the parts of its module aren't brokers."""
    adapter = adapter_of("fyers")
    assert adapter.name == "fyers"
    assert adapter.modes == ("full",)
    assert not [name for name in names() if "_" in name]


def test_the_sockets_key_is_inside_the_token() -> None:
    """Until the token expires, to the second."""
    token = access_token("the-key", expires_s=1_000)
    assert hsm_key(token, 999) == "the-key"
    with pytest.raises(BadTokenError, match="expired"):
        hsm_key(token, 1_001)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.e30.c", "a.bnVsbA.c", "a.W10.c", "a.\xff.c", "é.é.é"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    """Whatever stands in its place, one line says so and repeats none of it."""
    with pytest.raises(BadTokenError, match=r"^the access token is no JWT of Fyers with exp and hsm_key$"):
        hsm_key(token, 0)


def bad_status(code: int) -> Exception:
    """As websocket-client raises it."""
    return websocket.WebSocketBadStatusException("secret %s %s", code, "secret")


@pytest.mark.parametrize(
    ("error", "trouble", "why"),
    [
        (bad_status(401), Trouble.TOKEN, "HTTP 401"),
        (bad_status(403), Trouble.TOKEN, "HTTP 403"),
        (bad_status(503), Trouble.REFUSED, "HTTP 503"),
        (ConnectionRefusedError("secret"), Trouble.NETWORK, "ConnectionRefusedError"),
        (TimeoutError("secret"), Trouble.NETWORK, "TimeoutError"),
        (websocket.WebSocketTimeoutException("secret"), Trouble.NETWORK, "WebSocketTimeoutException"),
        (
            websocket.WebSocketAddressException("secret"),
            Trouble.NETWORK,
            "the broker's address can't be resolved: is there a network?",
        ),
        (websocket.WebSocketProtocolException("secret"), Trouble.PROTOCOL, "WebSocketProtocolException"),
        ("secret", Trouble.PROTOCOL, "str"),
    ],
)
def test_an_exception_is_told_by_its_kind(error: object, trouble: Trouble, why: str) -> None:
    """Never by its text, which may hold a URL or a header."""
    assert trouble_of(error) == (trouble, why)


def test_rest_goes_where_the_socket_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an endpoint of one's own the REST calls go to the same host, and always with a timeout."""
    asked: list[tuple[str, str, float]] = []

    def request(method: str, url: str, **arguments: Any) -> requests.Response:
        asked.append((method, url, arguments["timeout"]))
        return requests.Response()

    monkeypatch.setattr(requests, "request", request)
    Rest("wss://venue:8443/hsm/v1-5/prod", 3).post(url="https://api-t1.fyers.in/data/symbol-token")
    Rest(None, 3).get("https://public.fyers.in/a.json", timeout=10)
    assert asked == [
        ("POST", "https://venue:8443/data/symbol-token", 3),
        ("GET", "https://public.fyers.in/a.json", 10),
    ]


def test_a_private_copy_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies give two sockets, although the class is a singleton, and no log file is written."""
    monkeypatch.chdir(tmp_path)
    sockets = [private_sdk(Rest(None, 1)).FyersDataSocket("A:b.c.d") for _ in range(2)]
    assert sockets[0] is not sockets[1]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_sdk_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session says what to install, and needs the name of what is missing."""
    monkeypatch.setattr(fyers_sdk, "MODULE", "no_such_sdk.data_ws")
    with pytest.raises(ImportError) as caught:
        private_sdk(Rest(None, 1))
    assert caught.value.name == "no_such_sdk"
