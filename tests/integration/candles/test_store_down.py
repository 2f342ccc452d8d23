"""Readers while the store is down: the last state they saw, with its age, and how old the store's own is."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from ray_ingest.candles import Candle, Candles
from ray_ingest.candles.last_seen import LastSeen
from ray_ingest.candles.reader import confirmed_slot, latest_slot
from ray_ingest.errors import StoreError, StoreUnreachableError, UnknownInstrumentError
from tests.candle_writer import FRIDAY, FUTURE, INDEX, SHARE, Writer
from tests.servers import Server, running_server, start_server

AOF = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server of a test keeps its data."""
    return tmp_path / "store"


@pytest.fixture
def doomed(folder: Path) -> Iterator[Server]:
    """A server for the test to kill, with three instruments in it."""
    with running_server(folder, *AOF) as running:
        with running.client() as client:
            writer = Writer(client)
            for name in (FUTURE, INDEX, SHARE):
                writer.day(name, FRIDAY, [100.0, 101.0], running=True)
        yield running


def test_a_killed_store_is_answered_for_by_what_was_seen_last(doomed: Server, folder: Path) -> None:
    """One name or a list, latest or confirmed, each with its age, until the server is back."""
    with Candles(doomed.url) as candles:
        began = time.monotonic()
        fresh, bulk, confirmed = (
            candles.latest(FUTURE),
            candles.latest([FUTURE, INDEX]),
            candles.confirmed(FUTURE),
        )
        assert fresh is not None
        assert fresh.stale_s == 0.0
        doomed.kill()
        stale = candles.latest(FUTURE)
        assert stale is not None
        assert 0.0 < stale.stale_s <= time.monotonic() - began
        assert _fresh(stale) == fresh
        assert {name: _fresh(candle) for name, candle in candles.latest([INDEX, FUTURE]).items()} == bulk
        assert _fresh(candles.confirmed(FUTURE)) == confirmed
        later = candles.latest(FUTURE)
        assert later is not None
        assert later.stale_s > stale.stale_s
        back = start_server(folder, *AOF)
        try:
            assert candles.latest(FUTURE) == fresh
        finally:
            back.stop()


def test_what_was_never_seen_is_an_error_as_before(doomed: Server) -> None:
    """Half an answer isn't given: one name not read yet makes the whole list fail, and so do other reads."""
    with Candles(doomed.url) as candles:
        candles.latest([FUTURE, INDEX])
        doomed.kill()
        for names in (SHARE, [FUTURE, SHARE]):
            with pytest.raises(StoreUnreachableError):
                candles.latest(names)
        for call in (lambda: candles.confirmed(FUTURE), lambda: candles.history(FUTURE)):
            with pytest.raises(StoreUnreachableError):
                call()
    with pytest.raises(StoreUnreachableError):
        candles.latest(FUTURE)


def test_a_frozen_store_is_answered_for_too(doomed: Server) -> None:
    """It holds its connections and says nothing: after the time-out the last state comes."""
    with Candles(doomed.url) as candles:
        fresh = candles.latest(FUTURE)
        candles._client.connection_pool.reset()
        candles._client.connection_pool.connection_kwargs["socket_timeout"] = 0.2
        doomed.process.send_signal(signal.SIGSTOP)
        try:
            stale = candles.latest(FUTURE)
        finally:
            doomed.process.send_signal(signal.SIGCONT)
        assert stale is not None
        assert stale.stale_s > 0.0
        assert _fresh(stale) == fresh


def test_an_error_of_a_store_that_answers_is_not_hidden(doomed: Server) -> None:
    """Only a store that can't be reached is answered for: one that holds something else is an error."""
    with Candles(doomed.url) as candles, doomed.client() as client:
        candles.latest(FUTURE)
        client.set("nse_fo:8765:20261120", "another program's")
        with pytest.raises(StoreError, match="nse_fo:8765:20261120"):
            candles.latest(FUTURE)
        client.flushall()
        with pytest.raises(UnknownInstrumentError):
            candles.latest(FUTURE)


def test_memory_is_bounded_and_the_longest_unread_go_first() -> None:
    """However many instruments a reader asks for in its life."""
    seen = LastSeen(capacity=3)
    for name in ("a", "b", "c", "a", "d"):
        seen.remember(latest_slot, [name], [None])
    assert seen.recall(latest_slot, ["a", "c", "d"]) == [None] * 3
    assert seen.recall(latest_slot, ["b"]) is None
    assert seen.recall(confirmed_slot, ["a"]) is None


def test_the_age_is_since_the_partitions_last_commit(doomed: Server) -> None:
    """By the server's clock; infinite where no commit says when it was; unknown names are an error."""
    with Candles(doomed.url) as candles, doomed.client() as client:
        assert candles.age_s(FUTURE) == inf
        seconds, micros = client.time()
        client.hset("ray_ingest:meta:0", "committed_ms", seconds * 1000 + micros // 1000 - 90_000)
        assert 90.0 <= candles.age_s("nse_fo|8765") < 150.0
        with pytest.raises(UnknownInstrumentError):
            candles.age_s("NSE_FO|1")


def _fresh(candle: Candle | None) -> Candle | None:
    """The candle as if it had been read just now."""
    return candle and replace(candle, stale_s=0.0)
