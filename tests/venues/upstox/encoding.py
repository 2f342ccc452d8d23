"""Upstox's frames, written with the SDK's own message classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as proto

from tests.venues.venue import VenueTick

INITIAL, LIVE, MARKET_INFO = 0, 1, 2
MODES = ("ltpc", "full", "option_greeks", "full_d30")
REQUEST_MODE = {"ltpc": 0, "full": 1, "option_greeks": 2, "full_d30": 3}
PER_FRAME = 75


def frames(ticks: Iterable[VenueTick], mode: str, kind: int = LIVE) -> Iterator[bytes]:
    """The ticks in their order, up to 75 a frame; a frame is a map, so an instrument comes once in it."""
    batch: dict[str, VenueTick] = {}
    for tick in ticks:
        if tick.key in batch or len(batch) == PER_FRAME:
            yield frame(list(batch.values()), mode, kind)
            batch.clear()
        batch[tick.key] = tick
    if batch:
        yield frame(list(batch.values()), mode, kind)


def frame(ticks: Sequence[VenueTick], mode: str, kind: int = LIVE) -> bytes:
    """One frame of ticks of different instruments."""
    response = proto.FeedResponse(type=kind, currentTs=ticks[-1].event_time_ms)
    for tick in ticks:
        _write(tick, mode, response.feeds[tick.key])
    written: bytes = response.SerializeToString(deterministic=True)
    return written


def market_info(time_ms: int) -> bytes:
    """What the broker greets with: whether each segment is open."""
    response = proto.FeedResponse(type=MARKET_INFO, currentTs=time_ms)
    for segment in ("NSE_EQ", "NSE_FO", "NSE_INDEX"):
        response.marketInfo.segmentStatus[segment] = proto.NORMAL_OPEN
    written: bytes = response.SerializeToString(deterministic=True)
    return written


def _write(tick: VenueTick, mode: str, feed: Any) -> None:
    feed.requestMode = REQUEST_MODE[mode]
    if tick.key.partition("|")[0].endswith("_INDEX"):
        if mode.startswith("full"):
            feed.fullFeed.indexFF.MergeFrom(_INDEX)
            _trade(tick, feed.fullFeed.indexFF.ltpc)
        else:
            _trade(tick, feed.ltpc)
    elif mode == "ltpc":
        _trade(tick, feed.ltpc)
    else:
        quote = feed.firstLevelWithGreeks if mode == "option_greeks" else feed.fullFeed.marketFF
        quote.MergeFrom(_AROUND[mode])
        _trade(tick, quote.ltpc)
        quote.vtt = tick.day_volume or 0
        quote.oi = tick.oi or 0


def _trade(tick: VenueTick, trade: Any) -> None:
    trade.ltp, trade.ltt, trade.ltq = tick.last_price, tick.event_time_ms, tick.last_qty or 0
    trade.cp = 100.0


def _market(depth: int) -> Any:
    feed = proto.MarketFullFeed(optionGreeks=_GREEKS, atp=101.2, iv=0.13, tbq=120_000.0, tsq=98_000.0)
    for level in range(depth):
        feed.marketLevel.bidAskQuote.add(
            bidQ=75 * (level + 1), bidP=100.0 - level / 20, askQ=150, askP=100.05 + level / 20
        )
    feed.marketOHLC.CopyFrom(_OHLC)
    return feed


_GREEKS = proto.OptionGreeks(delta=0.6102, theta=-12.7062, gamma=0.0014, vega=10.116, rho=1.6726)
_OHLC = proto.MarketOHLC()
for _interval in ("1d", "I1"):
    _OHLC.ohlc.add(
        interval=_interval, open=99.0, high=103.5, low=98.2, close=101.0, vol=5_000, ts=1_765_770_000_000
    )
_INDEX = proto.IndexFullFeed(marketOHLC=_OHLC)
_AROUND = {
    "option_greeks": proto.FirstLevelWithGreeks(
        firstDepth=proto.Quote(bidQ=75, bidP=100.0, askQ=150, askP=100.05), optionGreeks=_GREEKS, iv=0.13
    ),
    "full": _market(5),
    "full_d30": _market(30),
}
"""What surrounds the trade in each mode."""
