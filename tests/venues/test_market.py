"""The market that feeds the venues: different snapshots of the same trades for each broker."""

from __future__ import annotations

from ray_ingest.core.instruments import split_name
from ray_ingest.model import minute_start_ms
from tests.venues.market import BROKERS, RESOLUTION_MS, Market

SESSION = Market()
LIVE = Market(start_ms=minute_start_ms(20261121, 1_320) + 12_345, minutes=2)
"""On a Saturday night, in the middle of a minute."""


def test_every_instrument_has_a_name_and_a_key_of_its_own_at_each_broker() -> None:
    """Nothing is taken for another thing, at any broker."""
    for count in (4, 60, 2_000):
        market = Market(count=count)
        names = [split_name(one.name) for one in market.instruments]
        assert len(set(names)) == count
        assert {segment for segment, _ in names} >= {"NSE_INDEX", "NSE_EQ", "NSE_FO"}
        for broker in BROKERS:
            assert len(set(market.keys(broker))) == count
            assert [one.name for one in market.subscriptions(broker)] == [
                one.name for one in market.instruments
            ]
        assert len({one.fytoken for one in market.instruments}) == count


def test_brokers_see_different_snapshots_of_the_same_trades() -> None:
    """At the same cumulative volume all show the same price; no broker has all that another has."""
    for market in (SESSION, LIVE):
        seen = {}
        for broker in BROKERS:
            names = {one.keys[broker]: one.name for one in market.instruments}
            ticks = [tick for tick in market.ticks(broker) if tick.day_volume is not None]
            seen[broker] = {(names[tick.key], tick.day_volume): tick.last_price for tick in ticks}
        for one, other in (("upstox", "fyers"), ("fyers", "dhan"), ("dhan", "upstox")):
            both = seen[one].keys() & seen[other].keys()
            assert len(both) > 500
            assert len(seen[one].keys() - both) > 100
            assert all(seen[one][trade] == seen[other][trade] for trade in both)


def test_what_is_sent_is_in_order_in_time_and_as_fine_as_the_wire() -> None:
    """Sent after the trade, at most a window and a latency; a live market begins when it was told to."""
    for broker in BROKERS:
        for market in (SESSION, LIVE):
            sent = market.sent(broker)
            assert [one.sent_ms for one in sent] == sorted(one.sent_ms for one in sent)
            assert all(0 <= one.sent_ms - one.tick.event_time_ms < 1_600 for one in sent)
            assert all(one.tick.event_time_ms % RESOLUTION_MS[broker] == 0 for one in sent)
            assert [tick for _, batch in market.batches(broker) for tick in batch] == market.ticks(broker)
        assert LIVE.start_ms is not None
        assert LIVE.start_ms - 1_000 < min(one.tick.event_time_ms for one in LIVE.sent(broker))
        assert max(one.tick.event_time_ms for one in LIVE.sent(broker)) < LIVE.start_ms + 3 * 60_000


def test_repeats_change_no_candle_and_every_instrument_class_has_candles() -> None:
    """The oracle drops what says nothing new; indices have no volume, contracts have open interest."""
    for broker in BROKERS:
        ticks = SESSION.ticks(broker)
        doubled = [tick for one in ticks for tick in (one, one) if tick.day_volume is not None]
        with_volume = [tick for tick in ticks if tick.day_volume is not None]
        assert SESSION.candles(doubled) == SESSION.candles(with_volume)
        candles = SESSION.candles(ticks)
        classes = {name.split("|")[0]: candle for (name, _), candle in candles.items()}
        assert classes["NSE_INDEX"].volume == -1
        assert classes["NSE_EQ"].volume >= 0
        assert classes["NSE_FO"].oi >= 0
        assert max(candle.ticks for candle in candles.values()) > 10


def test_candles_of_several_producers_hold_the_trades_of_each() -> None:
    """Together the brokers' highs, lows and volumes enclose what each one saw alone."""
    streams = [LIVE.ticks(broker) for broker in BROKERS]
    together = LIVE.candles(*streams)
    for stream in streams:
        for place, candle in LIVE.candles(stream).items():
            assert together[place].high >= candle.high
            assert together[place].low <= candle.low
            assert together[place].volume_high >= candle.volume_high
