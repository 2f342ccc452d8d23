"""A unix socket in front of a server, which can fail as networks do and be pointed at another server."""

from __future__ import annotations

import asyncio
import socket as socketlib
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

CHUNK = 1 << 18
HEAD = 128
"""Bytes within which a command names its script."""


class FaultProxy:
    """Passes bytes between clients on `socket` and the server at `target`, in a thread of its own.

    `commit_digest` is the SHA-1 (hex) of the script whose calls the traps below wait for. Methods may be
    called from any thread.
    """

    def __init__(self, socket: Path, target: Path, commit_digest: str) -> None:
        self.socket = socket
        self.target = target
        self.commits = 0
        self._digest = commit_digest.encode()
        self._links: set[_Link] = set()
        self._trap: tuple[str, Callable[[], None]] | None = None
        self._withheld = b""
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_unix_server(self._accept, str(socket), limit=CHUNK))

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"unix://{quote(str(self.socket))}?db=0"

    def drop(self) -> None:
        """Close every connection, whatever is on its way."""
        self._loop.call_soon_threadsafe(self._drop)

    def stall(self) -> None:
        """Pass nothing on until `flow`."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def flow(self) -> None:
        """Pass everything on again."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def cut_next_commit(self, sprung: Callable[[], None]) -> None:
        """Pass half of the next commit on, then close its connection and call `sprung`."""
        self._trap = ("request", sprung)

    def swallow_next_reply(self, sprung: Callable[[], None]) -> None:
        """Let the next commit reach the server, not its reply the client: close instead, call `sprung`."""
        self._trap = ("reply", sprung)

    def hold_next_commit(self, sprung: Callable[[], None]) -> None:
        """Call `sprung` when half of the next commit is passed on; the rest follows."""
        self._trap = ("hold", sprung)

    def withhold_next_commit(self, sprung: Callable[[], None]) -> None:
        """Keep the next commit (one that fits into a single read) until `deliver`; close its connection."""
        self._trap = ("withhold", sprung)

    def deliver(self) -> bytes:
        """Send the server what was withheld, as a network may after a while; returns its answer."""
        with socketlib.socket(socketlib.AF_UNIX) as late:
            late.connect(str(self.target))
            late.sendall(self._withheld)
            return late.recv(CHUNK)

    def close(self) -> None:
        """End it and all connections."""
        self._flows.set()
        self._drop_and_wait()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.socket.unlink(missing_ok=True)

    def _drop_and_wait(self) -> None:
        async def end() -> None:
            self._server.close()
            self._drop()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)

        self._do(end())

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _drop(self) -> None:
        for link in list(self._links):
            link.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_unix_connection(str(self.target), limit=CHUNK)
        except OSError:
            writer.close()
            return
        link = _Link(writer, server[1])
        self._links.add(link)
        try:
            await asyncio.gather(
                self._requests(reader, server[1], link), self._replies(server[0], writer, link)
            )
        finally:
            link.close()
            self._links.discard(link)

    async def _requests(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter, link: _Link
    ) -> None:
        with suppress(OSError):
            while data := await client.read(CHUNK):
                await self._flows.wait()
                trap = None
                if self._digest in data[:HEAD]:
                    self.commits += 1
                    trap, self._trap = self._trap, None
                if trap and trap[0] == "request":
                    server.write(data[: len(data) // 2])
                    await server.drain()
                    link.close()
                    trap[1]()
                    return
                if trap and trap[0] == "withhold":
                    self._withheld = data
                    link.close()
                    trap[1]()
                    return
                if trap and trap[0] == "hold":
                    server.write(data[: len(data) // 2])
                    await server.drain()
                    trap[1]()
                    data = data[len(data) // 2 :]
                if trap and trap[0] == "reply":
                    link.swallows = trap[1]
                server.write(data)
                await server.drain()
        link.close()

    async def _replies(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, link: _Link) -> None:
        with suppress(OSError):
            while data := await server.read(CHUNK):
                await self._flows.wait()
                if link.swallows is not None:
                    link.close()
                    link.swallows()
                    return
                client.write(data)
                await client.drain()
        link.close()


class _Link:
    """One client's connection and the one to the server behind it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.swallows: Callable[[], None] | None = None

    def close(self) -> None:
        for writer in self._writers:
            with suppress(Exception):  # it may be closed, or its loop about to be
                writer.transport.abort()
