"""A broker's server for tests: real sockets on a thread of its own, with the faults that brokers have.

Subclasses speak one broker's protocol. All that they override is called on the venue's loop, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from tests.venues.clients import Clients
from tests.venues.connection import (
    Connection,
    VenueTick,
    is_websocket,
    json_response,
    read_head,
    read_request,
    response,
)

__all__ = ["Connection", "Venue", "VenueTick", "json_response", "response"]

REDIRECTED = "redirected=1"
SILENT = logging.Logger("venue", logging.CRITICAL + 1)
"""For a library that logs headers, tokens included."""


class Venue(Clients):
    """A server at `url`; with `tls` a wss:// one. Its public methods may be called from any thread.

    `last` holds each key's newest published tick, for brokers that send a cached snapshot on subscribing.
    `refusing` is the status given to `refuse`: one outside HTTP's is the broker's own, for the subclass.
    """

    path = "/"
    expiry_close: int | None = None
    """The close code that follows the expiry message; None: the socket stays open, without data."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.last: dict[str, VenueTick] = {}
        self.refusing: int | None = None
        self.muted = False
        self._accepted: set[str] | None = None
        self._redirecting = False

    # What a subclass says.

    def handshake(self, request: Request) -> Response | None:
        """None lets the client in; `request` has path (with query) and headers."""
        return None

    def greeting(self, connection: Connection) -> Sequence[bytes | str]:
        """What the broker sends to whoever has just connected."""
        return ()

    def on_message(self, connection: Connection, payload: bytes | str) -> Sequence[bytes | str]:
        """Updates `connection.keys` and gives the broker's answer."""
        return ()

    def encode(self, ticks: Sequence[VenueTick], connection: Connection) -> Sequence[bytes]:
        """The frames of these ticks, to all of which the connection has subscribed."""
        raise NotImplementedError

    def expiry(self, connection: Connection) -> Sequence[bytes | str]:
        """What the broker says on a live connection whose token has expired."""
        return ()

    def rest(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, object]:
        """(status, JSON) of an HTTP request on the same port."""
        return 404, {"status": "error"}

    def rest_refusal(self, path: str, headers: Headers) -> tuple[int, object] | None:
        """None lets an HTTP request in; else the answer in place of `rest`."""
        return None

    def accepts(self, token: str) -> bool:
        """Whether a token is good: any is until `expire_token`."""
        return self._accepted is None or token in self._accepted

    # What a test sees and sends.

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}{self.path}"

    def publish(self, ticks: Sequence[VenueTick]) -> int:
        """Send every connection what it subscribed to, in this order; returns the ticks handed to sockets."""
        return self._do(self._publish(ticks))

    def frames(self, ticks: Sequence[VenueTick]) -> list[bytes]:
        """These ticks as they would go to a connection that has subscribed to them all; nothing is sent."""
        return self._call(lambda: list(self.encode(ticks, next(iter(self._open)))))

    def send_raw(self, *payloads: bytes | str) -> None:
        """Send every connection these WebSocket messages, whatever they are."""
        self._each(lambda connection: connection.send(*payloads))

    # Faults.

    def refuse(self, status: int) -> None:
        """Let nobody in until `heal`: an HTTP status at the handshake, or a code of the broker's own."""
        self._call(lambda: setattr(self, "refusing", status))

    def redirect(self) -> None:
        """Send who connects to this same server by a 302, once each, until `heal`."""
        self._call(lambda: setattr(self, "_redirecting", True))

    def expire_token(self) -> None:
        """Tell live connections, then send them nothing; let in no token but those of `accept_token`."""

        def expire(connection: Connection) -> None:
            connection.send(*self.expiry(connection))
            connection.silent = True
            if self.expiry_close is not None:
                connection.close(self.expiry_close)

        self._call(lambda: setattr(self, "_accepted", set()))
        self._each(expire)

    def accept_token(self, token: str) -> None:
        """Let this one in too."""
        self._call(lambda: setattr(self, "_accepted", {token} | (self._accepted or set())))

    def close(self, code: int) -> None:
        """Close every connection with this code."""
        self._each(lambda connection: connection.close(code))

    def abort(self) -> None:
        """Reset every connection (TCP RST)."""
        self._call(self.gate.abort)

    def mute(self) -> None:
        """Publish nothing, though sockets stay open and pings are answered, until `heal`."""
        self._call(lambda: setattr(self, "muted", True))

    def half_open(self, new: bool = False) -> None:
        """Nothing passes any more on the connections of now; with `new` also on later ones until `heal`."""
        self._call(lambda: self.gate.half_open(new))

    def stall_mid_frame(self) -> None:
        """Of the next frame to each connection of now the first bytes come, then nothing."""
        self._call(self.gate.stall_mid_frame)

    def split(self, n_bytes: int) -> None:
        """Send in TCP segments of so many bytes until `heal`."""
        self._call(lambda: self.gate.split(n_bytes))

    def heal(self) -> None:
        """No fault any more, any token is good; connections that are broken or expired stay so."""
        self._call(self._heal)

    # On the loop.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if is_websocket(head):
            await self._websocket(head, reader, writer)
        elif head:
            writer.write((await self._http(head, reader)).serialize())

    async def _http(self, head: bytes, reader: asyncio.StreamReader) -> Response:
        target, headers, body = await read_request(head, reader)
        url = urlsplit(target)
        answer = self.rest_refusal(url.path, headers)
        return json_response(*(answer or self.rest(url.path, dict(parse_qsl(url.query)), body)))

    async def _websocket(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        protocol = ServerProtocol(max_size=None, logger=SILENT)
        protocol.receive_data(head)
        request = protocol.events_received()[0]
        assert isinstance(request, Request)
        self.attempts += 1
        protocol.send_response(self._refusal(request) or protocol.accept(request))
        connection = Connection(protocol, writer, request)
        connection.flush()
        if not connection.is_open:
            return
        self._open.add(connection)
        try:
            connection.send(*self.greeting(connection))
            self._poke()
            await connection.run(reader, lambda payload: self._received(connection, payload))
        finally:
            self._open.discard(connection)

    def _refusal(self, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if (url.path or "/") != self.path:
            return response(404)
        if self.refusing is not None and 400 <= self.refusing < 600:
            return response(self.refusing)
        if self._redirecting and REDIRECTED not in url.query:
            query = f"{url.query}&{REDIRECTED}" if url.query else REDIRECTED
            scheme = "wss" if self._tls else "ws"
            location = f"{scheme}://{request.headers['Host']}{self.path}?{query}"
            return response(302, headers={"Location": location})
        return self.handshake(request)

    def _received(self, connection: Connection, payload: bytes | str) -> None:
        connection.send(*self.on_message(connection, payload))
        self._poke()

    async def _publish(self, ticks: Sequence[VenueTick]) -> int:
        self.last.update((tick.key, tick) for tick in ticks)
        sent = 0
        for connection in list(self._open):
            wanted = [tick for tick in ticks if tick.key in connection.keys]
            if not wanted or self.muted or connection.silent or not connection.is_open:
                continue
            connection.send(*self.encode(wanted, connection))
            sent += len(wanted)
            with suppress(OSError):
                await connection.drain()
        return sent

    def _heal(self) -> None:
        self.refusing, self.muted, self._redirecting, self._accepted = None, False, False, None
        self.gate.heal()
