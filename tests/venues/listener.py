"""A listening socket whose connections are tasks from the moment they are accepted.

`asyncio.start_server` isn't used because its `close` forgets a connection that was accepted a moment ago:
that one fails in asyncio's own code, or is served by a loop that nobody runs any more.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TLS_ENDS_S = 1.0


class Listener:
    """Listens on 127.0.0.1 and gives each connection to `handler`, which closes it.

    Lives on the loop that makes it. `port`: 0 lets the system choose. `limit`: bytes a reader buffers.
    """

    def __init__(self, handler: Handler, port: int, limit: int, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._limit = limit
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._socket = socket.create_server(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._accept)

    @property
    def port(self) -> int:
        """The port it listens on; raises OSError when closed."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Listen no more; connections go on."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            accepted, _ = self._socket.accept()
            task = self._loop.create_task(self._serve(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        ends_s = TLS_ENDS_S if self._tls else None
        reader = asyncio.StreamReader(limit=self._limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._tls, ssl_shutdown_timeout=ends_s
            )
        except OSError:
            accepted.close()
            return
        await self._handler(reader, asyncio.StreamWriter(transport, protocol, reader, self._loop))
