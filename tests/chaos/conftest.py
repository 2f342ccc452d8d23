"""What the chaos tests share."""

from collections.abc import Iterator

import pytest

from ray_ingest.config import compose
from ray_ingest.pipeline import running_ray


@pytest.fixture(scope="package")
def ray() -> Iterator[str]:
    """A Ray as the main job starts it, for all of these tests."""
    with running_ray(compose(["ray.dashboard=false"])) as namespace:
        yield namespace
