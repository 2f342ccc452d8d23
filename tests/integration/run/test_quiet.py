"""What a run with the defaults shows: progress, candles, how to go on; and nothing that it should not."""

import re
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ray_ingest.main import main
from tests.integration.run.processes import QUICK, Run, in_terminal, running

MARKET = ("feed.minutes=10", "feed.ticks_per_second=60", "feed.speed=200")
NOISE = re.compile(
    r"raylet|gcs_server|ray::|ray start|\(pid=|dashboard at|usage stat|FutureWarning|DeprecationWarning|"
    r"UserWarning|hydra|omegaconf|outputs/|INFO |DEBUG |\.py:\d",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DefaultRun:
    """A run with the defaults, and what was seen of it while it went."""

    run: Run
    code: int
    metrics: str
    second_driver: tuple[int, Path]


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultRun]:
    """One for all tests here. The port of its dashboard is taken, and a second driver tries its folder."""
    folder = tmp_path_factory.mktemp("run")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(folder, *MARKET, "metrics.port=0", f"ray.dashboard_port={port}") as run:
            address = run.wait_for("metrics: http").split()[-1]
            run.wait_for("sim running")
            run.wait_for("sim ")  # five seconds later
            with urllib.request.urlopen(address, timeout=30) as answer:
                metrics = answer.read().decode()
            second = main([f"redis.data_dir={folder / 'store'}", *QUICK])
            yield DefaultRun(run, run.end(), metrics, (second, folder))


def test_the_first_driver_is_not_disturbed(default_run: DefaultRun) -> None:
    """A dashboard port in use and a second driver on its folder don't keep a run from ending right."""
    assert default_run.code == 0
    equal, expected = default_run.run.verdict()
    assert equal == expected > 0
    assert default_run.run.report["restarts"] == 0


