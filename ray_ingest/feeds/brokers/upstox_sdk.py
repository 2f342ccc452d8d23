"""Upstox's SDK as the wire and nothing more: its streamer and feeder, bent where they leave us in the dark.

As they come they never ping, verify no certificate, wait for ever to connect, run on a thread that outlives
the program, and decode each frame into a dict. No URL, header, or text of an exception is passed on: a
redirect's URL and a server's answer may hold a token.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import websocket
from upstox_client import Configuration, MarketDataStreamerV3  # type: ignore[import-untyped]
from upstox_client.feeder.market_data_feeder_v3 import MarketDataFeederV3  # type: ignore[import-untyped]

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.adapter import Credentials, Listener, WireSettings

URL = "wss://api.upstox.com/v3/feed/market-data-feed"
KEYS_PER_MESSAGE = 500
PONG_SHARE = 0.8
"""A pong is late after this part of the time between pings; websocket-client wants less than 1."""

logging.getLogger("websocket").disabled = True  # it logs exceptions with the server's whole answer


class UpstoxWire:
    """One connection. Three daemon threads: the SDK's, which receives; its pings; and one that sends."""

    def __init__(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> None:
        configuration = Configuration()
        configuration.access_token = credentials.access_token
        self.listener = listener
        self._streamer = _Streamer(settings, configuration, self)
        self._mode = settings.mode
        self._requests: SimpleQueue[tuple[str, list[str]] | None] = SimpleQueue()
        self._receiver = threading.Thread(target=self._receive, name="upstox-receive", daemon=True)
        self._sender = threading.Thread(target=self._send, name="upstox-send", daemon=True)
        self._over = threading.Lock()

    def start(self) -> None:
        """See `Wire`."""
        self._receiver.start()
        self._sender.start()

    def subscribe(self, keys: Sequence[str]) -> None:
        """See `Wire`. At most `KEYS_PER_MESSAGE` keys go in a message."""
        self._request("subscribe", keys)

    def unsubscribe(self, keys: Sequence[str]) -> None:
        """See `Wire`."""
        self._request("unsubscribe", keys)

    def close(self, timeout_s: float) -> bool:
        """See `Wire`. A connection that is still being made (TCP, TLS) ends at `connect_s` at the latest."""
        end_s = time.monotonic() + timeout_s
        self._over.acquire(blocking=False)  # nothing more is said
        self._requests.put(None)
        if self._receiver.ident is None:
            return True
        self._sender.join(timeout_s / 3)  # it says goodbye
        self._receiver.join(timeout_s / 3)  # which the server answers
        self._streamer.cut()
        for thread in (self._receiver, self._sender):
            thread.join(max(0.0, end_s - time.monotonic()))
        return not (self._receiver.is_alive() or self._sender.is_alive())

    def failed(self, trouble: Trouble, why: str) -> None:
        """Tell the session, once."""
        if self._over.acquire(blocking=False):
            self.listener.failed(trouble, why)

    @property
    def is_over(self) -> bool:
        """Whether its end has been said, or `close` called."""
        return self._over.locked()

    def _request(self, method: str, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), KEYS_PER_MESSAGE):
            self._requests.put((method, list(keys[first : first + KEYS_PER_MESSAGE])))

    def _receive(self) -> None:
        try:
            self._streamer.connect()
        except Exception as error:
            self.failed(*_verdict(error))
        finally:
            self.failed(Trouble.NETWORK, "the connection ended")
            self._requests.put(None)

    def _send(self) -> None:
        while (request := self._requests.get()) is not None:
            method, keys = request
            try:
                if method == "subscribe":
                    self._streamer.subscribe(keys, self._mode)
                else:
                    self._streamer.unsubscribe(keys)
            except Exception:
                self.failed(Trouble.NETWORK, "a subscription could not be sent")
                self._streamer.cut()
                return
        self._streamer.say_goodbye()


class _Streamer(MarketDataStreamerV3):  # type: ignore[misc]
    """The SDK's, which hands on what comes as it came."""

    def __init__(self, settings: WireSettings, configuration: Configuration, wire: UpstoxWire) -> None:
        # The SDK looks at an ApiClient's configuration only; the real one starts a pool of threads.
        super().__init__(SimpleNamespace(configuration=configuration), [], settings.mode)
        self.auto_reconnect(False)
        self._wire = wire
        self.feeder = _Feeder(settings, configuration, self)

    def connect(self) -> None:
        """Connect and receive until the end, on the calling thread."""
        self.feeder.connect()

    def cut(self) -> None:
        """End the connection at once; wakes the thread that waits for it."""
        self.feeder.ws.keep_running = False
        with suppress(AttributeError, OSError):  # there is none yet, or no longer
            self.feeder.socket.sock.shutdown(socket.SHUT_RDWR)

    def say_goodbye(self) -> None:
        """Send a close frame if there is anyone to hear it; not in the middle of a handshake."""
        connection = self.feeder.socket
        if connection is not None and connection.connected:
            with suppress(OSError, websocket.WebSocketException):
                connection.send_close()

    def handle_open(self, ws: Any) -> None:
        """Subscriptions are the session's."""
        if self._wire.is_over:
            self.cut()
        else:
            self._wire.listener.opened()

    def handle_message(self, ws: Any, message: bytes | str) -> None:
        """A frame, not parsed."""
        self._wire.listener.frame(message.encode() if isinstance(message, str) else message)

    def handle_error(self, ws: Any, error: BaseException) -> None:
        """Say what kind of trouble it is; cut, or the SDK's thread would wait for a goodbye."""
        self._wire.failed(*_verdict(error))
        self.cut()

    def handle_close(self, ws: Any, close_status_code: int | None, close_msg: str | None) -> None:
        """The error before it has said why."""

    def handle_sign_of_life(self, ws: Any, payload: bytes) -> None:
        """A ping or a pong."""
        self._wire.listener.heard()

    def handle_attempt(self) -> None:
        """Nothing is begun once `close` has been called."""
        if self._wire.is_over:
            raise ConnectionAbortedError

    def handle_transport(self) -> None:
        """TCP and TLS are up; the token is about to be sent."""
        self.handle_attempt()
        self._wire.listener.connected()


class _Feeder(MarketDataFeederV3):  # type: ignore[misc]
    """The SDK's, with pings, time limits, certificates verified, and the URL of the settings."""

    def __init__(self, settings: WireSettings, configuration: Configuration, streamer: _Streamer) -> None:
        super().__init__(SimpleNamespace(configuration=configuration), [], settings.mode)
        self.socket: Any = None
        self._settings = settings
        self._streamer = streamer
        self.ws: Any = websocket.WebSocketApp(
            settings.url or URL,
            header=self._header,
            on_open=self._opened,
            on_message=streamer.handle_message,
            on_error=streamer.handle_error,
            on_close=streamer.handle_close,
            on_ping=streamer.handle_sign_of_life,
            on_pong=streamer.handle_sign_of_life,
        )

    def connect(self) -> None:
        """Connect and receive until the end."""
        ping_s = self._settings.ping_s
        try:
            self.ws.run_forever(ping_interval=ping_s, ping_timeout=ping_s * PONG_SHARE)
        finally:
            if self.socket is not None:
                self.socket.shutdown()  # once it has said or heard goodbye, the SDK no longer closes it

    def _header(self) -> _Header:
        """Called just before the attempt, the only moment at which it can be given a time limit."""
        self._streamer.handle_attempt()
        self.socket = self.ws.sock
        self.socket.settimeout(self._settings.connect_s)
        value = self.api_client.configuration.auth_settings()["OAUTH2"]["value"]
        return _Header(f"Authorization: {value}", self._transport_up)

    def _transport_up(self) -> None:
        if (self._settings.url or URL).startswith("wss:") and not self.socket.is_ssl():
            raise _WithoutTlsError
        self._streamer.handle_transport()

    def _opened(self, app: Any) -> None:
        """From here on a frame that stops halfway, or a send nobody takes, may last as long as a ping."""
        self.socket.settimeout(self._settings.ping_s)
        self._streamer.handle_open(app)


class _Header(list[str]):
    """Read by websocket-client once the transport is up, also after a redirect."""

    def __init__(self, line: str, transport_up: Callable[[], None]) -> None:
        super().__init__([line])
        self._transport_up = transport_up

    def __iter__(self) -> Iterator[str]:
        self._transport_up()
        return super().__iter__()


class _WithoutTlsError(Exception):
    """A redirect leads from wss:// to ws://: the token isn't sent there."""


def _verdict(error: BaseException) -> tuple[Trouble, str]:
    """The kind of trouble, and a line without any text of the server's."""
    if isinstance(error, websocket.WebSocketBadStatusException):
        status = error.status_code
        if status in (401, 403):
            return Trouble.TOKEN, f"HTTP {status} at the handshake"
        refused = status == 429 or status >= 500
        return Trouble.REFUSED if refused else Trouble.PROTOCOL, f"HTTP {status} at the handshake"
    if isinstance(error, _WithoutTlsError):
        return Trouble.PROTOCOL, "redirected to an address without TLS"
    code = getattr(error, "status_code", None)
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        if code is not None:
            return Trouble.CLOSED, f"closed by the server, code {code}"
        return Trouble.NETWORK, "the connection was lost"
    if isinstance(error, websocket.WebSocketTimeoutException | TimeoutError):
        return Trouble.NETWORK, "no answer in time"
    if isinstance(error, OSError):
        return Trouble.NETWORK, error.strerror or type(error).__name__
    if isinstance(error, websocket.WebSocketAddressException):
        return Trouble.NETWORK, "the broker's address can't be resolved: is there a network?"
    if isinstance(error, websocket.WebSocketProxyException):
        return Trouble.NETWORK, "the proxy doesn't let it through"
    return Trouble.PROTOCOL, type(error).__name__
