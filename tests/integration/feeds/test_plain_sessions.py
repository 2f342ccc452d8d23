"""The unmodified SDKs under our session, when all is well."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.venues.comparison import trade_of
from tests.venues.desk import Desk
from tests.venues.faults import ALL
from tests.venues.market import Market

MINUTES = 3


def past_market(count: int, updates: float) -> Market:
    """One whose last tick is a moment ago, so that it can be sent at once."""
    start_ms = time.time_ns() // 1_000_000 - (MINUTES + 1) * 60_000
    return Market(count=count, minutes=MINUTES, updates=updates, start_ms=start_ms)


@pytest.mark.parametrize("broker", ALL)
def test_two_thousand_instruments_make_the_candles_of_the_oracle(broker: str, tmp_path: Path) -> None:
    """Every tick of 2,000 instruments arrives and every candle is right, nothing being missed or dropped."""
    market = past_market(2_000, 3)
    batches = list(market.batches(broker))
    with Desk(broker, market, tmp_path) as desk:
        assert desk.venue.subscribed() == set(market.keys(broker))
        for _, batch in batches:
            desk.publish(batch)
        desk.wait_all()
        desk.close()
    assert (desk.gaps, desk.source.dropped()) == ([], {})
    assert {trade_of(tick) for tick in desk.received} == {trade_of(tick) for tick in desk.published}
    assert desk.wrong(()) == []
    assert len(market.candles(desk.received)) > 3_000


@pytest.mark.parametrize("broker", ALL)
def test_what_is_subscribed_changes_while_it_runs_and_survives_a_reconnect(
    broker: str, tmp_path: Path
) -> None:
    """Added instruments tick, removed ones don't, and a new connection carries just those of now."""
    market = past_market(60, 30)
    everything = tuple(market.subscriptions(broker))
    half = everything[::2]
    wanted = {one.key for one in half}
    with Desk(broker, market, tmp_path) as desk:
        desk.source.set_subscriptions(half)
        desk.venue.wait_subscribed_exactly(wanted)
        attempts = desk.venue.attempts
        desk.venue.abort()
        desk.venue.wait_attempts(attempts + 1)
        desk.venue.wait_subscribed_exactly(wanted)
        for _, batch in market.batches(broker):
            desk.publish([tick for tick in batch if tick.key in wanted])
        desk.wait_all()
        desk.source.set_subscriptions(everything)
        desk.venue.wait_subscribed_exactly({one.key for one in everything})
        others = [tick for tick in market.ticks(broker) if tick.key not in wanted]
        desk.publish(others)
        desk.wait_all()
        assert {trade_of(tick) for tick in desk.received} == {trade_of(tick) for tick in desk.published}
