"""`ray up`, a job and `ray down` on a machine within the machine; run by test_ray_up.py as

    unshare --pid --net --mount --fork --mount-proc --kill-child python -m …in_namespaces CONFIG JOB…

The three namespaces give it processes, a loopback and a file tree of its own: `ray stop` reaches no other
Ray, sshd has port 22, and nothing written outside the checkout outlives it. CONFIG is a cluster.yaml; JOB is
what follows `python`, where {store} stands for the URL of a Valkey started here and {report} for the file to
write. Standard output is one JSON document, an `Outcome`; everything else goes to standard error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.servers import running_server

CHECKOUT = Path(__file__).resolve().parents[3]
PRIVATE = Path("/run/ray-ingest")  # beneath a tmpfs of this namespace
HOME = PRIVATE / "home"
SSH_KEY = HOME / "key"
CONNECTIONS = {"ssh", "sshd"}  # the shared ssh connection stays for ten seconds after its last use

SSHD_CONFIG = f"""
ListenAddress 0.0.0.0
HostKey {PRIVATE}/host_key
AuthorizedKeysFile {SSH_KEY}.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of the three commands; `processes_*` are the command lines new since before `ray up`."""

    up: int
    processes_up: list[str]
    job: int
    report: Any
    down: int
    processes_left: list[str]


def run(*command: str | Path, **options: Any) -> int:
    """Exit code of a command whose output goes to standard error."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, **options
    ).returncode


def must(*command: str | Path, **options: Any) -> None:
    """`run` for a command that the rest depends on."""
    if run(*command, **options):
        raise SystemExit(f"failed: {' '.join(map(str, command))}")


def make_private() -> None:
    """Loopback up; /run and /tmp empty, but for what Python and the checkout need; root's home in `HOME`."""
    must("ip", "link", "set", "lo", "up")
    must("mount", "-t", "tmpfs", "tmpfs", "/run")
    needed = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}
    kept = [path for path in needed if path.is_relative_to("/tmp") and not needed & set(path.parents)]
    for number, path in enumerate(kept):
        aside = Path(f"/run/kept/{number}")
        aside.mkdir(parents=True)
        must("mount", "--rbind", path, aside)
    must("mount", "-t", "tmpfs", "tmpfs", "/tmp")
    for number, path in enumerate(kept):
        path.mkdir(parents=True)
        must("mount", "--rbind", f"/run/kept/{number}", path)
    HOME.mkdir(parents=True)
    Path("/run/sshd").mkdir()
    # sshd, ssh and login shells ask the account database for the home, not the environment.
    others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    root = f"root:x:0:0:root:{HOME}:/bin/bash"
    for name, text in {
        "passwd": "\n".join([root, *others, ""]),
        "shadow": "root:*:19000:0:99999:7:::\n",
    }.items():
        (PRIVATE / name).write_text(text)
        must("mount", "--bind", PRIVATE / name, f"/etc/{name}")
    assert pwd.getpwuid(0).pw_dir == str(HOME)


@contextlib.contextmanager
def sshd() -> Iterator[None]:
    """An ssh server on port 22 that lets `SSH_KEY` in as root, into the environment of this Python."""
    for key in (PRIVATE / "host_key", SSH_KEY):
        must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    (HOME / ".bashrc").write_text(f"export RAY_INGEST_VENV={sys.prefix}\n")
    (PRIVATE / "sshd_config").write_text(SSHD_CONFIG)
    # Debian's sshd insists on being called by its absolute path.
    server = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", PRIVATE / "sshd_config"], stdout=sys.stderr
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait(10)


def command_lines(processes: list[psutil.Process]) -> list[str]:
    """What the processes were started as; those that have ended meanwhile are left out."""
    lines = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            lines.append(" ".join(process.cmdline())[:200])
    return lines


def scenario(config: Path, job: list[str]) -> Outcome:
    """The three commands, one after the other, and which processes each left."""
    cluster = yaml.safe_load(config.read_text())
    cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(SSH_KEY)}
    mine = PRIVATE / "cluster.yaml"
    mine.write_text(yaml.safe_dump(cluster))
    environment = {
        "HOME": str(HOME),
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    report = PRIVATE / "report.json"

    with sshd(), running_server(PRIVATE / "store") as store:
        before = set(psutil.process_iter())

        def started() -> list[psutil.Process]:
            return [
                p
                for p in psutil.process_iter(["name"])
                if p not in before and p.info["name"] not in CONNECTIONS
            ]

        def ray(command: str) -> int:
            return run("ray", command, "-y", mine, cwd=CHECKOUT, env=environment, timeout=120)

        up = ray("up")
        processes_up = command_lines(started())
        arguments = [part.format(store=f"unix://{store.socket}", report=report) for part in job]
        ran = run(sys.executable, *arguments, cwd=CHECKOUT, env=environment)
        down = ray("down")
        _, left = psutil.wait_procs(started(), timeout=15)
        return Outcome(
            up=up,
            processes_up=processes_up,
            job=ran,
            report=json.loads(report.read_text()) if report.exists() else None,
            down=down,
            processes_left=command_lines(left),
        )


def main() -> int:
    """Be this namespace's init: run the scenario in a child and reap what others leave until it ends.

    Without a reaper, Ray's daemons would stay as zombies, for which `ray stop` waits.
    """
    scenario_pid = os.fork()
    if scenario_pid == 0:
        make_private()
        outcome = scenario(Path(sys.argv[1]), sys.argv[2:])
        print(json.dumps(dataclasses.asdict(outcome)))
        return 0
    while True:
        pid, status = os.wait()
        if pid == scenario_pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
