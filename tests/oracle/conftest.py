"""What the tests of the Lua scripts share: the servers they run on."""

from collections.abc import Iterator

import pytest

from tests.servers import Server, running_server


@pytest.fixture(scope="module", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shipped Valkey, and the system's Redis."""
    with running_server(tmp_path_factory.mktemp("store"), kind=request.param) as server:
        yield server
