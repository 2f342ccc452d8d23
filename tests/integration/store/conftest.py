"""What the tests of the store share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_ingest.store import valkey
from ray_ingest.store.embedded import EmbeddedServer


@pytest.fixture
def store_folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose server, should a failed test leave one, is ended."""
    path = tmp_path / "store"
    yield path
    if path.is_dir() and valkey.is_alive(valkey.ServerFiles(path)):
        EmbeddedServer.attach(path).close()
        pytest.fail("the test left a server behind")
