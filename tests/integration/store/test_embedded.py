"""The embedded store with real processes: who starts the server, who stops it, who may use it."""

import os
import sys
from pathlib import Path

import pytest

from ray_ingest.errors import StoreError
from ray_ingest.store import valkey
from ray_ingest.store.embedded import EmbeddedServer, default_data_dir
from ray_ingest.store.locks import FileLock
from ray_ingest.store.redis import check_server, connect
from tests.holders import Holder, goes, is_gone


def test_the_server_is_fit_and_private(store_folder: Path) -> None:
    """The embedded server passes the checks of any store, writes an AOF, and listens to its user alone."""
    with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
        found = check_server(client)
        assert (found.name, found.aof, found.maxmemory_policy) == ("valkey", True, "noeviction")
        settings = client.config_get("*")
        assert (settings["port"], settings["save"], settings["appendfsync"]) == ("0", "", "everysec")
        assert (store_folder / "valkey.sock").stat().st_mode & 0o777 == 0o700
        assert store_folder.stat().st_mode & 0o777 == 0o700
        pid = server.pid
        assert client.info()["process_id"] == pid
        assert os.getsid(pid) != os.getsid(0), "Ctrl-C at the terminal would reach the server"
    assert goes(pid)
    assert not (store_folder / "valkey.sock").exists()
    assert not (store_folder / "valkey.pid").exists()


def test_data_outlives_the_server(store_folder: Path) -> None:
    """The last one out stops the server with everything on disk: the next finds it all."""
    for expected in (1, 2, 3):
        with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
            assert client.incr("runs") == expected


def test_eight_at_once_share_one_server(store_folder: Path) -> None:
    """Processes that attach in the same moment get one server; only the last to leave stops it."""
    holders = [Holder(store_folder) for _ in range(8)]
    for holder in holders:
        holder.go()
    pids = {holder.server_pid() for holder in holders}
    assert len(pids) == 1
    assert (store_folder / "valkey.log").read_text().count("Server initialized") == 1
    pid = pids.pop()
    for number, holder in enumerate(holders):
        assert not is_gone(pid), f"stopped while {8 - number} were attached"
        assert holder.end() == (0, "")
    assert goes(pid)


def test_eight_leave_at_once(store_folder: Path) -> None:
    """Processes that leave in the same moment end the server exactly once and without complaint."""
    holders = [Holder(store_folder, "close").go() for _ in range(8)]
    pid = {holder.server_pid() for holder in holders}.pop()
    for holder in holders:
        assert holder.process.stdin
        holder.process.stdin.close()
        holder.process.stdin = None
    assert [holder.end() for holder in holders] == [(0, "")] * 8
    assert goes(pid)


def test_the_starter_may_leave_first(store_folder: Path) -> None:
    """The server belongs to all who are attached, not to the one who started it."""
    starter = Holder(store_folder, "close").go()
    pid = starter.server_pid()
    with EmbeddedServer.attach(store_folder) as server:
        assert starter.end() == (0, "")
        assert server.pid == pid
        assert not is_gone(pid)
    assert goes(pid)


def test_an_orphan_is_adopted(store_folder: Path) -> None:
    """A server whose only user was killed, group and all, lives on, is adopted and stopped in the end."""
    holder = Holder(store_folder, "driver").go()
    pid = holder.server_pid()
    with connect(f"unix://{store_folder}/valkey.sock") as client:
        client.set("kept", "yes")
    holder.kill()
    assert not is_gone(pid)
    with EmbeddedServer.attach(store_folder, driver=True) as server, connect(server.url) as client:
        assert server.pid == pid
        assert client.get("kept") == b"yes"
    assert goes(pid)


def test_a_second_driver_is_refused(store_folder: Path) -> None:
    """A second driver is refused and learns the folder and the first one's process; readers may attach."""
    with EmbeddedServer.attach(store_folder, driver=True) as server:
        with pytest.raises(StoreError) as caught:
            EmbeddedServer.attach(store_folder, driver=True)
        assert str(store_folder) in str(caught.value)
        assert f"process {os.getpid()}" in str(caught.value)
        code, said = Holder(store_folder, "driver").go().end()
        assert code == 1
        assert f"already has a driver, process {os.getpid()}" in said
        reader = Holder(store_folder).go()
        assert reader.server_pid() == server.pid
        assert reader.end() == (0, "")
    with EmbeddedServer.attach(store_folder, driver=True):
        pass  # the folder is free again


def test_fresh_empties_the_store(store_folder: Path) -> None:
    """A fresh start has no key of earlier runs, not even an orphan's, and leaves others' files alone."""
    holder = Holder(store_folder).go()
    orphan = holder.server_pid()
    with connect(f"unix://{store_folder}/valkey.sock") as client:
        client.set("old", "1")
    holder.kill()
    (store_folder / "notes.txt").write_text("mine")
    with EmbeddedServer.attach(store_folder, fresh=True) as server, connect(server.url) as client:
        assert client.dbsize() == 0
        assert goes(orphan)
    assert (store_folder / "notes.txt").read_text() == "mine"


def test_fresh_is_refused_while_others_are_attached(store_folder: Path) -> None:
    """Nobody's candles are deleted while somebody uses them."""
    with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
        client.set("used", "1")
        with pytest.raises(StoreError, match="can't be emptied: others are attached"):
            EmbeddedServer.attach(store_folder, fresh=True, driver=True)
        assert client.get("used") == b"1"


def test_a_long_folder_gets_a_short_socket(tmp_path: Path) -> None:
    """A folder too deep for a socket's path works for all processes alike and leaves nothing behind."""
    folder = tmp_path / ("deep " * 20).strip() / "store"
    holder = Holder(folder).go()
    pid = holder.server_pid()
    with EmbeddedServer.attach(folder) as server, connect(server.url) as client:
        assert server.pid == pid
        assert client.ping()
        place = valkey.ServerFiles(folder.resolve()).socket
        assert len(str(place)) < 100
        assert place.parent.stat().st_mode & 0o777 == 0o700
        holder.end()
    assert not place.parent.exists()
    assert goes(pid)


def test_odd_characters_in_the_folder_are_fine(tmp_path: Path) -> None:
    """Spaces, quotes, URL marks and non-ASCII letters in the folder's name reach the right socket."""
    with EmbeddedServer.attach(tmp_path / "ü %20?#'\"") as server, connect(server.url) as client:
        assert check_server(client).aof


def test_a_forked_child_does_not_leave_for_its_parent(store_folder: Path) -> None:
    """A child forked after attaching can't stop the server its parent still holds."""
    holder = Holder(store_folder, "fork", "close").go()
    pid = holder.server_pid()
    assert holder.end() == (0, "")
    assert goes(pid)


def test_nobody_attaches_while_another_starts_or_stops(store_folder: Path) -> None:
    """Start and stop exclude each other: who has to wait too long is told why instead of racing."""
    EmbeddedServer.attach(store_folder).close()
    with FileLock(store_folder / "start.lock") as other:
        assert other.try_exclusive()
        with pytest.raises(StoreError, match="starting or stopping for too long"):
            EmbeddedServer.attach(store_folder, timeout_s=0.05)


def test_the_driver_sets_appendfsync_on_a_running_server(store_folder: Path) -> None:
    """A reader that came first doesn't weaken the durability the driver asks for."""
    with (
        EmbeddedServer.attach(store_folder) as reader,
        connect(reader.url) as client,
        EmbeddedServer.attach(store_folder, driver=True, appendfsync="always"),
    ):
        assert client.config_get("appendfsync") == {"appendfsync": "always"}


def test_a_store_is_made_only_by_who_may(store_folder: Path) -> None:
    """Without `create` a folder without a store is refused and stays as it is; data alone are a store."""
    with pytest.raises(StoreError, match=f"there is no store in {store_folder}"):
        EmbeddedServer.attach(store_folder, create=False)
    assert not store_folder.exists()
    with EmbeddedServer.attach(store_folder) as server, connect(server.url) as client:
        client.set("kept", "1")
    for lock in store_folder.glob("*.lock"):
        lock.unlink()
    with EmbeddedServer.attach(store_folder, create=False) as server, connect(server.url) as client:
        assert client.get("kept") == b"1"


def test_the_default_folder_is_the_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a setting the store is in the user's state folder, apart from any checkout."""
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        assert default_data_dir() == tmp_path / "ray-ingest" / "store"
    assert "ray-ingest" in default_data_dir().parts
