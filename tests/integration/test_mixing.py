"""A simulation's prices never get into candles that somebody trades by, nor real ones into a simulation's."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ray_ingest import Candles
from ray_ingest.config import compose
from ray_ingest.errors import ConfigError
from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.journal.reader import JournalReader
from ray_ingest.mixing import check_rebuilding, check_store, check_what_is_emptied
from ray_ingest.store.embedded import EmbeddedServer
from ray_ingest.store.keys import Keys
from ray_ingest.store.opened import open_store
from ray_ingest.store.redis import connect
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
        client.set(Keys("").partitions(), 2)
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
        client.set(Keys("").partitions(), 1)
        client.hset(Keys("").meta(0), "offset:sim-1", 7)
        with pytest.raises(ConfigError, match=r"redis\.fresh=true, given once, empties it"):
            check_store(config, server.url)
        client.hset(Keys("").meta(0), "offset:upstox-1", 7)
        with pytest.raises(ConfigError, match=r"ticks: choose another redis\.data_dir"):
            check_store(config, server.url)


@pytest.mark.parametrize("producer", ["upstox-1", "sim-1"])
def test_a_simulation_empties_no_store_of_real_ticks(tmp_path: Path, producer: str) -> None:
    """With redis.fresh=true the refusal comes before anything is gone; a simulation's own store may go."""
    config = compose([f"redis.data_dir={tmp_path}", "redis.fresh=true"])
    with open_store(config) as store, closing(connect(store.url)) as client:
        client.hset(Keys("").meta(0), f"offset:{producer}", 7)
    if producer == "sim-1":
        check_what_is_emptied(config)
    else:
        with pytest.raises(ConfigError, match="ticks of upstox: keep a simulation out"):
            check_what_is_emptied(config)
    with Candles(data_dir=tmp_path) as candles:
        assert candles.instruments() == []
    with EmbeddedServer.attach(tmp_path) as server, closing(connect(server.url)) as client:
        assert client.hexists(Keys("").meta(0), f"offset:{producer}")


def test_a_store_that_is_not_there_needs_no_emptying(tmp_path: Path) -> None:
    """The first run of a new user passes, and nothing is made before the run makes it."""
    check_what_is_emptied(compose([f"redis.data_dir={tmp_path / 'new'}", "redis.fresh=true"]))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("held", ["upstox-9", None])
def test_journals_of_both_kinds_are_not_rebuilt_into_one_store(tmp_path: Path, held: str | None) -> None:
    """A simulation's journal stays out of a store of real ticks, and out of one that gets a broker's."""
    journals = tmp_path / "journals"
    settings = JournalSettings(journals)
    for name in ("sim", *(() if held else ("upstox",))):
        Journal.open(settings, name, 1, 1, None).close()
    with running_server(tmp_path / "server") as server, server.client() as client:
        client.set(Keys("").partitions(), 1)
        config = compose(["redis=url", f"redis.url={server.url}"])
        if held:
            check_rebuilding(config, server.url, JournalReader(journals))
            client.hset(Keys("").meta(0), f"offset:{held}", 7)
        with pytest.raises(ConfigError, match=r"simulated ticks .* and real ones .* would mix"):
            check_rebuilding(config, server.url, JournalReader(journals))
