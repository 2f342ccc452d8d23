"""Ray: it starts here, or the cluster answers. Tried in a process of its own, which can be ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata

import msgspec

from ray_ingest.config import AppConfig
from ray_ingest.doctor.finding import Finding, ok, wrong
from ray_ingest.errors import RayIngestError
from ray_ingest.schema import RayConfig

LONGEST_S = 90.0
END_S = 15.0
CONNECT_S = 3.0
UP = "ray up cluster.yaml"


def ray_starts(config: AppConfig) -> Iterator[Finding]:
    """Start it and end it again, or connect to the cluster."""
    version = metadata.version("ray")
    local = config.ray.kind == "local"
    if not local and not _listens(config.ray.address):
        yield wrong("Ray", f"nothing listens at ray.address={config.ray.address}", UP)
        return
    begun_s = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "ray_ingest.doctor.ray_check"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(msgspec.json.encode(config.ray), LONGEST_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it takes its Ray down in order
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
            yield wrong(
                "Ray", f"{version} doesn't start within {LONGEST_S:g} s", "see whether the machine is busy"
            )
            return
    said = out.decode(errors="replace").strip()
    took_s = time.monotonic() - begun_s
    if process.returncode == 0:
        done = (
            f"starts and ends here in {took_s:.0f} s"
            if local
            else f"the cluster at {config.ray.address} answers"
        )
        yield ok("Ray", f"{version}, {done}")
    else:
        mend = "python -m ray_ingest.main, and see /tmp/ray/session_latest/logs" if local else UP
        yield wrong("Ray", said or f"{version} ended with code {process.returncode}", mend)


def _listens(address: str) -> bool:
    """False when nobody can be there: Ray itself would try for a minute. "auto" is for Ray to find."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return True
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError:
        return False
    return True


def _main() -> int:
    """The other process: its settings come by stdin, an error goes to stdout."""
    from ray_ingest.actors.runtime import Runtime

    config = msgspec.json.decode(sys.stdin.buffer.read(), type=RayConfig)
    try:
        with Runtime(replace(config, dashboard=False)):
            return 0
    except RayIngestError as error:
        print(error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_main())
