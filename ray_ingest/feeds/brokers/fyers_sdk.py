"""What surrounds the code of Fyers' SDK: its module in private, its REST calls, its transport, its token."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import json
import logging
import socket
import warnings
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.adapter import WireSettings

MODULE = "fyers_apiv3.FyersWebsocket.data_ws"
TOKEN_CODES = {-300, -99, -17, -16, -15, -8, 11001}
"""Of Fyers' answers: the access token is missing, wrong or expired."""

_LAST_WORDS_S = 0.2
_LOST = ("WebSocketConnection", "WebSocketTimeout")


class Rest:
    """Stands in for `requests` in the SDK's module: with a timeout in seconds, and at the host of a local
    server where the socket's URL was changed."""

    def __init__(self, url: str | None, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._host = ""
        if url:
            parts = urlsplit(url)
            self._host = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
        self._status = 0
        self._error = ""
        self._code: object = None

    def get(self, url: str, **arguments: Any) -> Any:
        """Of the index names; where it fails the SDK uses those in its package."""
        return self._request("GET", url, **arguments)

    def post(self, url: str, **arguments: Any) -> Any:
        """Of the symbols; `trouble` explains the last one."""
        self._status, self._error, self._code = 0, "", None
        try:
            answer = self._request("POST", url, **arguments)
            self._status = answer.status_code
            with suppress(ValueError, AttributeError):
                self._code = answer.json().get("code")
            return answer
        except OSError as error:  # all of requests' exceptions are
            self._error = type(error).__name__
            raise

    def _request(self, method: str, url: str, **arguments: Any) -> Any:
        import requests

        if self._host:
            url = self._host + urlsplit(url).path
        arguments.setdefault("timeout", self._timeout_s)
        return requests.request(method, url, **arguments)  # noqa: S113

    def trouble(self) -> tuple[Trouble, str]:
        """Why symbols could not be turned into topics."""
        if not self._status:
            return Trouble.NETWORK, f"symbol-token: {self._error or 'not asked'}"
        why = f"symbol-token: HTTP {self._status}" + (
            f", code {self._code}" if self._code is not None else ""
        )
        if self._status in (401, 403) or self._code in TOKEN_CODES:
            return Trouble.TOKEN, why
        return Trouble.PROTOCOL if self._status == 200 and self._code is None else Trouble.REFUSED, why


class Transport:
    """The `WebSocketApp` that the SDK would make, with pings, with timeouts, and with a quick end.

    Of `websocket`, the module; `callbacks` are those of a `WebSocketApp`.
    """

    def __init__(self, websocket: Any, url: str, settings: WireSettings, **callbacks: Any) -> None:
        # Its threads have no other way to a timeout while they connect or stand in the middle of a frame.
        websocket.setdefaulttimeout(settings.connect_s)
        self._callbacks = callbacks
        self._ping_s = settings.ping_s
        self._tcp: socket.socket | None = None
        self._over = False
        own = {"on_open": self._opened, "on_error": self._lost}
        self._app = websocket.WebSocketApp(url, **{**callbacks, **own})

    def run(self) -> None:
        """Connect and read until the connection is over."""
        try:
            if not self._over:
                self._app.run_forever(ping_interval=self._ping_s)
        finally:
            if self._tcp:
                self._tcp.close()

    def hang_up(self) -> None:
        """A close frame if it can be sent at once, then the end of the TCP connection."""
        self._over = True
        self._app.keep_running = False
        web, tcp = self._app.sock, self._tcp
        if web and tcp:
            with suppress(Exception):
                if web.lock.acquire(timeout=_LAST_WORDS_S):
                    web.lock.release()
                    tcp.settimeout(_LAST_WORDS_S)
                    web.send_close()
        self._cut()

    def _opened(self, app: Any) -> None:
        self._tcp = app.sock.sock
        if self._over:
            self.hang_up()
        else:
            self._callbacks["on_open"](app)

    def _lost(self, app: Any, error: object) -> None:
        self._callbacks["on_error"](app, error)
        self._cut()

    def _cut(self) -> None:
        """No close frame, and none waited for, which `WebSocketApp` does for three seconds."""
        web = self._app.sock
        tcp = self._tcp or (web.sock if web else None)
        if tcp:
            with suppress(OSError):
                tcp.shutdown(socket.SHUT_RDWR)


class BadTokenError(Exception):
    """An access token that can't be used; its text holds nothing of it."""


def hsm_key(jwt: str, now_s: float) -> str:
    """The key that the socket wants, from the token's payload."""
    try:
        payload = jwt.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires_s, key = float(claims["exp"]), claims["hsm_key"]
        if not (isinstance(key, str) and key.isascii()):
            raise TypeError
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        raise BadTokenError("the access token is no JWT of Fyers with exp and hsm_key") from None
    if expires_s < now_s:
        raise BadTokenError("the access token has expired")
    return key


def private_sdk(rest: Rest) -> Any:
    """The SDK's module, run anew with `rest` for requests and without logs. Raises ImportError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources
        spec = importlib.util.find_spec(MODULE)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(MODULE, name=MODULE)
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    quiet = logging.Logger("fyers")
    quiet.disabled = True
    module.FyersLogger = lambda *arguments, **settings: quiet
    module.logging = SimpleNamespace(FileHandler=lambda path: None)
    module.requests = rest
    return module


def trouble_of(error: object) -> tuple[Trouble, str]:
    """What an exception of the WebSocket means, without its text."""
    kind = type(error).__name__
    status = getattr(error, "status_code", None)
    if kind == "WebSocketBadStatusException":
        return (Trouble.TOKEN if status in (401, 403) else Trouble.REFUSED), f"HTTP {status}"
    if hasattr(error, "status_code"):  # a close frame came
        return Trouble.CLOSED, f"the server closed the connection, code {status or 'none'}"
    if kind == "WebSocketAddressException":
        return Trouble.NETWORK, "the broker's address can't be resolved: is there a network?"
    if isinstance(error, OSError) or kind.startswith(_LOST):
        return Trouble.NETWORK, kind
    return Trouble.PROTOCOL, kind
