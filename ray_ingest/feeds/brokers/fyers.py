"""Fyers: its SDK's data socket as a wire. The frames are decoded in `fyers_frames`.

Every wire runs a copy of the SDK's module of its own, whose surroundings are changed and whose code isn't:
the socket is a singleton of its module, writes a log file wherever it is, and calls REST without a timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.fyers_frames import DATA, FyersDecoder, topics_frame
from ray_ingest.feeds.brokers.fyers_sdk import (
    TOKEN_CODES,
    BadTokenError,
    Rest,
    Transport,
    hsm_key,
    private_sdk,
    trouble_of,
)
from ray_ingest.feeds.session.adapter import Adapter, Credentials, Keys, Listener, WireSettings

log = logging.getLogger(__name__)

_CHANNEL = 11
_PING_S = 10.0  # of HSM's own ping; the WebSocket's is `WireSettings.ping_s`
_REFUSALS = {
    11011: "the subscription failed",
    51001: "more instruments than the plan of this account allows",
}


class FyersAdapter:
    """See `Adapter`. Lite mode is not offered: it has neither time nor volume, so no candle."""

    name = "fyers"
    modes: tuple[str, ...] = ("full",)
    connections = 1
    instruments_per_connection = 5000
    fewer_in: Mapping[str, int] = {}
    environment = ("FYERS_APP_ID", "FYERS_ACCESS_TOKEN")
    renewal = (
        "log in to Fyers for today's access token of this app, and put it where the old one is "
        "(FYERS_ACCESS_TOKEN or brokers.fyers.token_file)"
    )

    def key_of(self, name: str) -> str | None:
        """See `Adapter`: Fyers' symbols are in its master only."""
        return None

    def wire(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> FyersWire:
        """One that isn't begun yet; one at a time. Raises ImportError when the SDK isn't installed."""
        return FyersWire(settings, credentials, listener)

    def decoder(self, keys: Keys) -> FyersDecoder:
        """For the frames of one connection."""
        return FyersDecoder(keys)


ADAPTER: Adapter = FyersAdapter()


class FyersWire:
    """See `Wire`: one `FyersDataSocket`, its reconnects off. All threads are daemons."""

    def __init__(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._jwt = credentials.access_token.rpartition(":")[2]
        self._rest = Rest(settings.url, settings.connect_s)
        self._sdk = private_sdk(self._rest)
        self._socket = self._sdk.FyersDataSocket(
            f"{credentials.client_id}:{self._jwt}",
            write_to_file=True,  # what makes its threads daemons
            reconnect=False,
            on_message=self._answered,
            on_error=self._erred,
        )
        if settings.url:
            self._set("url", settings.url)
        self._sdk_send = self._get("send_message")
        self._sdk_conversion = self._get("symbol_conversion")
        self._set("send_message", self._send)
        self._set("symbol_conversion", self._topics_of)
        self._set("ping", self._ping)
        self._topics: dict[str, str] = {}
        self._transport: Transport | None = None
        self._lock = threading.Lock()
        self._over = False
        self._settled = threading.Event()
        self._ended = threading.Event()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._run, name="fyers-wire", daemon=True)

    def _get(self, name: str) -> Any:
        return getattr(self._socket, f"_FyersDataSocket__{name}")

    def _set(self, name: str, value: object) -> None:
        setattr(self._socket, f"_FyersDataSocket__{name}", value)

    # What the session calls.

    def start(self) -> None:
        """Begin to connect."""
        self._worker.start()

    def subscribe(self, keys: Sequence[str]) -> None:
        """Ask for these symbols too ("NSE:SBIN-EQ"); what Fyers doesn't know is logged."""
        self._work.put(partial(self._subscribe, list(keys)))

    def unsubscribe(self, keys: Sequence[str]) -> None:
        """Ask for these no longer."""
        self._work.put(partial(self._unsubscribe, list(keys)))

    def close(self, timeout_s: float) -> bool:
        """True when the connection and every thread of it have ended within `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._over = True
        self._ended.set()
        self._settled.set()
        self._work.put(None)
        if self._transport:
            self._transport.hang_up()
        ended = [_join(self._socket.ws_thread, deadline)]  # the one that starts the next two
        with self._socket.message_lock:
            if self._socket.message_thread_stop_event:
                self._socket.message_thread_stop_event.set()
            self._socket.message_condition.notify_all()
        others = (self._socket.message_thread, self._socket.ping_thread, self._worker)
        ended += [_join(thread, deadline) for thread in others]
        return all(ended)

    # On the wire's own thread.

    def _run(self) -> None:
        try:
            self._connect()
            if not self._settled.wait(self._settings.connect_s):
                self._failed(Trouble.NETWORK, f"no answer within {self._settings.connect_s:g} s")
            while not self._over and (act := self._work.get()):
                act()
        except Exception as error:
            self._failed(Trouble.PROTOCOL, f"the SDK raised {type(error).__name__}")

    def _connect(self) -> None:
        try:
            key = hsm_key(self._jwt, time.time())
        except BadTokenError as error:
            self._failed(Trouble.TOKEN, str(error))
            return
        # In place of the SDK's own check, which fails app ids of some lengths.
        self._set("hsm_token", key)
        self._set("valid_token", True)
        self._transport = Transport(
            self._sdk.websocket,
            self._get("url"),
            self._settings,
            on_open=self._connected,
            on_message=lambda app, payload: self._message(payload),
            on_error=lambda app, error: self._failed(*trouble_of(error)),
            on_close=lambda app, code, reason: self._failed(Trouble.NETWORK, "the connection is lost"),
            on_pong=lambda app, payload: self._heard(),
        )
        run = self._transport.run
        self._socket.ws_thread = threading.Thread(target=run, name="fyers-socket", daemon=True)
        self._socket.ws_thread.start()

    def _topics_of(self, symbols: Sequence[str]) -> dict[str, str] | None:
        """The topics of symbols, in place of the SDK's own, which asks for known ones again."""
        new = [symbol for symbol in symbols if symbol not in self._topics]
        found = self._sdk_conversion(new) if new else {}
        if found is None:
            self._failed(*self._rest.trouble())
            return None
        self._topics.update({symbol: topic for topic, symbol in found.items()})
        if found and not self._over:
            self._listener.frame(topics_frame(found))
        return {self._topics[symbol]: symbol for symbol in symbols if symbol in self._topics}

    def _subscribe(self, symbols: list[str]) -> None:
        # The SDK miscounts after unsubscribing, and would refuse at 5,000 of its own; the session counts.
        self._socket.symbol_token = {}
        self._socket.scrips_per_channel[_CHANNEL] = []
        self._socket.subscribe(symbols, channel=_CHANNEL)

    def _unsubscribe(self, symbols: list[str]) -> None:
        known = [symbol for symbol in symbols if symbol in self._topics]
        # The SDK only knows those of its last subscription, and skips every other of the rest.
        self._socket.scrips_count[_CHANNEL] = set(self._topics.values())
        if known:
            self._socket.unsubscribe(known, channel=_CHANNEL)

    # On the SDK's threads.

    def _connected(self, app: Any) -> None:
        if not self._over:
            self._listener.connected()
            self._get("on_open")(app)

    def _message(self, payload: bytes | str) -> None:
        if isinstance(payload, bytes) and payload[2:3] == bytes([DATA]):
            self._data(payload)
        else:
            self._heard()
            if isinstance(payload, bytes):
                self._get("response_msg")(payload)

    def _data(self, payload: bytes) -> None:
        """What the SDK does with a data frame but for decoding it."""
        if self._socket.ack_count > 0 and len(payload) >= 7:
            self._socket.update_count += 1
            if self._socket.update_count >= self._socket.ack_count:
                number = int.from_bytes(payload[3:7], "big")
                self._socket.add_message(self._get("ackowledgement_msg")(number))
                self._socket.update_count = 0
        if not self._over:
            self._listener.frame(payload)

    def _heard(self) -> None:
        if not self._over:
            self._listener.heard()

    def _answered(self, message: dict[str, Any]) -> None:
        if message.get("type") == "cn" and not self._over:
            self._listener.opened()
            self._settled.set()

    def _erred(self, error: Any) -> None:
        """The SDK's report of what the server said."""
        if not isinstance(error, dict):  # an exception of its own
            self._failed(*trouble_of(error))
            return
        code, kind = error.get("code"), error.get("type")
        if kind == "cn":
            refused = Trouble.TOKEN if code in TOKEN_CODES else Trouble.REFUSED
            self._failed(refused, f"{code}: Fyers doesn't accept the access token")
        elif code in _REFUSALS:
            self._failed(Trouble.REFUSED, f"{code}: {_REFUSALS[code]}")
        elif "invalid_symbols" in error:
            unknown = [str(symbol) for symbol in error["invalid_symbols"]]
            log.warning("Fyers doesn't know %d symbols: %s", len(unknown), ", ".join(unknown[:10]))
        elif kind == "sub":
            return  # `_topics_of` says why
        elif code == -99:
            self._failed(Trouble.REFUSED, "more than 5,000 instruments on one connection")
        else:
            log.warning("Fyers reports %s", code)

    def _send(self, message: bytes) -> None:
        with suppress(Exception):  # the reading thread tells that the connection is over
            self._sdk_send(message)

    def _ping(self) -> None:
        while not self._ended.wait(_PING_S) and not self._over:
            self._send(bytes([0, 1, 11]))

    def _failed(self, trouble: Trouble, why: str) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        self._listener.failed(trouble, why)
        self._settled.set()
        self._work.put(None)


def _join(thread: threading.Thread | None, deadline_s: float) -> bool:
    """True when it has ended by then, or never began."""
    if thread is not None and thread.is_alive():
        thread.join(max(deadline_s - time.monotonic(), 0))
    return thread is None or not thread.is_alive()
