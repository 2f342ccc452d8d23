"""A store with a few candles in it, and the read API on it."""

from collections.abc import Iterator

import numpy as np
import pytest
import redis

from ray_ingest.candles import Candles
from tests.candle_writer import FRIDAY, FUTURE, INDEX, SHARE, THURSDAY, Writer
from tests.servers import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of one file."""
    with running_server(tmp_path_factory.mktemp("candles")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client of the server, emptied."""
    with server.client() as plain:
        plain.flushall()
        yield plain


@pytest.fixture
def writer(client: redis.Redis) -> Writer:
    """A future with two days, an index with Friday alone, a share in Friday's first minute."""
    writer = Writer(client)
    writer.day(FUTURE, THURSDAY, [100.0, 101.0, 102.0], newest=False)
    writer.day(FUTURE, FRIDAY, [200.0, np.nan, 202.0, 203.0], running=True)
    writer.day(INDEX, FRIDAY, [23_400.05, 23_401.0])
    writer.day(SHARE, THURSDAY, [1_500.0, 1_501.0], newest=False)
    writer.day(SHARE, FRIDAY, [1_510.0], running=True)
    return writer


@pytest.fixture
def candles(server: Server, writer: Writer) -> Iterator[Candles]:
    """The read API on what `writer` wrote."""
    with Candles(server.url) as open_candles:
        yield open_candles
