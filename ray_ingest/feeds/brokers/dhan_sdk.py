"""Dhan's SDK as a wire.

Of `dhanhq.MarketFeed` remain its loop, its reading and its subscription messages, 100 instruments each; its
endless reconnects, parser, prints and thread are left out. The token travels in the URL: no text of an
exception that could quote it, and no log of `websockets`, leaves this file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from dhanhq import DhanContext, MarketFeed  # type: ignore[import-untyped]
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, ProxyError

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.dhan_frames import SEGMENTS
from ray_ingest.feeds.session.adapter import Credentials, Listener, WireSettings

_REQUEST_CODES = {"full": 21, "quote": 17, "ticker": 15}
_DISCONNECT = json.dumps({"RequestCode": 12})
_GOODBYE_S = 1.0  # how long a close waits for the server's
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)


class DhanWire:
    """See `Wire`: the SDK on a daemon thread of ours, whose loop ends with the connection."""

    def __init__(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> None:
        self._settings = settings
        self._credentials = credentials
        self._listener = listener
        self._request_code = _REQUEST_CODES[settings.mode]
        self._feed: Any = None
        self._life: asyncio.Task[None] | None = None
        self._closing = False
        self._sends: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="dhan-wire", daemon=True)

    def start(self) -> None:
        """See `Wire`."""
        self._thread.start()

    def subscribe(self, keys: Sequence[str]) -> None:
        """See `Wire`."""
        self._ask("subscribe_symbols", keys)

    def unsubscribe(self, keys: Sequence[str]) -> None:
        """See `Wire`."""
        self._ask("unsubscribe_symbols", keys)

    def close(self, timeout_s: float) -> bool:
        """See `Wire`. The listener hears nothing of it."""
        self._closing = True
        if self._life is not None:
            self._on_loop(self._life.cancel)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _ask(self, method: str, keys: Sequence[str]) -> None:
        parts = [key.partition(":") for key in keys]
        # The SDK passes a segment that it doesn't know on as it is, for the server to judge.
        symbols = [(SEGMENTS.get(segment, segment), code, self._request_code) for segment, _, code in parts]
        if symbols and self._feed is not None:
            self._on_loop(getattr(self._feed, method), symbols)

    def _on_loop(self, call: Any, *arguments: object) -> None:
        with suppress(RuntimeError):  # closed: the connection is over
            self._feed.loop.call_soon_threadsafe(call, *arguments)

    def _run(self) -> None:
        """The connection's whole life, on the thread."""
        try:
            context = DhanContext(self._credentials.client_id, self._credentials.access_token)
            feed = MarketFeed(context, [], "v2")
        except Exception as error:
            self._listener.failed(Trouble.PROTOCOL, f"Dhan's SDK can't be used: {type(error).__name__}")
            return
        feed.process_data = self._received
        feed._run_coroutine = self._send
        self._feed = feed
        self._life = feed.loop.create_task(self._live(feed))
        if self._closing:  # asked before there was anything to cancel
            self._life.cancel()
        try:
            feed.loop.run_until_complete(self._life)
        except asyncio.CancelledError:
            pass
        except Exception as error:
            if not self._closing:
                self._listener.failed(*explained(error))
        finally:
            _finish(feed.loop)

    async def _live(self, feed: Any) -> None:
        """From the attempt to the end, which is an exception always."""
        feed.ws = await self._connected(feed)
        tasks = [asyncio.create_task(self._read(feed)), asyncio.create_task(self._ping(feed.ws))]
        try:
            self._listener.opened()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task in done:
                    task.result()
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(_GOODBYE_S):
                    await feed.ws.send(_DISCONNECT)
                    await feed.ws.close()
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            feed.ws.transport.abort()
            await feed.ws.wait_closed()

    async def _connected(self, feed: Any) -> Any:
        """The open WebSocket, as the SDK's `connect` makes it but for pings, time limit and log."""

        def connection(*arguments: Any, **named: Any) -> ClientConnection:
            made = ClientConnection(*arguments, **named)
            transport_is_up = made.connection_made

            def connection_made(transport: Any) -> None:
                transport_is_up(transport)
                self._listener.connected()

            made.connection_made = connection_made  # type: ignore[method-assign]
            return made

        query = {"version": 2, "token": feed.access_token, "clientId": feed.client_id, "authType": 2}
        return await connect(
            f"{self._settings.url or feed.market_feed_wss}?{urlencode(query)}",
            open_timeout=self._settings.connect_s,
            ping_interval=None,
            logger=_SILENT,
            create_connection=connection,  # type: ignore[arg-type]
        )

    async def _read(self, feed: Any) -> None:
        while True:
            await feed.get_instrument_data()

    async def _ping(self, socket: Any) -> None:
        """Ends with TimeoutError when a pong is as late as the next ping."""
        while True:
            await asyncio.sleep(self._settings.ping_s)
            async with asyncio.timeout(self._settings.ping_s):
                await (await socket.ping())
            self._listener.heard()

    def _received(self, data: bytes | str) -> None:
        """In place of the SDK's `process_data`, which parses the first packet of a frame only."""
        if isinstance(data, bytes):
            self._listener.frame(data)
        else:
            self._listener.heard()

    def _send(self, message: Coroutine[Any, Any, None]) -> None:
        """In place of the SDK's `_run_coroutine`: a send that fails ends the reading too, which says why."""
        task = self._feed.loop.create_task(message)
        self._sends.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[Any]) -> None:
        self._sends.discard(task)
        if not task.cancelled():
            task.exception()


def explained(error: Exception) -> tuple[Trouble, str]:
    """What an exception of the wire means, in words that hold none of its own: they may quote the URL."""
    name = type(error).__name__
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        trouble = Trouble.TOKEN if status in (401, 403) else Trouble.REFUSED
        return trouble, f"Dhan refused the connection: HTTP {status}"
    if isinstance(error, ConnectionClosed):
        if error.rcvd is not None and error.rcvd_then_sent is not False:
            return Trouble.CLOSED, f"Dhan closed the connection: code {error.rcvd.code}"
        if error.sent is not None:
            return Trouble.PROTOCOL, f"no WebSocket message as it should be: code {error.sent.code}"
        return Trouble.NETWORK, "connection to Dhan lost"
    if isinstance(error, TimeoutError):
        return Trouble.NETWORK, "no answer from Dhan in time"
    if isinstance(error, OSError | ProxyError):
        return Trouble.NETWORK, f"Dhan can't be reached: {name}"
    if isinstance(error, InvalidMessage) and isinstance(error.__cause__, OSError | EOFError):
        return Trouble.NETWORK, "connection to Dhan lost at the handshake"
    return Trouble.PROTOCOL, f"Dhan doesn't answer as a WebSocket server does: {name}"


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """End what the loop still has and close it."""

    async def end() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()

    loop.run_until_complete(end())
    loop.close()
