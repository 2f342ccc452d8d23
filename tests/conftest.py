"""What every test may use."""

import logging
import os
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    """How the process logs and redacts, which a command line run inside of a test sets up, is undone."""
    root, ours = logging.getLogger(), logging.getLogger("ray_ingest")
    levels, how = (root.level, ours.level), (logging.Handler.format, logging.getLogRecordFactory())
    yield
    for handler in [handler for handler in root.handlers if type(handler).__module__ == "ray_ingest.logs"]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.Handler.format = how[0]  # type: ignore[method-assign]
    logging.setLogRecordFactory(how[1])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The evaluation data beside the checkout; tests that need it skip where it is absent."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("RAY_INGEST_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder.name}: it is never copied into the project")
    return folder
