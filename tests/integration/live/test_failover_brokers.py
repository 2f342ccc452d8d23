"""Three brokers over their real wires: whoever is struck, the candles are those of the ticks that counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_ingest import Candles
from ray_ingest.actors.status import Status
from tests.integration.live.exchange import Exchange
from tests.integration.live.failover import (
    LONE_S,
    WORST_S,
    Strikes,
    by_arrival,
    exchange_for,
    plan_for,
    run,
    settled,
    summary,
)
from tests.integration.live.journals import Sequences, unlike
from tests.servers import Server
from tests.venues.market import BROKERS

TIMES = 5


@pytest.fixture(autouse=True)
def _state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_whoever_is_struck_the_next_takes_over(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The broker that counts is cut off, muted and refused under a load of more than 1,000 ticks a second:
    another one's ticks count within two seconds of its last (the worst is the long run's to measure: here
    other processes have turns), every candle is the oracle's over the ticks that counted, no volume counts
    twice, and there is no gap as somebody was always well."""
    with exchange_for(tmp_path, TIMES) as exchange:
        strikes = Strikes(exchange, TIMES, seed=3)
        report = run(plan_for(exchange, server, tmp_path), exchange, strikes)
        number, differing = unlike(tmp_path / "journal", server.url, exchange.market)
    assert differing == [], differing[:5]
    assert number >= exchange.market.count
    took_s, figures = summary(strikes, tmp_path)
    with capsys.disabled():
        print(f"\n{figures}\n{number:,} candles equal, {report.ticks_per_s:,.0f} ticks a second counted; "
              f"longest wait for a status beyond the usual: {strikes.worst_pause_s:.2f} s")  # fmt: skip
    assert len(took_s) == TIMES
    assert np.median(took_s) <= WORST_S
    assert max(took_s) <= LONE_S + strikes.worst_pause_s
    assert report.ticks_per_s > 1_000
    with Candles(server.url) as candles:
        assert candles.gaps().rows() == []


def test_without_rule_3_the_same_comparison_fails(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Negative control: with closes and volumes by arrival, what a broker that takes over sends first spoils
    candles."""
    with exchange_for(tmp_path, 6) as exchange:  # it takes a while until there is much to send first
        strikes = Strikes(exchange, 3, seed=3, calm_s=(5.0, 5.0))
        run(by_arrival(plan_for(exchange, server, tmp_path)), exchange, strikes)
        number, differing = unlike(tmp_path / "journal", server.url, exchange.market)
    with capsys.disabled():
        print(f"\nwithout rule 3: {len(differing):,} differences in {number:,} candles")
    assert differing


def test_all_count_when_arbitrated(server: Server, tmp_path: Path) -> None:
    """Arbitrated, the ticks of all three count, through one's disconnection too: every candle is the oracle's
    over all of them together, and as the others were well there is no gap. Of an index, which has no volume
    to order it by, trades that brokers tell of the same second have no order."""
    steps = 0

    def watch(status: Status) -> bool:
        nonlocal steps
        well = {feed.name for feed in status.feeds if feed.well_since_ms and feed.active}
        counted = sum(feed.committed for feed in status.feeds)
        if steps == 0 and settled(status) and counted > 2_000:
            exchange.venues["upstox"].refuse(503)
            exchange.venues["upstox"].abort()
            steps = 1
        elif steps == 1 and "upstox" not in well:
            exchange.venues["upstox"].heal()
            steps = 2
        return steps == 2 and len(well) == len(BROKERS) and counted > 10_000

    with exchange_for(tmp_path, 2, pace=1) as exchange:
        run(plan_for(exchange, server, tmp_path, "feed.policy=arbitrate"), exchange, watch)
        number, differing = unlike(tmp_path / "journal", server.url, exchange.market)
    differing = [line for line in differing if "_INDEX|" not in line]
    assert differing == [], differing[:5]
    assert number >= exchange.market.count
    ticks = Sequences.read(tmp_path / "journal").ticks
    assert {broker for broker, rows in ticks.items() if len(rows) > 1_000} == set(BROKERS)
    with Candles(server.url) as candles:
        assert candles.gaps().rows() == []


def test_what_not_every_broker_has_counts_whoever_counts(server: Server, tmp_path: Path) -> None:
    """Upstox counts, is cut off, and Fyers takes over. What Upstox and Dhan have goes on from Dhan, what only
    Dhan has came all the time, and of what only Upstox had its absence is a gap: the one there is."""
    steps = 0

    def watch(status: Status) -> bool:
        nonlocal steps
        counted = sum(feed.committed for feed in status.feeds)
        if steps == 0 and settled(status) and status.active == ["upstox"] and counted > 2_000:
            exchange.venues["upstox"].refuse(503)
            exchange.venues["upstox"].abort()
            steps = 1
        elif steps == 1 and status.active == ["fyers"] and counted > 4_000:
            exchange.venues["upstox"].heal()
            steps = 2
        return steps == 2 and settled(status) and counted > 8_000

    market = exchange_for(tmp_path, 2, pace=1).market
    of_two, of_dhan, of_upstox = (one.name for one in market.instruments[-3:])
    lacks = {"upstox": [of_dhan], "fyers": [of_two, of_dhan, of_upstox], "dhan": [of_upstox]}
    with Exchange(tmp_path, market, lacks=lacks) as exchange:
        run(plan_for(exchange, server, tmp_path), exchange, watch)
        number, differing = unlike(tmp_path / "journal", server.url, exchange.market)
    assert differing == [], differing[:5]
    assert number >= exchange.market.count
    ticks = Sequences.read(tmp_path / "journal").ticks
    came = {broker: {name for name, _ in rows} for broker, rows in ticks.items()}
    assert {of_two, of_dhan} <= came["dhan"]
    assert {of_two, of_upstox} <= came["upstox"]
    with Candles(server.url) as candles:
        gaps = candles.gaps()
    assert gaps.select("instrument", "reason").rows() == [(of_upstox, "disconnect")]
