"""cluster.yaml for real: `ray up` over ssh, a job, `ray down`, inside namespaces of its own."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import skip_or_fail
from tests.integration.cluster.in_namespaces import CHECKOUT

UNSHARE = ["unshare", "--pid", "--net", "--mount", "--fork", "--mount-proc", "--kill-child"]
TIMEOUT_S = 200  # 45 s of CPU; 117 s on two cores with a load of eight

# What follows `python`; {store} and {report} are filled in by in_namespaces.py.
JOB = [
    "-m",
    "ray_ingest.main",
    "feed=sim",
    "ray=cluster",
    "redis=url",
    "redis.url={store}",
    "report={report}",
]


@pytest.fixture(autouse=True)
def _able() -> None:
    """Skip where namespaces are not permitted or a program is missing."""
    if os.geteuid() != 0:
        skip_or_fail("namespaces with an sshd in them need root")
    for program in ("unshare", "mount", "ip", "/usr/sbin/sshd", "ssh", "ssh-keygen", "rsync"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} on the PATH")
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("unshare is not permitted here")


def test_cluster_comes_up_runs_a_job_and_goes_without_a_trace() -> None:
    """`ray up cluster.yaml` gives a cluster that runs the main job; `ray down` leaves no process of it."""
    helper = [sys.executable, "-m", "tests.integration.cluster.in_namespaces", str(CHECKOUT / "cluster.yaml")]
    done = subprocess.run(
        [*UNSHARE, *helper, *JOB],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads(done.stdout)
    assert (outcome["up"], outcome["job"], outcome["down"]) == (0, 0, 0), done.stderr[-8000:]
    assert outcome["report"]["candles_closed"] > 0
    assert outcome["report"]["ticks_applied"] > 0
    running = "\n".join(outcome["processes_up"])
    assert all(part in running for part in ("gcs_server", "raylet", "monitor.py", "dashboard.py")), running
    assert outcome["processes_left"] == [], done.stderr[-8000:]
