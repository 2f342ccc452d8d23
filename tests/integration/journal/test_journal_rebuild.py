"""A store rebuilt from journals holds what the run that wrote them made, once."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl
import pytest

from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.candles import Candles
from ray_ingest.clock import IST
from ray_ingest.config import SimFeedConfig
from ray_ingest.core.instruments import Instrument
from ray_ingest.feeds.replay_source import ReplaySource
from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.journal.__main__ import main
from ray_ingest.journal.reader import JournalReader
from ray_ingest.journal.rebuild import BATCH_TICKS
from ray_ingest.model import TICK
from ray_ingest.verify import verify
from tests.integration.journal.recording import PARTITIONS, market, record
from tests.servers import Server

CLAIMED = (b"owner", b"epoch", b"committed_ms")
"""What every claim and commit changes in a partition's hash."""


@pytest.fixture
def prefix() -> str:
    """As good as an empty store."""
    return f"{uuid4().hex[:8]}:"


def rebuild(folder: Path, server: Server, prefix: str) -> int:
    """What a user types; returns the exit code."""
    return main(["rebuild", "--folder", str(folder), "--url", server.url, "--prefix", prefix])


def assert_all_candles_right(server: Server, prefix: str) -> None:
    """N of N candles equal the oracle's, and there is none besides."""
    config = market()
    assert isinstance(config.feed, SimFeedConfig)
    verdict = verify(config.feed.settings, False, server.url, prefix)
    assert (verdict.equal, verdict.extra) == (verdict.expected, 0), verdict.wrong
    assert verdict.expected > 500


def stored(server: Server, prefix: str) -> dict[bytes, Any]:
    """Every key under the prefix but those that tell when something was done, with its content."""
    read = {b"string": "get", b"hash": "hgetall", b"stream": "xrange", b"set": "smembers"}
    found = {}
    with server.client() as client:
        for key in client.scan_iter(f"{prefix}*", count=10_000):
            kind = client.type(key)
            content = client.lrange(key, 0, -1) if kind == b"list" else getattr(client, read[kind])(key)
            if kind == b"hash":
                content = {name: v for name, v in content.items() if name not in CLAIMED}
            found[key] = content
    return found


def test_every_candle_is_the_oracles(
    folder: Path, server: Server, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty store gets every candle and every offset of the run, and how many ticks is said."""
    assert rebuild(folder, server, prefix) == 0
    assert_all_candles_right(server, prefix)
    (info,) = JournalReader(folder).journals()
    assert capsys.readouterr().out == f"{sum(info.end):,} ticks sent to the store, 0 were there already\n"
    with server.client() as client:
        for partition, end in enumerate(info.end):
            offset = client.hget(f"{prefix}ray_ingest:meta:{partition}", f"offset:{info.producer}")
            assert int(offset) == end


def test_a_second_time_changes_nothing(
    folder: Path, server: Server, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each tick is taken once: the second rebuild finds all of them there, and no key differs after it."""
    rebuild(folder, server, prefix)
    before = stored(server, prefix)
    capsys.readouterr()
    assert rebuild(folder, server, prefix) == 0
    assert stored(server, prefix) == before
    assert capsys.readouterr().out.startswith("0 ticks sent to the store, ")


def test_a_hole_of_any_size_is_rebuilt_in_pieces(
    server: Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that a journal lost are sent a batch at a time, and told of once a commit, not once a row."""
    pushed: list[int] = []
    push = OhlcPartition.push

    def counted(self: OhlcPartition, head: bytes, rows: bytes) -> bytes:
        pushed.append(len(rows) // TICK.itemsize)
        return push(self, head, rows)

    monkeypatch.setattr(OhlcPartition, "push", counted)
    lost = 200_000
    journal = Journal.open(JournalSettings(tmp_path, "no"), "sim", 1, 1)
    journal.learn([Instrument("NSE_FO", "8765", "sim")])
    tick = np.zeros(1, TICK)
    tick["event_time_ms"], tick["last_price"] = datetime(2026, 1, 5, 10, tzinfo=IST).timestamp() * 1000, 100
    journal.append(0, tick)
    journal.skip_to(0, 1 + lost)
    journal.append(0, tick)
    journal.close()
    assert rebuild(tmp_path, server, prefix) == 0
    assert sum(pushed) == lost + 2
    assert max(pushed) < 2 * BATCH_TICKS
    with server.client() as client:
        meta = client.hgetall(f"{prefix}ray_ingest:meta:0")
        assert int(meta[f"offset:{journal.producer}".encode()]) == lost + 2
        assert int(meta[f"count:{journal.producer}:gap_notes".encode()]) == lost
        assert 0 < client.xlen(f"{prefix}ray_ingest:gaps:0") <= len(pushed)


def test_what_was_there_is_kept(folder: Path, server: Server, prefix: str, tmp_path: Path) -> None:
    """A store that has the first part of the session gets the rest."""
    (producer,) = (info.producer for info in JournalReader(folder).journals())
    shutil.copytree(folder, tmp_path / "j")
    for partition in range(PARTITIONS):
        paths = sorted((tmp_path / "j" / producer / f"p{partition}").glob("*.seg"))
        for path in paths[len(paths) // 2 :]:
            path.unlink()
    assert rebuild(tmp_path / "j", server, prefix) == 0
    assert rebuild(folder, server, prefix) == 0
    assert_all_candles_right(server, prefix)


def test_an_export_replays_to_the_same_candles(
    folder: Path, server: Server, prefix: str, tmp_path: Path
) -> None:
    """What is exported as Parquet and replayed makes every candle that the recorded run made."""
    assert main(["export", str(tmp_path / "ticks.parquet"), "--folder", str(folder)]) == 0
    record(ReplaySource(tmp_path / "ticks.parquet", "replay", 5_000), market(), tmp_path / "again")
    assert rebuild(tmp_path / "again", server, prefix) == 0
    assert_all_candles_right(server, prefix)


def test_a_journal_folder_replays_to_the_same_candles(
    folder: Path, server: Server, prefix: str, tmp_path: Path
) -> None:
    """feed.path may be a folder of journals: it makes every candle too."""
    record(ReplaySource(folder, "replay", 5_000), market(), tmp_path)
    assert rebuild(tmp_path, server, prefix) == 0
    assert_all_candles_right(server, prefix)


def test_the_ticks_of_an_instrument_are_read(folder: Path, server: Server, prefix: str) -> None:
    """`Candles.ticks` gives what the journal holds of an instrument, in the range asked for, else nothing."""
    rebuild(folder, server, prefix)
    with Candles(server.url, prefix=prefix, journal_dir=folder) as candles:
        name = candles.instruments()[0]
        frame = candles.ticks(name)
        history = candles.history(name)
        session = frame.filter(pl.col("event_time_ms") >= history["timestamp"].dt.epoch("ms")[0])
        assert history["ticks"].sum() == len(session)
        third = history["timestamp"][2]
        part = candles.ticks(name, third, history["timestamp"][3])
        assert len(part) == history["ticks"][2]
        assert part["last_price"].max() == history["high"][2]
        nothing = candles.ticks(name, "2020-01-01", "2020-01-02")
        assert nothing.is_empty()
        assert nothing.schema == frame.schema


def test_a_journal_that_is_written_is_left_alone(
    server: Server, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its feed sends again by itself, and another owner would end it: one line, exit code 7."""
    journal = Journal.open(JournalSettings(tmp_path, "no"), "sim", 1, 1)
    assert rebuild(tmp_path, server, prefix) == 7
    assert "stop it first" in capsys.readouterr().err
    journal.close()


def test_a_store_of_another_cut_is_refused(
    folder: Path, server: Server, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ticks of two partitions can't go to a store of three: one line, exit code 2, nothing written."""
    with server.client() as client:
        client.set(f"{prefix}ray_ingest:partitions", 3)
    assert rebuild(folder, server, prefix) == 2
    assert "cut into 3" in capsys.readouterr().err
