"""One Ray and one server for all tests on the evaluation data: starting them costs more than any replay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_ingest.config import compose
from ray_ingest.pipeline import running_ray
from tests.integration.data.harness import System
from tests.servers import Server, running_server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A private server."""
    with running_server(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="package")
def system(server: Server, shared_data: Path) -> Iterator[System]:
    """A local Ray, as the main job starts it, and the server; not started where there is no data."""
    with running_ray(compose(["ray.dashboard=false"])):
        yield System(server.url)
