"""A simulation's prices never get into candles that somebody trades by, nor real ones into a simulation's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_ingest.config import compose
from ray_ingest.errors import ConfigError
from ray_ingest.preflight import check_store
from ray_ingest.store.keys import Keys
from tests.servers import running_server

REPLAY = ("feed=replay", "feed.path=ticks.parquet")


@pytest.mark.parametrize(
    ("held", "feed", "refusal"),
    [
        ((), (), ""),
        (("sim-1",), (), ""),
        (("replay-1", "upstox-2"), REPLAY, ""),
        (("upstox-1",), (), "ticks of upstox: keep a simulation out, choose another redis.prefix"),
        (("replay-1", "sim-2"), (), "ticks of replay: keep a simulation out"),
        (("sim-1",), REPLAY, "a simulation's ticks: choose another redis.prefix"),
        (("sim-1", "upstox-2"), REPLAY, "a simulation's ticks: choose another redis.prefix"),
    ],
)
def test_simulated_and_real_ticks_do_not_mix(
    tmp_path: Path, held: tuple[str, ...], feed: tuple[str, ...], refusal: str
) -> None:
    """A store that holds the one refuses the other in one line, and what it holds stays."""
    with running_server(tmp_path) as server, server.client() as client:
        config = compose([*feed, "redis=url", f"redis.url={server.url}", "ingest.partitions=2"])
        for number, producer in enumerate(held):
            client.hset(Keys("").meta(number % 2), f"offset:{producer}", 7)
        if refusal:
            with pytest.raises(ConfigError, match=refusal):
                check_store(config, server.url)
        else:
            check_store(config, server.url)
        assert {name for n in (0, 1) for name in client.hkeys(Keys("").meta(n))} == {
            f"offset:{producer}".encode() for producer in held
        }


def test_a_simulations_own_store_may_be_emptied(tmp_path: Path) -> None:
    """The embedded store's way out is named where it costs nothing real."""
    config = compose([*REPLAY, f"redis.data_dir={tmp_path}"])
    with running_server(tmp_path) as server, server.client() as client:
        client.hset(Keys("").meta(0), "offset:sim-1", 7)
        with pytest.raises(ConfigError, match=r"redis\.fresh=true empties it, or choose another"):
            check_store(config, server.url)
        client.hset(Keys("").meta(0), "offset:upstox-1", 7)
        with pytest.raises(ConfigError, match=r"ticks: choose another redis\.data_dir"):
            check_store(config, server.url)
