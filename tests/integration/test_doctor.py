"""`python -m ray_ingest.doctor` on a healthy system, and on one in which each thing in turn is broken."""

import base64
import json
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ray_ingest.clock import today
from ray_ingest.config import compose
from ray_ingest.doctor import feeds, machine, ray_check, store
from ray_ingest.doctor.__main__ import main
from ray_ingest.doctor.finding import Finding, Verdict
from ray_ingest.doctor.ray_check import ray_starts
from ray_ingest.instruments.stored import default_instruments_dir
from tests.integration.run.processes import MARK, still_alive
from tests.servers import free_port, running_server
from tests.unit.instruments import market

OK, WARNING, WRONG = Verdict.OK, Verdict.WARNING, Verdict.WRONG
SECRET = "sw0rdfish-of-the-doctor"  # noqa: S105
LIVE = ("feed=upstox", "instruments=[NSE_INDEX|Nifty 50]")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state folder is the test's, and no token is in the environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    default_instruments_dir().mkdir(parents=True)
    for name in ("UPSTOX_ACCESS_TOKEN", "RAY_INGEST_REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def token(ends_in_s: float) -> str:
    """A JWT as brokers give them."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time() + ends_in_s)}).encode())
    return f"eyJhbGciOiJub25lIn0.{claims.rstrip(b'=').decode()}.{SECRET}"


def by_name(findings: Any) -> dict[str, Finding]:
    """By check; none is there twice unless something of it is wrong."""
    found: dict[str, Finding] = {}
    for finding in findings:
        assert "\n" not in finding.found + finding.mend
        if finding.check not in found or found[finding.check].verdict is OK:
            found[finding.check] = finding
    return found


def test_a_healthy_system(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """Everything is well with a live feed's settings: a server with AOF, a token that lasts, today's list,
    and Ray that starts and ends; nothing is left behind."""
    monkeypatch.setattr(machine.clock, "__defaults__", (lambda: (True, 0.01),))
    monkeypatch.setattr(feeds, "AHEAD_DAYS", -9_999)
    market.stored(default_instruments_dir(), {"upstox": market.upstox()}, today())
    path = tmp_path / "token"
    path.write_text(token(36_000))
    path.chmod(0o600)
    with running_server(tmp_path / "s", "--appendonly", "yes") as server:
        settings = [*LIVE, "redis=url", f"redis.url={server.url}", f"brokers.upstox.token_file={path}"]
        code = main([*settings, "metrics.port=0", "--json"])
        with server.client() as client:
            assert client.dbsize() == 0
    found = [Finding(**one) for one in json.loads(capsys.readouterr().out)]
    assert {f.check: (f.verdict, f.found) for f in found if f.verdict != "ok" and "disk" not in f.check} == {}
    assert code == 0
    names = {finding.check for finding in found}
    assert {
        "Python", "packages", "packages [upstox]", "open files", "shared memory", "clock", "metrics port",
        "dashboard port", "Ray", "store", "store persistence", "store memory", "store clock", "store writes",
        "calendar", "token upstox", "instruments upstox",
    } <= names  # fmt: skip


def test_a_sick_system_is_told_in_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, every wrong thing with the command that mends it on a line of its own, no secret."""
    monkeypatch.setenv("RAY_INGEST_REDIS_PASSWORD", SECRET)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = ["redis=url", f"redis.url=redis://127.0.0.1:{free_port()}/0"]
        code = main([*LIVE, *settings, f"metrics.port={taken.getsockname()[1]}"])
    text = capsys.readouterr().out
    assert code == 1
    assert "to mend:" in text
    assert "\n  store: start its server or correct redis.url" in text
    assert "\n  token upstox: " in text
    assert "\n  metrics port: metrics.port=0" in text
    assert SECRET not in text
    assert "Traceback" not in text


def test_settings_that_can_not_be_used_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """As by the main job: one line that names the key, exit code 2."""
    assert main(["redis.pool=3"]) == 2
    assert "redis.pool: unknown setting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "check", "verdict", "mend"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "store", WRONG, "CONFIG SET maxmemory-policy noeviction"),
        ((), "store persistence", WARNING, "CONFIG SET appendonly yes"),
        (("--maxmemory", "1200000"), "store memory", WARNING, "CONFIG SET maxmemory 2400000"),
        (("--requirepass", SECRET), "store", WRONG, ""),
        (("--min-replicas-to-write", "1"), "store writes", WRONG, "ACL WHOAMI"),
        (("--user", "default", "on", "nopass", "~*", "+@all", "-eval"), "store writes", WRONG, "ACL WHOAMI"),
    ],
)
def test_a_sick_server(
    tmp_path: Path, arguments: tuple[str, ...], check: str, verdict: Verdict, mend: str
) -> None:
    """Eviction, no AOF, no room, a password, no writing, no scripts: each is found by asking the server."""
    with running_server(tmp_path / "s", *arguments) as server:
        found = by_name(store.store(compose(["redis=url", f"redis.url={server.url}"])))
    assert found[check].verdict is verdict
    assert mend in found[check].mend
    assert SECRET not in "".join(f.found + f.mend for f in found.values())


def test_the_embedded_store_is_tried(tmp_path: Path) -> None:
    """It is started and left as it was; one whose folder can't be used is wrong."""
    found = by_name(store.store(compose([f"redis.data_dir={tmp_path / 'store'}"])))
    assert {finding.verdict for finding in found.values()} == {OK}
    (tmp_path / "file").touch()
    found = by_name(store.store(compose([f"redis.data_dir={tmp_path / 'file' / 'store'}"])))
    assert found["store"].verdict is WRONG


def _missing(path: Path) -> None:
    """Nothing is there."""


def _expired(path: Path) -> None:
    path.write_text(token(-60))
    path.chmod(0o600)


def _soon(path: Path) -> None:
    path.write_text(token(60))
    path.chmod(0o600)


def _open(path: Path) -> None:
    path.write_text(token(36_000))
    path.chmod(0o644)


def _plain(path: Path) -> None:
    path.write_text("no-jwt-but-a-token")
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("write", "verdict", "found_text", "mend"),
    [
        (_missing, WRONG, "can't be read", "upstox"),
        (_expired, WRONG, "it ended at", "upstox"),
        (_soon, WARNING, "it ends at", "upstox"),
        (_open, WARNING, "others can read", "chmod 600 "),
        (_plain, OK, "doesn't say when it ends", ""),
    ],
)
def test_a_sick_token(
    tmp_path: Path, write: Callable[[Path], None], verdict: Verdict, found_text: str, mend: str
) -> None:
    """Missing, over, soon over, readable by others; one that isn't a JWT is well. None of it is shown."""
    path = tmp_path / "token"
    write(path)
    found = by_name(feeds.tokens(compose([*LIVE, f"brokers.upstox.token_file={path}"])))["token upstox"]
    assert found.verdict is verdict
    assert found_text in found.found
    assert mend in found.mend.lower()
    assert SECRET not in found.found + found.mend


def test_of_several_brokers_one_may_lack_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on without it: a warning; the only broker's is wrong."""
    monkeypatch.setenv("UPSTOX_ACCESS_TOKEN", token(36_000))
    both = compose(["feed=brokers", "feed.order=[upstox,dhan]", "instruments=[NSE_INDEX|Nifty 50]"])
    found = by_name(feeds.tokens(both))
    assert (found["token upstox"].verdict, found["token dhan"].verdict) == (OK, WARNING)
    alone = compose(["feed=dhan", "instruments=[NSE_FO|1]"])
    assert by_name(feeds.tokens(alone))["token dhan"].verdict is WRONG


def test_lists_of_instruments() -> None:
    """None at all, one of a past session, one of today; a name nobody knows is wrong."""
    config, folder = compose([*LIVE]), default_instruments_dir()
    assert by_name(feeds.instruments(config))["instruments upstox"].verdict is WARNING
    market.stored(folder, {"upstox": market.upstox()}, today() - timedelta(days=8))
    old = by_name(feeds.instruments(config))["instruments upstox"]
    assert (old.verdict, old.mend) == (WARNING, "python -m ray_ingest.instruments fetch --broker upstox")
    market.stored(folder, {"upstox": market.upstox()}, today())
    assert by_name(feeds.instruments(config))["instruments upstox"].verdict is OK
    unknown = compose(["feed=upstox", "instruments=[NSE_EQ|99999999]"])
    assert by_name(feeds.instruments(unknown))["instruments"].verdict is WRONG
    assert by_name(feeds.instruments(compose([]))) == {}


def test_a_cluster_that_is_not_there() -> None:
    """Told by the address, with the command that starts one."""
    config = compose(["ray=cluster", f"ray.address=127.0.0.1:{free_port()}"])
    found = by_name(ray_starts(config))["Ray"]
    assert (found.verdict, found.mend) == (WRONG, "ray up cluster.yaml")
    assert "nothing listens at ray.address=127.0.0.1:" in found.found


def test_a_ray_that_takes_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said to take too long, and whatever it had started is gone."""
    mark = f"doctor-{time.time_ns()}"
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setattr(ray_check, "LONGEST_S", 3.0)
    found = by_name(ray_check.ray_starts(compose([])))["Ray"]
    assert found.verdict is WRONG
    assert "doesn't start within 3 s" in found.found
    assert still_alive(mark) == []
