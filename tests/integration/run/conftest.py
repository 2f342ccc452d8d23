"""What the tests of whole runs share."""

from collections.abc import Iterator

import pytest

from ray_ingest.config import compose
from ray_ingest.pipeline import running_ray


@pytest.fixture(scope="package")
def ray_with_dashboard() -> Iterator[str]:
    """A Ray as the main job starts it, dashboard included, for all tests that run in this process."""
    with running_ray(compose(["ray.dashboard_port=18265"])) as namespace:
        yield namespace
