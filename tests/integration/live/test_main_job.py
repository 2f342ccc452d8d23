"""The main job on live feeds, as a person starts it: SDK, session, actors, embedded store, Ctrl-C."""

from __future__ import annotations

import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ray_ingest import Candles
from ray_ingest.clock import epoch_ms
from ray_ingest.errors import UnknownInstrumentError
from ray_ingest.ports import next_free_port
from tests.integration.live.exchange import DEADLINE_S, Exchange
from tests.integration.live.stored import differences
from tests.integration.live.traces import command_lines_of, files_below, ray_session_of, secrets_in
from tests.integration.run.processes import Run, running
from tests.venues.brokers import ISSUED
from tests.venues.market import BROKERS, Market
from tests.venues.venue import VenueTick

COUNT = {"upstox": 2_000, "fyers": 300, "dhan": 300}
MINUTES = 3
PARTS = 3
POLL_S = 0.05


@dataclass
class Evidence:
    """What a run of the main job left behind, and what its venue handed out."""

    market: Market
    folder: Path
    session: Path = Path()
    handed_out: list[VenueTick] = field(default_factory=list)
    subscribed: list[set[str]] = field(default_factory=list)
    wanted: list[set[str]] = field(default_factory=list)
    exit_code: int = -1
    report: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)


class Story:
    """One run: subscribed, changed while running, cut off, its token expired and renewed, interrupted."""

    def __init__(self, broker: str, folder: Path) -> None:
        # One whose last tick is a moment ago, so that it can be sent at once.
        start_ms = epoch_ms() - (MINUTES + 1) * 60_000
        market = Market(count=COUNT[broker], minutes=MINUTES, updates=6, start_ms=start_ms)
        self.evidence = Evidence(market, folder)
        self._exchange = Exchange(folder, market, [broker])
        self._venue = self._exchange.venues[broker]
        self._broker = broker
        self._log = folder / "state" / "log.jsonl"
        ticks = market.ticks(broker)
        self._parts = [
            ticks[part * len(ticks) // PARTS : (part + 1) * len(ticks) // PARTS] for part in range(PARTS)
        ]
        *others, self._marker = market.instruments
        self._sets = [others[50:], others[:-50]]

    def tell(self) -> Evidence:
        """All of it."""
        evidence, folder, port = self.evidence, self.evidence.folder, next_free_port(18_900)
        with self._exchange as exchange:
            self._list(0)
            arguments = [
                f"feed={self._broker}", *exchange.overrides, "ray.dashboard=false", f"metrics.port={port}",
                "log.level=debug", f"log.file={self._log}", "session.record_frames=true",
            ]  # fmt: skip
            with running(folder, *arguments) as run:
                self._act(run)
                evidence.session = ray_session_of(run.mark)
                evidence.said["command lines"] = command_lines_of(run.mark)
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    evidence.said["metrics"] = answer.read().decode()
                run.interrupt(signal.SIGINT)
                evidence.exit_code, evidence.report = run.end(), run.report
                evidence.said["stdout"], evidence.said["stderr"] = run.output, run.errors
        return evidence

    def _act(self, run: Run) -> None:
        self._wait_subscribed(0)
        # Attached while the run is there only: the last one out stops the store.
        with Candles(data_dir=run.folder / "store") as candles:
            self._publish(0, candles)
            self._list(1)
            self._wait_subscribed(1)
            self._publish(1, candles)
            attempts = self._venue.attempts
            self._venue.abort()
            self._venue.wait_attempts(attempts + 1)
            self._wait_subscribed(1)
            self._venue.expire_token()
            self._venue.abort()
            _wait(lambda: "token expired" in self._log.read_text(), "a token that expired")
            self._exchange.renew_token(self._broker)
            self._wait_subscribed(1)
            self._publish(2, candles)

    def _list(self, number: int) -> None:
        instruments = [*self._sets[number], self._marker]
        self.evidence.wanted.append({one.keys[self._broker] for one in instruments})
        self._exchange.list_instruments([one.name for one in instruments])

    def _wait_subscribed(self, number: int) -> None:
        self._venue.wait_subscribed_exactly(self.evidence.wanted[number], DEADLINE_S)

    def _publish(self, part: int, candles: Candles) -> None:
        """What of a part is subscribed to, and then a mark of which it is known when it is in the store:
        everything before it is there then."""
        wanted, marker = self._venue.subscribed(), self._marker.keys[self._broker]
        handed_out = self.evidence.handed_out
        ticks = [tick for tick in self._parts[part] if tick.key in wanted and tick.key != marker]
        price, at_ms = 100.0 + part, ticks[-1].event_time_ms
        ticks.append(VenueTick(marker, price, 1, at_ms, 1_000 + part, None))
        assert self._venue.publish(ticks) == len(ticks)
        handed_out += ticks
        _wait(lambda: _close(candles, self._marker.name) == price, f"part {part} in the store")


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {DEADLINE_S} s: {what}"
        time.sleep(POLL_S)


def _close(candles: Candles, name: str) -> float | None:
    try:
        candle = candles.latest(name)
    except UnknownInstrumentError:  # until its first tick is in
        return None
    return candle.close if candle else None


@pytest.fixture(scope="module", params=BROKERS)
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Of one broker's run."""
    return Story(request.param, tmp_path_factory.mktemp(request.param)).tell()


def test_every_candle_is_the_oracles(evidence: Evidence) -> None:
    """Every candle in the store equals the oracle's over the ticks that the venue handed out, through a
    change of what is subscribed, a lost connection and an expired token."""
    market = evidence.market
    wanted = market.candles(evidence.handed_out)
    with Candles(data_dir=evidence.folder / "store") as candles:
        assert differences(wanted, candles, candles.instruments()) == []
    assert len(wanted) > market.count


def test_a_tick_that_was_not_handed_out_is_seen(evidence: Evidence) -> None:
    """Control: the comparison finds a candle that lacks one trade."""
    *ticks, last = [tick for tick in evidence.handed_out if tick.day_volume is not None]
    wanted = evidence.market.candles([*ticks, last._replace(last_price=last.last_price + 1)])
    name = next(one.name for one in evidence.market.instruments if last.key in one.keys.values())
    with Candles(data_dir=evidence.folder / "store") as candles:
        found = differences({at: c for at, c in wanted.items() if at[0] == name}, candles, [name])
    assert len(found) == 1


def test_the_accounts_add_up_after_ctrl_c(evidence: Evidence) -> None:
    """Ctrl-C ends it with exit code 0; every tick handed out is in its report, and nothing was rejected."""
    report = evidence.report
    assert evidence.exit_code == 0
    assert report["ticks_in"] >= len(evidence.handed_out)  # and snapshots after each subscription
    applied = sum(candle.ticks for candle in evidence.market.candles(evidence.handed_out).values())
    assert report["ticks_applied"] >= applied
    assert (report["ticks_rejected"], report["ticks_without_candle"], report["restarts"]) == ({}, {}, 0)


def test_no_token_is_in_anything_it_wrote(evidence: Evidence) -> None:
    """The token, before and after its renewal, is in no output, no file of its state, store and journal, no
    file of its Ray session, no metric and no command line."""
    assert len(ISSUED) >= 2
    said = {what: secrets_in(text.encode()) for what, text in evidence.said.items()}
    files = list(written_by(evidence))
    found = {str(path): secrets for path in files if (secrets := secrets_in(path.read_bytes()))}
    assert {what: secrets for what, secrets in said.items() if secrets} == {}
    assert found == {}
    kinds = {
        path.relative_to(evidence.folder).parts[0] for path in files if path.is_relative_to(evidence.folder)
    }
    assert {"state", "store"} <= kinds
    assert any(path.is_relative_to(evidence.session) for path in files)
    assert any("token expired" in path.read_text() for path in files if path.name == "log.jsonl")


def test_a_planted_token_is_found(evidence: Evidence) -> None:
    """Control: the search finds a token wherever the run might have written it."""
    places = [evidence.folder / "state" / "planted", evidence.session / "logs" / "planted"]
    for token, place in zip(ISSUED[-2:], places, strict=True):
        place.write_bytes(b"\0before\n" + token.encode() + b"after")
    found = [path for path in written_by(evidence) if secrets_in(path.read_bytes())]
    for place in places:
        place.unlink()
    assert sorted(found) == sorted(places)


def written_by(evidence: Evidence) -> Iterator[Path]:
    """The files of a run, but those that the test gave it."""
    return files_below([evidence.folder, evidence.session], without=[evidence.folder / "tokens"])
