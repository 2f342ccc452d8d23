"""A TCP server on a thread of its own, behind a gate; what is said on a connection is the subclass's."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.venues.connection import HEAD_LIMIT
from tests.venues.gate import Gate
from tests.venues.listener import Listener

T = TypeVar("T")
DEADLINE_S = 30.0


class Server:
    """Listens on 127.0.0.1 from `start` to `stop`. Public methods may be called from any thread.

    `errors` are exceptions of the subclass; `stop` raises the first.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.errors: list[BaseException] = []
        self.gate = Gate()
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread: threading.Thread | None = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is over."""
        raise NotImplementedError

    def start(self) -> Self:
        """Listen, on the port of last time when started again."""
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="venue", daemon=True)
        self._thread.start()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        """Close everything, as a server that goes down; raises what went wrong in it."""
        if self._thread is None:
            return
        self._do(self._close_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None
        self._loop.close()
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            with suppress(Exception):
                self.stop()

    @property
    def is_up(self) -> bool:
        """Whether it is started and not stopped."""
        return self._thread is not None

    @property
    def port(self) -> int:
        """Of 127.0.0.1; 0 before the first start."""
        return self.gate.port

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str = "condition") -> None:
        """Until `condition` holds; it is looked at on the loop whenever a client did something."""
        self._do(self._wait(condition, timeout_s, what), timeout_s)

    async def _listen(self) -> None:
        self._listener = Listener(self._accept, 0, HEAD_LIMIT, self._tls)
        self.gate.start(self._listener.port)

    async def _close_all(self) -> None:
        """Ends when nothing else is on the loop, connections of a moment ago included."""
        self.gate.close()
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await self._loop.shutdown_asyncgens()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError):
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.close()
            self._writers.discard(writer)
            self._poke()

    async def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_s} s: {what}") from None

    def _poke(self) -> None:
        """Wake whoever waits; the next to wait gets a new event."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._do(call())

    def _do(self, work: Coroutine[Any, Any, T], timeout_s: float = DEADLINE_S) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s + 5)
