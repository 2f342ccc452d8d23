"""The way between a client and its venue: passes bytes on, and fails as networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from tests.venues.listener import Listener

CHUNK = 1 << 16
BEGINNING = 10
"""Bytes of a frame, less than any frame with market data has."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST and forgets what is unsent."""


class Gate:
    """Listens on 127.0.0.1 and passes every connection on to `target_port` there.

    Lives on one asyncio loop; all methods are called on it.
    """

    def __init__(self) -> None:
        self.port = 0
        self._target_port = 0
        self._links: set[Link] = set()
        self._listener: Listener | None = None
        self._dead_from_start = False
        self._split: int | None = None

    def start(self, target_port: int) -> None:
        """Listen; on the port of last time when started again."""
        self._target_port = target_port
        self._listener = Listener(self._accept, self.port, CHUNK)
        self.port = self._listener.port

    def close(self) -> None:
        """Close the listener and all connections, those that aren't passed on yet as soon as they are."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for link in list(self._links):
            link.end()

    def abort(self) -> None:
        """Reset every connection (TCP RST)."""
        for link in list(self._links):
            link.abort()

    def half_open(self, new: bool) -> None:
        """Nothing passes any more, not even the end of a connection; with `new` of later ones neither."""
        self._dead_from_start = new
        for link in self._links:
            link.up = link.down = False

    def stall_mid_frame(self) -> None:
        """The first bytes of each connection's next frame pass, then none."""
        for link in self._links:
            link.stalling = True

    def split(self, n_bytes: int | None) -> None:
        """Write to clients in segments of n bytes; None: as it comes."""
        self._split = n_bytes

    def heal(self) -> None:
        """Later connections are well; what is broken stays so."""
        self._dead_from_start = False
        self._split = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target_port, limit=CHUNK)
        except OSError:
            writer.close()
            return
        link = Link(writer, server[1])
        link.up = link.down = not self._dead_from_start
        self._links.add(link)
        if self._listener is None:
            link.end()
        try:
            await asyncio.gather(self._pass_up(reader, link), self._pass_down(server[0], link))
        finally:
            self._links.discard(link)
            link.end()

    async def _pass_up(self, reader: asyncio.StreamReader, link: Link) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if link.up:
                    link.server.write(data)
                    await link.server.drain()
        link.end()

    async def _pass_down(self, reader: asyncio.StreamReader, link: Link) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not link.down:
                    continue
                if link.stalling:
                    data, link.down = data[: min(BEGINNING, len(data) - 1)], False
                for piece in self._pieces(data):
                    link.client.write(piece)
                    await link.client.drain()
        if link.down:
            link.end()

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self._split or len(data)
        return [data[start : start + size] for start in range(0, len(data), size)]


class Link:
    """One connection: its two ends and what still passes."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.up = True
        self.down = True
        self.stalling = False

    def end(self) -> None:
        """Close both ends."""
        self.client.close()
        self.server.close()

    def abort(self) -> None:
        """Reset both ends."""
        for writer in (self.client, self.server):
            ours: socket.socket | None = writer.get_extra_info("socket")
            if ours is not None and ours.fileno() >= 0:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
