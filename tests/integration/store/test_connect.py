"""What a client does with its connections and never does with a command; which URLs are refused."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from ray_ingest.errors import ConfigError, StoreError
from ray_ingest.store.redis import check_server, connect, redact_url
from tests.servers import Server, free_port, running_server

SECRET = "sw0rdfish"  # noqa: S105 - of a server that lives for one test


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The url of a loopback port where `serve` is given every connection, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ending = threading.Event()

        def accept() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    if ending.is_set():
                        return
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            ending.set()
            socket.create_connection(("127.0.0.1", port)).close()  # wakes accept()
            thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey as it should be, AOF on."""
    with running_server(tmp_path_factory.mktemp("fit"), "--appendonly", "yes") as running:
        yield running


def test_replies_are_bytes(server: Server) -> None:
    """Packed records survive: the client decodes nothing."""
    with connect(server.url) as client:
        client.set("packed", b"\xff\x00")
        assert client.get("packed") == b"\xff\x00"


def test_something_else_on_the_port_is_refused() -> None:
    """A port of another program is an error in one line, not a parser's traceback."""

    def web_server(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        listener(web_server) as url,
        connect(url, timeout_s=2) as client,
        pytest.raises(StoreError, match=r"127\.0\.0\.1"),
    ):
        check_server(client)


def test_a_lost_reply_is_never_answered_by_sending_again() -> None:
    """A command whose reply is lost may have run: it reaches the server once."""
    received: list[bytes] = []

    def swallow(connection: socket.socket) -> None:
        while data := connection.recv(10_000):
            if b"INCR" in data:
                received.append(data)
                return
            connection.sendall(b"+PONG\r\n" if b"PING" in data else b"+OK\r\n")

    with listener(swallow) as url, connect(url, timeout_s=2) as client:
        with pytest.raises(redis.ConnectionError):
            client.incr("n")
        pipe = client.pipeline(transaction=False)
        pipe.incr("n")
        with pytest.raises(redis.ConnectionError):
            pipe.execute()
    assert len(received) == 2


def test_more_callers_than_connections_wait_their_turn(server: Server) -> None:
    """Workers beyond the pool's size wait for a connection instead of losing what they carry."""
    with connect(server.url, pool_size=2) as client, ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: client.incr("waited"), range(240)))
        assert client.get("waited") == b"240"
        assert len(client.client_list()) <= 2


def test_a_restart_behind_an_idle_connection_goes_unnoticed(tmp_path: Path) -> None:
    """An idle pooled connection that the server closed is replaced before it is used, on TCP as well."""
    port = str(free_port())
    tcp = ("--port", port, "--bind", "127.0.0.1")
    with connect(f"redis://127.0.0.1:{port}/0") as client:
        with running_server(tmp_path, *tcp):
            assert client.ping()
        with running_server(tmp_path, *tcp):
            assert client.ping()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must begin with redis://"),
        ("localhost:6379", "must begin with redis://"),
        (f"http://:{SECRET}@host", "must begin with redis://"),
        (f"redis://:{SECRET}/x@host:6379", "bad host or port"),
        (f"redis://:{SECRET}@host:port/0", "bad host or port"),
        (f"redis://:{SECRET}@[::1/0", "bad host or port"),
        (f"redis://:{SECRET}@host/zero", "number of a database"),
        (f"redis://:x?{SECRET}=1@host/0", "bad host or port"),
        (f"redis://host/0?pasword={SECRET}", "option other than"),
        (f"redis://host/0?password={SECRET}&decode_responses=1", "option other than"),
        (f"redis://host/0?password={SECRET}&ssl_ca_certs=x", "option other than"),
        ("unix://tmp/s", "three slashes"),
        ("unix://?db=0", "three slashes"),
        (f"unix:///tmp/s?db=x&password={SECRET}", "number of a database"),
    ],
)
def test_a_bad_url_is_refused_by_name(url: str, says: str) -> None:
    """What can't be a store's address is refused at once, naming redis.url, hiding passwords."""
    with pytest.raises(ConfigError, match=says) as caught:
        connect(url)
    assert "redis.url" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("unix:///tmp/a@b.sock?db=0", "unix:///tmp/a@b.sock?db=0"),
        ("redis://user:pass@host:6379/0", "redis://user:***@host:6379/0"),
        ("rediss://:pass@host/0", "rediss://:***@host/0"),
        ("redis://pass@host", "redis://***@host"),
        ("redis://:p@ss/w#rd@host/1", "redis://:***@host/1"),
        ("redis://:p?ss@host/1", "redis://***"),
        ("redis://:p://q@host/1", "redis://:***@host/1"),
        ("unix:///s?db=0&password=pass", "unix:///s?db=0&password=***"),
        ("redis://h/0?pasword=p@ss&db=1", "redis://***"),
        ("rediss://h/0?ssl_password=pass", "rediss://h/0?ssl_password=***"),
        (":pass@host", ":***@host"),
    ],
)
def test_passwords_are_redacted(url: str, shown: str) -> None:
    """No form of password, escaped or not, is left in a URL made for people to see."""
    assert redact_url(url) == shown
