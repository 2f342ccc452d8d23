"""Upstox's decoder against the SDK's own dicts, on frames of every mode and on hostile ones."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ray_ingest.core.normalise import normalise
from ray_ingest.feeds.brokers.upstox import ADAPTER
from ray_ingest.feeds.brokers.upstox_frames import UpstoxDecoder
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.model import LARGEST_INTEGER, NULL
from tests.venues.upstox import encoding, fuzz
from tests.venues.upstox.fuzz import RECEIVED_MS, by_key
from tests.venues.upstox.twin import TwinTick
from tests.venues.venue import VenueTick

EQUITY, FUTURE, INDEX = "NSE_EQ|INE002A01018", "NSE_FO|8765", "NSE_INDEX|Nifty 50"
TIME_MS = RECEIVED_MS - 500
TICKS = [
    VenueTick(EQUITY, 1_512.4, 25, TIME_MS, 1_204_511, None),
    VenueTick(FUTURE, 145.35, 75, TIME_MS + 100, 20_481_225, 6_720_450),
    VenueTick(INDEX, 24_836.3, None, TIME_MS + 200, None, None),
]


def decoded(payload: bytes) -> tuple[dict[str, TwinTick], dict[str, int]]:
    """Ticks by key, and what was dropped."""
    decoder = ADAPTER.decoder(fuzz.KEYS)
    return by_key(decoder.decode(payload, RECEIVED_MS)), dict(decoder.dropped)


@pytest.mark.parametrize("mode", ["full", "full_d30", "option_greeks"])
@pytest.mark.parametrize("kind", [encoding.INITIAL, encoding.LIVE])
def test_a_quote_has_its_volume_and_open_interest_and_an_index_has_none(mode: str, kind: int) -> None:
    """Every mode with a cumulative volume gives it, in snapshots as in updates; an index has only a price."""
    assert decoded(encoding.frame(TICKS, mode, kind)) == (
        {
            EQUITY: TwinTick(TIME_MS, 1_512.4, 25, 1_204_511, None),
            FUTURE: TwinTick(TIME_MS + 100, 145.35, 75, 20_481_225, 6_720_450),
            INDEX: TwinTick(TIME_MS + 200, 24_836.3, None, None, None),
        },
        {},
    )


def test_a_trade_without_volume_gives_no_quantity_either() -> None:
    """In ltpc a quantity would be summed as a tape's, and a conflated feed's quantities aren't the volume."""
    ticks, dropped = decoded(encoding.frame(TICKS, "ltpc"))
    assert ticks == {
        tick.key: TwinTick(tick.event_time_ms, tick.last_price, None, None, None) for tick in TICKS
    }
    assert not dropped


def test_feeds_without_price_time_or_subscription_are_counted_and_the_rest_is_kept() -> None:
    """One bad feed costs its own tick only, and is accounted for."""
    frame = encoding.frame(
        [
            TICKS[0]._replace(last_price=0.0),
            TICKS[1]._replace(event_time_ms=0),
            TICKS[2],
            TICKS[2]._replace(key="NSE_INDEX|Nifty Bank"),
        ],
        "ltpc",
    )
    ticks, dropped = decoded(frame)
    assert list(ticks) == [INDEX]
    assert dropped == {"no_price": 1, "no_time": 1, "unknown": 1}


def test_a_frame_cut_anywhere_never_gives_another_tick_than_the_twin() -> None:
    """A truncated frame is counted as malformed, or is protobuf by chance and says what the SDK says."""
    for mode in encoding.MODES[:3]:
        payload = encoding.frame(TICKS, mode)
        for end in range(len(payload)):
            fuzz.check(payload[:end])
    assert decoded(encoding.frame(TICKS, "full")[:-20]) == ({}, {"malformed": 1})


def test_market_status_and_empty_frames_are_no_ticks_and_no_loss() -> None:
    """The greeting isn't counted as a broken frame."""
    assert decoded(encoding.market_info(TIME_MS)) == ({}, {})
    assert decoded(b"") == ({}, {})


@pytest.mark.parametrize("mode", ["ltpc", "full"])
def test_keys_learned_later_are_known_from_then_on(mode: str) -> None:
    """Subscribing while running needs no new decoder."""
    keys = Keys("upstox")
    decoder = ADAPTER.decoder(keys)
    frame = encoding.frame(TICKS[:1], mode)
    assert len(decoder.decode(frame, RECEIVED_MS)) == 0
    keys.learn([Subscription("NSE_EQ|2885", EQUITY)])
    columns = decoder.decode(frame, RECEIVED_MS)
    assert columns.instrument.tolist() == [keys.ids[EQUITY]]
    assert columns.receive_time_ms.tolist() == [RECEIVED_MS]
    assert decoder.dropped == {"unknown": 1}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"last_price": float("nan")}, "price"),
        ({"last_price": float("inf")}, "price"),
        ({"last_price": -5.0}, "price"),
        ({"event_time_ms": -1}, "time"),
        ({"event_time_ms": RECEIVED_MS // 1000}, "time_unit"),
        ({"event_time_ms": 2**63 - 1}, "time_unit"),
        ({"day_volume": -5}, "quantity"),
        ({"day_volume": LARGEST_INTEGER + 1}, "quantity"),
        ({"oi": float("nan")}, "quantity"),
        ({"oi": float("-inf")}, "quantity"),
        ({"oi": 2.0**63}, "quantity"),
        ({"oi": -(2.0**63)}, "quantity"),
    ],
)
def test_a_hostile_value_is_rejected_by_the_normaliser(wrong: dict[str, float], reason: str) -> None:
    """The decoder hands on what doesn't fit as something odd, never as an exception or a good tick."""
    frame = encoding.frame([TICKS[1]._replace(**wrong), TICKS[2]], "full")
    columns = ADAPTER.decoder(fuzz.KEYS).decode(frame, RECEIVED_MS)
    result = normalise(columns, fuzz.KEYS.table, RECEIVED_MS, 60_000)
    assert result.rejected == {reason: 1}
    assert result.ticks["last_price"].tolist() == [24_836.3]


def test_columns_have_the_types_that_the_pipeline_expects() -> None:
    """Concatenating blocks of several frames must not change a column's type."""
    decoder = ADAPTER.decoder(fuzz.KEYS)
    for payload in (b"", *(encoding.frame(TICKS[:2], mode) for mode in encoding.MODES)):
        columns = decoder.decode(payload, RECEIVED_MS)
        assert columns.instrument.dtype == np.uint32
        assert columns.last_price.dtype == np.float64
        for name in ("event_time_ms", "last_qty", "day_volume", "oi", "receive_time_ms"):
            assert getattr(columns, name).dtype == np.int64


def test_the_mutants_reach_both_ways_of_reading_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzing proves the fast way only if many mutants take it, and would notice it being wrong."""
    taken = 0
    trades = UpstoxDecoder._trades

    def counted(self: UpstoxDecoder, response: object, received_ms: int) -> object:
        nonlocal taken
        columns = trades(self, response, received_ms)
        taken += columns is not None
        if columns is not None and len(columns) > 1:
            columns.last_price[:] = columns.last_price[::-1].copy()  # as if columns weren't aligned
        return columns

    monkeypatch.setattr(UpstoxDecoder, "_trades", counted)
    wrong = 0
    for payload in fuzz.mutants(7, 2_000):
        try:
            fuzz.check(payload)
        except AssertionError:
            wrong += 1
    assert taken > 100
    assert wrong > 20


def test_unknown_fields_would_be_read_as_prices_if_they_were_kept() -> None:
    """The fast way drops fields that the SDK doesn't know: packed values of one would shift the prices."""
    packed = fuzz.field(1, fuzz.LENGTH, np.array([99.0]).tobytes())
    time = fuzz.field(2, fuzz.VARINT, TIME_MS)

    def entry(key: str, trade: bytes) -> bytes:
        value = fuzz.field(2, fuzz.LENGTH, fuzz.field(1, fuzz.LENGTH, trade))
        return fuzz.field(2, fuzz.LENGTH, fuzz.field(1, fuzz.LENGTH, key.encode()) + value)

    payload = entry(EQUITY, packed + time)
    assert decoded(payload) == ({}, {"no_price": 1})
    message_class = type(encoding.proto.FeedResponse())
    without = UpstoxDecoder(fuzz.KEYS)
    response = message_class.FromString(payload)

    class Keeping:
        feeds = response.feeds

        def DiscardUnknownFields(self) -> None:  # noqa: N802 — the protobuf class's name
            """Doesn't."""

        def SerializeToString(self) -> bytes:  # noqa: N802
            """As it came."""
            return payload

    columns = without._trades(Keeping(), RECEIVED_MS)
    assert columns is not None
    assert columns.last_price.tolist() == [99.0]


def test_importing_the_adapter_loads_no_sdk() -> None:
    """`make run` and the command line's help don't pay for brokers that they don't use."""
    code = "import sys, ray_ingest.feeds.brokers.upstox; print('upstox_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_absent_values_are_null_and_not_zero() -> None:
    """Protobuf leaves zeros out: an equity's open interest is unknown, not none."""
    columns = ADAPTER.decoder(fuzz.KEYS).decode(encoding.frame(TICKS[:1], "full"), RECEIVED_MS)
    assert columns.oi.tolist() == [NULL]
