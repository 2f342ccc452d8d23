"""The checks of machine, disk and calendar, each shown what is well and what isn't."""

import platform
import resource
import socket
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest

from ray_ingest.config import compose
from ray_ingest.doctor import disk, feeds, machine
from ray_ingest.doctor.finding import Finding, Verdict
from tests.servers import free_port

OK, WARNING, WRONG = Verdict.OK, Verdict.WARNING, Verdict.WRONG
CONFIG = compose([])


def only(findings: object) -> Finding:
    """The one finding there is."""
    (found,) = findings  # type: ignore[misc]
    assert isinstance(found, Finding)
    assert (found.verdict is OK) == (not found.mend), "what isn't well comes with what mends it"
    return found


def test_this_python_is_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version the package wasn't made for is wrong, and named with those it was."""
    assert only(machine.python(CONFIG)).verdict is OK
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.1")
    found = only(machine.python(CONFIG))
    assert (found.verdict, found.found) == (WRONG, "3.10.1, not <3.14,>=3.11")


def test_packages_of_the_configured_feed_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK of each broker is a line of its own; missing and old ones are named with the command."""
    config = compose(["feed=brokers", "instruments=[NSE_INDEX|Nifty 50]"])
    real = metadata.version

    def version(name: str) -> str:
        if name == "fyers-apiv3":
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name == "dhanhq" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = {finding.check: finding for finding in machine.packages(config)}
    assert [finding.verdict for finding in found.values()] == [OK, OK, WRONG, WRONG]
    assert found["packages [fyers]"].found == "fyers-apiv3 is missing"
    assert found["packages [dhan]"].found.startswith("dhanhq 1.0 is not >=")
    assert "pip install 'ray-ingest[fyers]'" in found["packages [fyers]"].mend
    assert [finding.check for finding in machine.packages(CONFIG)] == ["packages"]


def test_a_low_limit_of_open_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the highest that may be asked for."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_024, 8_192))
    found = only(machine.open_files(CONFIG))
    assert (found.verdict, found.mend) == (WARNING, "ulimit -n 8192")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (65_536, 65_536))
    assert only(machine.open_files(CONFIG)).verdict is OK


def test_little_shared_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's 64 MB; a system without the folder is well."""
    assert only(machine.shared_memory(CONFIG, tmp_path / "none")).verdict is OK
    assert only(machine.shared_memory(CONFIG, tmp_path)).verdict is OK
    monkeypatch.setattr(machine, "LEAST_SHARED_MEMORY", 1 << 60)
    assert only(machine.shared_memory(CONFIG, tmp_path)).verdict is WARNING


@pytest.mark.parametrize(
    ("state", "verdict"),
    [((True, 0.004), OK), ((True, 3.0), WARNING), ((False, 16.0), WARNING), (None, WARNING)],
)
def test_a_clock_that_nobody_keeps_right_is_told(state: tuple[bool, float] | None, verdict: Verdict) -> None:
    """Unsynchronised, far off, or not told at all."""
    assert only(machine.clock(CONFIG, lambda: state)).verdict is verdict


def test_the_kernels_clock_can_be_read() -> None:
    """The figures are read from where they are: an error of less than the 16 s the kernel counts to."""
    state = machine.kernel_clock()
    if state is None:
        pytest.skip("this system doesn't say")
    assert 0 <= state[1] <= 16.1


def test_a_taken_port_is_wrong_with_who_to_ask() -> None:
    """A free one is well, so is none at all."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = next(iter(machine.ports(compose([f"metrics.port={port}"]))))
        assert (found.verdict, found.found) == (WRONG, f"{port} is taken by another program")
        assert f":{port}" in found.mend
        dashboard = list(machine.ports(compose(["metrics.port=null", f"ray.dashboard_port={port}"])))[1]
        assert dashboard.verdict is OK
        assert f"{port} is taken, it will be " in dashboard.found
    for given in (free_port(), 0, "null"):
        assert next(iter(machine.ports(compose([f"metrics.port={given}"])))).verdict is OK


def test_a_disk_with_little_room_is_told(tmp_path: Path) -> None:
    """By how much is left: less than the least is wrong, little is a warning; one finding a file system."""
    config = compose([f"redis.data_dir={tmp_path / 'not' / 'there'}", f"log.file={tmp_path / 'log'}"])

    def verdict(least_bytes: int, little_bytes: int) -> Verdict:
        found = next(f for f in disk.disks(config, least_bytes, little_bytes) if "store" in f.check)
        assert "logs" in found.check
        assert str(tmp_path) in found.found
        return found.verdict

    assert [verdict(1, 1), verdict(1, 1 << 60), verdict(1 << 60, 1 << 60)] == [OK, WARNING, WRONG]
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_a_slow_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes long to have four kilobytes on it."""
    monkeypatch.setattr(disk, "fsync_ms", lambda folder: 80.0)
    config = compose([f"redis.data_dir={tmp_path}"])
    found = next(iter(disk.disks(config, 1, 1)))
    assert found.verdict is WARNING
    assert "fsync 80.0 ms" in found.found


def test_a_disk_that_can_not_be_written_is_wrong() -> None:
    """Such as one that is mounted read-only; /proc takes no file from anybody."""
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    found = next(f for f in disk.disks(compose(["redis.data_dir=/proc/none"])) if "store" in f.check)
    assert found.verdict is WRONG
    assert "can't be written" in found.found


@pytest.mark.parametrize(
    ("on", "verdict", "text"),
    [
        (date(2026, 9, 15), OK, "Tue 15 Sep: pre_open 09:00–09:15, regular 09:15–15:"),
        (date(2026, 9, 19), OK, "Sat 19 Sep: no session of NSE_EQ, the next is on Mon 21 Sep"),
        (date(2026, 12, 15), WARNING, "holidays known until 31 Dec 2026"),
        (date(2027, 3, 2), WARNING, "holidays known until 31 Dec 2026"),
        (date(2019, 3, 2), WRONG, "holidays known until 31 Dec 2026"),
    ],
)
def test_the_calendar_knows_the_day(on: date, verdict: Verdict, text: str) -> None:
    """Today's phases, the next session, and whether the coming month's holidays are known."""
    found = only(feeds.calendar(CONFIG, on))
    assert found.verdict is verdict
    assert text in found.found


def test_a_24_by_7_calendar_is_always_open() -> None:
    """One phase, all day."""
    found = only(feeds.calendar(compose(["calendar=continuous"]), date(2026, 9, 19)))
    assert found.found.startswith("Sat 19 Sep: regular 00:00–24:00; ")
