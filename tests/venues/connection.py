"""One WebSocket connection of a venue, and the HTTP that is spoken on the same port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

CHUNK = 1 << 16
HEAD_LIMIT = 1 << 20


class VenueTick(NamedTuple):
    """What a broker knows of an instrument at one moment; `key` is the broker's own; None where absent."""

    key: str
    last_price: float
    last_qty: int | None
    event_time_ms: int
    day_volume: int | None
    oi: int | None


def response(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
    """An HTTP answer that closes its connection."""
    fixed = {"Content-Length": str(len(body)), "Connection": "close"}
    return Response(status, HTTPStatus(status).phrase, Headers({**fixed, **(headers or {})}), body)


def json_response(status: int, answer: object) -> Response:
    """An HTTP answer in JSON."""
    return response(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Request line and headers; b"" when the client goes away first."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return b""


def is_websocket(head: bytes) -> bool:
    """Whether this request wants a WebSocket."""
    return b"upgrade: websocket" in head.lower()


async def read_request(head: bytes, reader: asyncio.StreamReader) -> tuple[str, Headers, bytes]:
    """(path with query, headers, body) of a plain HTTP request."""
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = Headers([cast(tuple[str, str], tuple(line.split(": ", 1))) for line in lines])
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return request_line.split(" ")[1], headers, body


class Connection:
    """One client. Used on the venue's loop only.

    `keys` is what it subscribed to, `mode` and `notes` are the subclass's to use; a `silent` one gets no more
    data.
    """

    def __init__(self, protocol: ServerProtocol, writer: asyncio.StreamWriter, request: Request) -> None:
        self.keys: set[str] = set()
        self.mode = ""
        self.notes: dict[str, Any] = {}
        self.request = request
        self.silent = False
        self._protocol = protocol
        self._writer = writer
        self._parts: list[bytes] = []
        self._is_text = False

    def send(self, *frames: bytes | str) -> None:
        """Send each as one WebSocket message, all in one write; nothing once it is closing."""
        for frame in frames if self.is_open else ():
            if isinstance(frame, str):
                self._protocol.send_text(frame.encode())
            else:
                self._protocol.send_binary(frame)
        self.flush()

    def close(self, code: int) -> None:
        """Send a close frame."""
        if self.is_open:
            self._protocol.send_close(code, "")
            self.flush()

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._protocol.state.name == "OPEN"

    def flush(self) -> None:
        """Hand what the protocol wants to say to the socket; an empty piece means the end."""
        pieces = self._protocol.data_to_send()
        if not self._writer.is_closing():
            self._writer.write(b"".join(pieces))
            if b"" in pieces:
                self._writer.close()

    async def drain(self) -> None:
        """Wait until the kernel has taken nearly all."""
        await self._writer.drain()

    def abandon(self) -> None:
        """Close the transport at once, without a close frame."""
        self._writer.transport.abort()

    async def run(self, reader: asyncio.StreamReader, on_message: Callable[[bytes | str], None]) -> None:
        """Hand every message to `on_message`, in its order, until the connection is over."""
        while data := await reader.read(CHUNK):
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                for message in self._messages(cast(Frame, event)):
                    on_message(message)
            self.flush()
        self._protocol.receive_eof()
        self.flush()

    def _messages(self, frame: Frame) -> Iterator[bytes | str]:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            whole = b"".join(self._parts)
            self._parts.clear()
            yield whole.decode() if self._is_text else whole
