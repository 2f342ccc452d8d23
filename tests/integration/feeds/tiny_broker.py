"""The smallest broker there can be, for the session alone: a server, a wire of plain WebSocket, a decoder."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.adapter import Credentials, Keys, Listener, WireSettings
from ray_ingest.model import NULL, TickColumns
from tests.venues.venue import Connection, Venue, VenueTick, response

TROUBLES = {401: Trouble.TOKEN, 403: Trouble.TOKEN}


class TinyVenue(Venue):
    """Frames are JSON lists of [key, price, time]; "sub a b" and "unsub a b" are answered by "ok"."""

    path = "/tiny"

    def handshake(self, request: Request) -> Response | None:
        """By bearer token."""
        return (
            None if self.accepts(request.headers["Authorization"].removeprefix("Bearer ")) else response(401)
        )

    def greeting(self, connection: Connection) -> Sequence[bytes | str]:
        """Whoever is greeted may subscribe."""
        return ["hello"]

    def on_message(self, connection: Connection, payload: bytes | str) -> Sequence[bytes | str]:
        """Subscriptions."""
        verb, *keys = str(payload).split()
        connection.keys = connection.keys | set(keys) if verb == "sub" else connection.keys - set(keys)
        return ["ok"]

    def encode(self, ticks: Sequence[VenueTick], connection: Connection) -> Sequence[bytes]:
        """One frame."""
        return [json.dumps([[tick.key, tick.last_price, tick.event_time_ms] for tick in ticks]).encode()]

    def expiry(self, connection: Connection) -> Sequence[bytes | str]:
        """As text."""
        return ["expired"]

    def abort_of(self, key: str) -> None:
        """Cut only the connection that carries this key."""
        self._each(lambda connection: connection.abandon() if key in connection.keys else None)


class TinyWire:
    """A thread that reads and one that pings."""

    def __init__(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> None:
        self._settings, self._listener = settings, listener
        self._token = credentials.access_token
        self._socket: ClientConnection | None = None
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.frames = 0

    def start(self) -> None:
        """Connect on a thread."""
        self._run(self._read)

    def subscribe(self, keys: Sequence[str]) -> None:
        """Send it."""
        self._send(" ".join(["sub", *keys]))

    def unsubscribe(self, keys: Sequence[str]) -> None:
        """Send it."""
        self._send(" ".join(["unsub", *keys]))

    def close(self, timeout_s: float) -> bool:
        """Cut the socket, join the threads."""
        self._closing.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, work: object) -> None:
        assert callable(work)
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def _send(self, text: str) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed, OSError):
            self._socket.send(text)

    def _read(self) -> None:
        url, headers = self._settings.url or "", {"Authorization": f"Bearer {self._token}"}
        try:
            with connect(
                url, additional_headers=headers, open_timeout=3, close_timeout=1, ping_interval=None
            ) as self._socket:
                self._listener.connected()
                self._run(self._ping)
                for message in self._socket:
                    self._take(message)
            self._listener.failed(Trouble.CLOSED, f"closed with {self._socket.close_code}")
        except InvalidStatus as error:
            status = error.response.status_code
            self._listener.failed(
                TROUBLES.get(status, Trouble.REFUSED), f"HTTP {status} for token={self._token}"
            )
        except (ConnectionClosed, OSError, EOFError) as error:
            self._listener.failed(Trouble.NETWORK, type(error).__name__)

    def _take(self, message: bytes | str) -> None:
        if isinstance(message, bytes):
            self._listener.frame(message)
            self.frames += 1
        elif message == "hello":
            self._listener.opened()
        elif message == "expired":
            self._listener.failed(Trouble.TOKEN, "it says the token has expired")
        else:
            self._listener.heard()

    def _ping(self) -> None:
        assert self._socket is not None
        while not self._closing.wait(self._settings.ping_s):
            try:
                if self._socket.ping().wait(self._settings.ping_s):
                    self._listener.heard()
            except (ConnectionClosed, OSError):
                return


class TinyDecoder:
    """Of the frames above."""

    def __init__(self, keys: Keys) -> None:
        self.dropped: Counter[str] = Counter()
        self.verdict: tuple[Trouble, str] | None = None
        self._keys = keys
        self.missed_frames = False

    def missed(self) -> None:
        """Told of frames that were lost."""
        self.missed_frames = True

    def decode(self, payload: bytes, received_ms: int) -> TickColumns:
        """A frame b"!" is one that this decoder has a fault with; b"bye" ends the connection."""
        if payload == b"!":
            raise ZeroDivisionError
        rows = []
        if payload == b"bye":
            self.verdict = Trouble.PROTOCOL, "it said bye"
        else:
            rows = [row for row in json.loads(payload) if row[0] in self._keys.ids]
            self.dropped["unknown"] += len(json.loads(payload)) - len(rows)
        nothing = np.full(len(rows), NULL)
        return TickColumns(
            np.array([self._keys.ids[key] for key, _, _ in rows], np.uint32),
            np.array([time_ms for _, _, time_ms in rows], np.int64),
            np.array([price for _, price, _ in rows], np.float64),
            nothing,
            nothing,
            nothing,
            np.full(len(rows), received_ms),
        )


class TinyAdapter:
    """Keeps its wires, for tests that look at them; with `stuck` their close finds that something runs on,
    with `broken` there is none."""

    name = "tiny"
    modes: tuple[str, ...] = ("only",)
    connections = 2
    instruments_per_connection = 100
    fewer_in: Mapping[str, int] = {}
    environment = ("", "TINY_ACCESS_TOKEN")
    renewal = "write a new one into the file"

    def __init__(self) -> None:
        self.wires: list[TinyWire] = []
        self.stuck = False
        self.broken = False

    def key_of(self, name: str) -> str | None:
        """The token part, in small letters."""
        return name.partition("|")[2].lower()

    def wire(self, settings: WireSettings, credentials: Credentials, listener: Listener) -> TinyWire:
        """A new one."""
        if self.broken:
            raise ValueError(f"cannot use {credentials.access_token}")
        kind = StuckWire if self.stuck else TinyWire
        self.wires.append(kind(settings, credentials, listener))
        return self.wires[-1]

    def decoder(self, keys: Keys) -> TinyDecoder:
        """A new one."""
        return TinyDecoder(keys)


class StuckWire(TinyWire):
    """Ends, and says it doesn't."""

    def close(self, timeout_s: float) -> bool:
        """See the class."""
        super().close(timeout_s)
        return False
