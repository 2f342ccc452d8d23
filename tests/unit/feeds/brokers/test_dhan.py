"""Dhan's decoder on frames written by hand, by the SDK's own reading, and from the folder of frames."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from dhanhq import MarketFeed
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.dhan_frames import DhanDecoder, largest_exact_price
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.model import NULL
from tests.venues.dhan import fuzz, packets

FRAMES = Path(__file__).parents[3] / "venues" / "dhan" / "frames"
RECEIVED_MS = fuzz.RECEIVED_MS
TRADED_S = RECEIVED_MS // 1000 - 1
WIRE_S = TRADED_S + packets.IST_SHIFT_S
KEY = "NSE_FNO:2885"
SDK = MarketFeed.__new__(MarketFeed)  # for its parser, which has no state; the constructor makes a loop


def decoder() -> DhanDecoder:
    """A new connection's, which knows the instruments of the fuzzer."""
    return DhanDecoder(fuzz.KEYS)


def names(columns: Any) -> list[str]:
    """The keys of decoded ticks."""
    by_id = {instrument: key for key, instrument in fuzz.KEYS.ids.items()}
    return [by_id[instrument] for instrument in columns.instrument.tolist()]


@pytest.mark.parametrize("file", sorted(FRAMES.glob("*.json")), ids=lambda file: file.stem)
def test_frames_of_the_folder(file: Path) -> None:
    """Each frame that is kept decodes to what is written beside it."""
    case = json.loads(file.read_text())
    keys = Keys("dhan")
    keys.learn(Subscription(key.replace(":", "|"), key, size) for key, size in case["tick_sizes"].items())
    made = DhanDecoder(keys)
    columns = made.decode(bytes.fromhex(case["frame"]), case["received_ms"])
    by_id = {instrument: key for key, instrument in keys.ids.items()}
    ticks = [
        [by_id[row[0]], *(None if value == NULL else value for value in row[1:])]
        for row in zip(
            *(getattr(columns, name).tolist() for name in case["columns"]),
            strict=True,
        )
    ]
    assert ticks == case["ticks"]
    assert dict(made.dropped) == case["dropped"]
    assert (made.verdict and list(made.verdict)) == case["verdict"]


@given(
    mode=st.sampled_from(["ticker", "quote", "full"]),
    price=st.integers(1, 2_600_000),  # × 0.05; the SDK's two decimals are wrong from 131,072 on
    quantity=st.integers(0, 65_535),
    volume=st.integers(0, 2**32 - 1),
    oi=st.integers(0, 2**32 - 1),
)
def test_what_the_sdk_reads_is_what_we_read(
    mode: str, price: int, quantity: int, volume: int, oi: int
) -> None:
    """Where the SDK's parser is right, that is but for the date and zone of the time, we agree with it."""
    rupees = price / 20
    packet = {
        "ticker": packets.ticker(KEY, rupees, WIRE_S),
        "quote": packets.quote(KEY, rupees, quantity, WIRE_S, volume),
        "full": packets.full(KEY, rupees, quantity, WIRE_S, volume, oi),
    }[mode]
    theirs = SDK.process_data(packet)
    ours = decoder().decode(packet, RECEIVED_MS)
    assert f"{ours.last_price[0]:.2f}" == theirs["LTP"]
    assert theirs["LTT"] == SDK.utc_time(ours.event_time_ms[0] / 1000 + packets.IST_SHIFT_S)
    assert ours.last_qty[0] == theirs.get("LTQ", NULL)
    assert ours.day_volume[0] == theirs.get("volume", NULL)
    assert ours.oi[0] == theirs.get("OI", NULL)


def test_every_packet_of_a_frame() -> None:
    """The SDK reads the first packet of a frame only; we read them all, in their order."""
    frame = b"".join(
        (
            packets.market_status(),
            packets.previous_close(KEY, 99.0, 5),
            packets.ticker("IDX_I:13", 25_876.85, WIRE_S),
            packets.quote("NSE_EQ:2885", 1_540.35, 10, WIRE_S, 5_000),
            packets.full(KEY, 120.05, 75, WIRE_S, 9_000, 1_200_000),
        )
    )
    made = decoder()
    ticks = made.decode(frame, RECEIVED_MS)
    assert names(ticks) == ["IDX_I:13", "NSE_EQ:2885", KEY]
    assert ticks.last_price.tolist() == [25_876.85, 1_540.35, 120.05]
    assert ticks.event_time_ms.tolist() == [TRADED_S * 1000] * 3
    assert ticks.day_volume.tolist() == [NULL, 5_000, 9_000]
    assert ticks.oi.tolist() == [NULL, NULL, 1_200_000]
    assert not made.dropped
    assert SDK.process_data(frame) == "Markets Open"


def test_security_ids_repeat_across_segments() -> None:
    """2885 is a share on NSE_EQ and a contract on NSE_FNO."""
    frame = packets.ticker("NSE_EQ:2885", 1_540.0, WIRE_S) + packets.ticker(KEY, 12.0, WIRE_S)
    assert names(decoder().decode(frame, RECEIVED_MS)) == ["NSE_EQ:2885", KEY]


def test_open_interest_joins_the_next_ticks() -> None:
    """A message of its own: unknown before it, with every quote of that instrument from then on."""
    made = decoder()
    quote = packets.quote(KEY, 120.0, 75, WIRE_S, 9_000)
    other = packets.quote("NSE_CURRENCY:1450", 84.25, 1, WIRE_S, 10)
    assert made.decode(quote, RECEIVED_MS).oi.tolist() == [NULL]
    assert made.decode(packets.open_interest(KEY, 500) + quote + other, RECEIVED_MS).oi.tolist() == [
        500,
        NULL,
    ]
    assert made.decode(quote, RECEIVED_MS).oi.tolist() == [500]
    assert made.decode(packets.open_interest(KEY, 0) + quote, RECEIVED_MS).oi.tolist() == [0]


def test_cash_and_indices_have_no_open_interest() -> None:
    """The zero that a full packet carries for a share is a filler."""
    ticks = decoder().decode(packets.full("NSE_EQ:2885", 1_540.0, 1, WIRE_S, 10, 0), RECEIVED_MS)
    assert ticks.oi.tolist() == [NULL]


@pytest.mark.parametrize("tick_size", ["0.05", "0.01", "0.0025", "0.1", "1", "5"])
@given(data=st.data())
def test_every_price_of_a_tick_size_is_exact(tick_size: str, data: st.DataObject) -> None:
    """Each multiple below the documented size comes back from float32 as the decimal it was."""
    size = Fraction(tick_size)
    most = int(min(largest_exact_price(float(size)), 2e6) / size) - 1
    price = data.draw(st.integers(max(1, most - 50), most) | st.integers(1, most)) * size
    keys = Keys("dhan")
    keys.learn([Subscription("NSE_EQ|1", "NSE_EQ:1", float(size))])
    ticks = DhanDecoder(keys).decode(packets.ticker("NSE_EQ:1", float(price), WIRE_S), RECEIVED_MS)
    assert ticks.last_price.tolist() == [float(price)]


def test_the_documented_sizes() -> None:
    """Of the exchanges' tick sizes; a price above 524,288 at 0.05 can be a tick off, none was ever quoted."""
    sizes = [largest_exact_price(tick_size) for tick_size in (0.05, 0.01, 0.0025)]
    assert sizes == [524_288, 131_072, 32_768]


def test_an_unrounded_float32_is_wrong() -> None:
    """Negative control: the float32 itself isn't the price."""
    (raw,) = struct.unpack("<f", struct.pack("<f", 25_876.85))
    assert raw != 25_876.85


@pytest.mark.parametrize(("tick_size", "price"), [(0.05, 84_929.36), (0.0025, 11.3725)])
def test_indices_keep_two_decimals_at_least(tick_size: float, price: float) -> None:
    """Whatever tick size a master gives an index; India VIX has four."""
    keys = Keys("dhan")
    keys.learn([Subscription("BSE_INDEX|SENSEX", "IDX_I:51", tick_size)])
    ticks = DhanDecoder(keys).decode(packets.ticker("IDX_I:51", price, WIRE_S), RECEIVED_MS)
    assert ticks.last_price.tolist() == [price]


def test_a_tick_size_that_changes_counts_from_then_on() -> None:
    """Exchanges change them by the month; the process and its connection may run on."""
    keys = Keys("dhan")
    keys.learn([Subscription("NSE_EQ|1", "NSE_EQ:1", 0.05)])
    decoder = DhanDecoder(keys)
    frame = packets.ticker("NSE_EQ:1", 123.43, WIRE_S)
    assert decoder.decode(frame, RECEIVED_MS).last_price.tolist() == [123.45]
    keys.learn([Subscription("NSE_EQ|1", "NSE_EQ:1", 0.01)])
    assert decoder.decode(frame, RECEIVED_MS).last_price.tolist() == [123.43]


@pytest.mark.parametrize("tick_size", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_tick_size(tick_size: float) -> None:
    """Falls back to two decimals rather than raising in mid-market."""
    keys = Keys("dhan")
    keys.learn([Subscription("NSE_EQ|1", "NSE_EQ:1", tick_size)])
    ticks = DhanDecoder(keys).decode(packets.ticker("NSE_EQ:1", 10.37, WIRE_S), RECEIVED_MS)
    assert ticks.last_price.tolist() == [10.37]


def test_keys_learnt_while_it_works() -> None:
    """A tick of what is subscribed later is unknown before, known after."""
    keys = Keys("dhan")
    made = DhanDecoder(keys)
    packet = packets.ticker(KEY, 12.0, WIRE_S)
    assert len(made.decode(packet, RECEIVED_MS)) == 0
    assert made.dropped == {"unknown": 1}
    keys.learn([Subscription("NSE_FO|2885", KEY), Subscription("NSE_FO|x", "no such key")])
    assert len(made.decode(packet, RECEIVED_MS)) == 1


@pytest.mark.parametrize(
    ("frame", "reason", "count"),
    [
        (packets.ticker(KEY, 12.0, WIRE_S)[:-1], "malformed", 0),
        (packets.ticker(KEY, 12.0, WIRE_S) + b"\x04\x32", "malformed", 1),
        (b"\x02\x11\x00" + packets.ticker(KEY, 12.0, WIRE_S)[3:], "malformed", 0),
        (b"\x63\x0c\x00" + bytes(9) + packets.ticker(KEY, 12.0, WIRE_S), "malformed", 1),
        (packets.ticker("NSE_EQ:1", 12.0, WIRE_S), "unknown", 0),
        (packets.ticker(KEY, 0.0, WIRE_S), "no_price", 0),
        (packets.ticker(KEY, float("nan"), WIRE_S), "no_price", 0),
        (packets.ticker(KEY, 0.001, WIRE_S), "no_price", 0),
        (packets.ticker(KEY, 12.0, 0), "no_time", 0),
    ],
)
def test_what_is_no_tick_is_counted(frame: bytes, reason: str, count: int) -> None:
    """Cut short, of a wrong length, of an unknown kind or instrument, without price or time."""
    made = decoder()
    assert len(made.decode(frame, RECEIVED_MS)) == count
    assert made.dropped == {reason: 1}


def test_a_length_without_the_header_is_right_too() -> None:
    """Dhan's documentation doesn't say whether the length counts the header's eight bytes."""
    packet = packets.quote(KEY, 12.0, 1, WIRE_S, 5)
    frame = (packet[:1] + b"\x2a\x00" + packet[3:]) * 2
    assert len(decoder().decode(frame, RECEIVED_MS)) == 2


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        (805, Trouble.REFUSED), (806, Trouble.REFUSED), (807, Trouble.TOKEN), (808, Trouble.TOKEN),
        (809, Trouble.TOKEN), (999, Trouble.REFUSED),
    ],
)  # fmt: skip
def test_a_disconnect_is_a_verdict(reason: int, trouble: Trouble) -> None:
    """The first one counts; the frame's ticks are still ticks."""
    made = decoder()
    frame = packets.ticker(KEY, 12.0, WIRE_S) + packets.disconnect(reason) + packets.disconnect(800)
    assert len(made.decode(frame, RECEIVED_MS)) == 1
    assert made.verdict is not None
    assert made.verdict[0] is trouble
    assert made.verdict[1].startswith(f"Dhan {reason}: ")
