"""Which servers are refused, by asking real ones, and in which words."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from ray_ingest.errors import StoreError, StoreUnreachableError
from ray_ingest.store.redis import check_server, connect, judge, with_password
from tests.servers import free_port, running_server, start_server

SECRET = "sw0rdfish"  # noqa: S105 - of a server that lives for one test


def refusal(url: str, kind: type[StoreError] = StoreError, **options: float) -> str:
    """The one line `check_server` refuses a server with."""
    with connect(url, timeout_s=options.pop("timeout_s", 2.0)) as client, pytest.raises(kind) as caught:
        check_server(client, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    assert caught.value.__context__ is None or caught.value.__suppress_context__, "two tracebacks"
    return text


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_fit_server_is_described(tmp_path: Path, kind: Any) -> None:
    """A fit server of either make is accepted, and what it says of itself is read right."""
    with (
        running_server(tmp_path, "--appendonly", "yes", kind=kind) as running,
        connect(running.url) as client,
    ):
        found = check_server(client)
        version = client.info("server")[f"{kind}_version"]
    assert (found.name, found.version, found.aof) == (kind, version, True)
    assert (found.maxmemory_policy, found.role, len(found.run_id)) == ("noeviction", "master", 40)


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    """A server that isn't there is named by its address, with what to do."""
    port = free_port()
    text = refusal(f"redis://:{SECRET}@127.0.0.1:{port}/3", StoreUnreachableError)
    assert f"redis://127.0.0.1:{port}/3 can't be reached" in text
    assert "refused" in text


def test_a_missing_socket_is_unreachable(tmp_path: Path) -> None:
    """A socket path that doesn't exist is named."""
    assert f"unix://{tmp_path}/none can't be reached" in refusal(
        f"unix://{tmp_path}/none", StoreUnreachableError
    )


def test_an_unknown_host_is_unreachable() -> None:
    """A name that can't be resolved gives the same one line as a refused connection."""
    assert "redis://no-such-host.invalid:6379/0 can't be reached" in refusal(
        "redis://no-such-host.invalid", StoreUnreachableError
    )


def test_a_frozen_server_times_out(tmp_path: Path) -> None:
    """A server that accepts and never answers is unreachable after the timeout, not waited for for ever."""
    with running_server(tmp_path) as running:
        running.process.send_signal(signal.SIGSTOP)
        assert "Timeout" in refusal(running.url, StoreUnreachableError, timeout_s=0.2)


def test_wrong_and_missing_passwords_are_refused(tmp_path: Path) -> None:
    """A wrong or missing password is said to be that, and never repeated in the message."""
    port = str(free_port())
    with running_server(tmp_path, "--requirepass", "other", "--port", port, "--bind", "127.0.0.1"):
        for user in (f":{SECRET}@", f"trader:{SECRET}@", ""):
            text = refusal(f"redis://{user}127.0.0.1:{port}/0", StoreUnreachableError)
            assert "refuses the user or password" in text
        with connect(f"redis://:other@127.0.0.1:{port}/0") as client:
            assert check_server(client).name == "valkey"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction_is_refused(tmp_path: Path, policy: str) -> None:
    """A server that may evict candles is refused even while no memory limit is set."""
    with running_server(tmp_path, "--maxmemory-policy", policy) as running:
        text = refusal(running.url)
    assert policy in text
    assert "set maxmemory-policy to noeviction" in text


def test_a_replica_is_refused(tmp_path: Path) -> None:
    """A replica takes no writes: it is refused at the start, not at the first flush."""
    port = str(free_port())
    with (
        running_server(tmp_path / "a", "--port", port, "--bind", "127.0.0.1"),
        running_server(tmp_path / "b", "--replicaof", f"127.0.0.1 {port}") as replica,
    ):
        assert "read-only replica" in refusal(replica.url)


def test_cluster_mode_is_refused(tmp_path: Path) -> None:
    """Cluster mode is not supported yet and says so before the first cross-slot error."""
    port = str(free_port())
    with running_server(
        tmp_path,
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        str(free_port()),
        "--port",
        port,
        "--bind",
        "127.0.0.1",
    ) as running:
        assert "cluster mode" in refusal(running.url)


def test_a_server_that_forbids_config_is_accepted(tmp_path: Path) -> None:
    """Managed servers forbid CONFIG: the eviction policy is read without it."""
    with running_server(tmp_path) as running, connect(running.url) as client:
        client.execute_command("ACL", "SETUSER", "default", "-config")
        assert check_server(client).maxmemory_policy == "noeviction"
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.config_get("maxmemory-policy")


def test_a_user_without_permission_is_told_so(tmp_path: Path) -> None:
    """A user who may not even ask INFO learns that a permission is missing, and which."""
    with running_server(tmp_path) as running:
        with running.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-info")
        text = refusal(running.url)
    assert "lacks a permission" in text
    assert "info" in text


def test_a_loading_server_is_waited_for(tmp_path: Path) -> None:
    """A server reading its data is waited for up to the timeout, and refused in words after it."""
    with running_server(tmp_path) as running, running.client() as client:
        client.mset({f"k{number}": b"x" * 100 for number in range(3_000)})
        client.save()
    slowly = ("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
    with ThreadPoolExecutor(1) as pool, connect(running.url) as client:
        starting = pool.submit(start_server, tmp_path, *slowly)
        try:
            while not _is_loading(client):
                assert not starting.done(), "it loaded before it was asked"
            with pytest.raises(StoreUnreachableError, match=r"still loading its data after 0 s"):
                check_server(client, timeout_s=0)
            assert check_server(client, timeout_s=60).name == "valkey"
            assert client.dbsize() == 3_000
        finally:
            starting.result().stop()


def _is_loading(client: redis.Redis) -> bool:
    try:
        return not client.ping()
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.ConnectionError:
        return False


INFO = {
    "redis_version": "7.0.15",
    "redis_mode": "standalone",
    "run_id": "f" * 40,
    "aof_enabled": 1,
    "maxmemory_policy": "noeviction",
    "role": "master",
    "cluster_enabled": 0,
}


@pytest.mark.parametrize("version", ["7.0.0", "7.0.15", "8.2.3", "10.0.1"])
def test_redis_from_7_0_on_is_new_enough(version: str) -> None:
    """Versions are compared as numbers: 10.0 is newer than 7.0."""
    assert judge({**INFO, "redis_version": version}, "x").version == version


@pytest.mark.parametrize("version", ["2.8.19", "5.0.14", "6.2.14", "unknown"])
def test_an_older_redis_is_refused(version: str) -> None:
    """A server too old for the scripts is refused with the version found and the versions needed."""
    with pytest.raises(StoreError, match=rf"Redis {version}, too old: Redis 7.0 or Valkey 7.2"):
        judge({**INFO, "redis_version": version}, "x")


def test_valkey_is_judged_by_its_own_version() -> None:
    """Valkey answers an old redis_version for compatibility; its own number decides."""
    valkey = {**INFO, "redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}
    found = judge(valkey, "x")
    assert (found.name, found.version) == ("valkey", "9.1.2")


def test_a_sentinel_is_refused() -> None:
    """A sentinel holds no data; its refusal says to give the primary."""
    with pytest.raises(StoreError, match="sentinel"):
        judge({**INFO, "redis_mode": "sentinel"}, "x")


def test_an_unknown_eviction_policy_is_refused() -> None:
    """A server that doesn't say whether it evicts is treated as one that does."""
    without = {key: value for key, value in INFO.items() if key != "maxmemory_policy"}
    with pytest.raises(StoreError, match="unknown"):
        judge(without, "x")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6379/0", "redis://:s%40fe@host:6379/0"),
        ("redis://me@host/0", "redis://me:s%40fe@host/0"),
        ("redis://:own@host/0", "redis://:own@host/0"),
        ("unix:///run/s?db=1", "unix:///run/s?db=1&password=s%40fe"),
        ("unix:///run/s?password=own", "unix:///run/s?password=own"),
    ],
)
def test_password_comes_from_the_environment(url: str, expected: str) -> None:
    """A URL without a password gets the environment's, quoted; one that has its own keeps it."""
    assert with_password(url, {"RAY_INGEST_REDIS_PASSWORD": "s@fe"}) == expected
    assert with_password(url, {}) == url
