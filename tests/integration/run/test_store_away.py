"""The store going away while a run goes: ticks wait, and candles come out right, or the run says why not."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ray_ingest.actors.status import Status
from ray_ingest.errors import StoreError
from tests.integration.run.in_process import (
    assert_all_candles_right,
    committed,
    market_config,
    run_watched,
)
from tests.servers import start_server

AOF = ("--appendonly", "yes")

pytestmark = pytest.mark.usefixtures("ray_with_dashboard")


class MortalServer:
    """A server with AOF that can be killed and started again under the same url."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = start_server(folder, *AOF)

    def revive(self) -> None:
        """Start it again on the same files."""
        self.server = start_server(self._folder, *AOF)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MortalServer]:
    """A private server."""
    mortal = MortalServer(tmp_path)
    yield mortal
    mortal.server.stop()


def in_trouble(status: Status) -> bool:
    """Whether an OHLC actor has noticed."""
    return any(owner.trouble for owner in status.owners)


def test_a_store_killed_in_mid_run_and_back_again_costs_nothing(store: MortalServer) -> None:
    """SIGKILL of the server, then a start on the same folder: what it had committed is there, what was in
    flight is sent again, and every candle equals the oracle's."""
    config = market_config(store.server)
    steps: list[Callable[[Status], bool]] = []

    def kill_once_committed(status: Status) -> bool:
        if committed(status) < 5_000:
            return False
        store.server.kill()
        return True

    def revive_once_noticed(status: Status) -> bool:
        if not in_trouble(status):
            return False
        store.revive()
        return True

    steps += [kill_once_committed, revive_once_noticed]

    def watch(status: Status) -> None:
        if steps and steps[0](status):
            steps.pop(0)

    report = run_watched(config, watch)
    assert not steps
    assert report.restarts == 0, "an actor outlives its store"
    assert_all_candles_right(config, store.server)


def test_a_store_that_stays_away_ends_the_run_with_one_line(store: MortalServer) -> None:
    """After redis.give_up_s a bounded run ends, exit code 4, naming the store and how long it waited."""
    config = market_config(store.server, "redis.give_up_s=2")
    killed_s: list[float] = []

    def watch(status: Status) -> None:
        if not killed_s and committed(status) > 1_000:
            store.server.kill()
            killed_s.append(time.monotonic())

    with pytest.raises(StoreError) as caught:
        run_watched(config, watch)
    text = str(caught.value)
    assert text.startswith(f"gave up after 2 s: the store at unix://{store.server.socket}")
    assert "\n" not in text
    assert caught.value.exit_code == 4
    assert 2 <= time.monotonic() - killed_s[0] < 30


def test_a_store_emptied_after_all_was_committed_is_filled_again(store: MortalServer) -> None:
    """FLUSHALL once the feed has ended, when nothing is left to be sent: the last question before the end
    finds out, the source is read again, and every candle equals the oracle's."""
    config = market_config(store.server, "feed.speed=max")
    emptied: list[int] = []

    def empty(status: Status) -> None:
        if status.finished and not emptied:
            emptied.append(committed(status))
            with store.server.client() as client:
                client.flushall()

    report = run_watched(config, empty)
    assert emptied
    assert_all_candles_right(config, store.server)
    assert report.ticks_applied > 0
