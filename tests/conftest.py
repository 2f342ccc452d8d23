"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine only.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

REQUIRE_ALL = os.environ.get("RAY_INGEST_REQUIRE_ALL") == "1"


def skip_or_fail(reason: str) -> None:
    """Skip because something outside the project is absent; where everything is required, fail instead."""
    if REQUIRE_ALL:
        pytest.fail(f"required here, yet missing: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The evaluation data beside the checkout; tests that need it skip where it is absent."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("RAY_INGEST_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder.name}: it is never copied into the project")
    return folder
