"""One Ray for all runs that are driven in this process, and a server for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_ingest.config import compose
from ray_ingest.pipeline import running_ray
from tests.servers import Server, running_server


@pytest.fixture(scope="package")
def local_ray() -> Iterator[str]:
    """A Ray as the main job starts it."""
    with running_ray(compose(["ray.dashboard=false"])) as namespace:
        yield namespace


@pytest.fixture
def server(tmp_path: Path, local_ray: str) -> Iterator[Server]:
    """A private server that keeps nothing on disk, beside a running Ray."""
    with running_server(tmp_path / "server") as started:
        yield started
