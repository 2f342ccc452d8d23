"""A recorded session and a server, shared by the tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.journal.recording import market, record, simulated
from tests.servers import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A private server; every test has a prefix of its own."""
    with running_server(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the journal of a simulated session, in many segments."""
    folder = tmp_path_factory.mktemp("journal")
    record(simulated(market()), market(), folder, segment_bytes=100_000)
    return folder
