"""Frames of our own making with what they decode to, and real ones against the SDK's own dict."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from ray_ingest.feeds.brokers.upstox import ADAPTER
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.feeds.upstox_capture import upstox_rows
from ray_ingest.model import NULL
from tests.venues.upstox import encoding
from tests.venues.upstox.make_frames import FOLDER, KEYS, examples
from tests.venues.upstox.twin import Twin

RECEIVED_MS = 1_769_160_600_000


def decode(payload: bytes, names: set[str]) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Ticks by key as the JSON files have them, and what was dropped; a key stands for its own name."""
    keys = Keys("upstox")
    keys.learn(Subscription(f"TEST|{number}", key) for number, key in enumerate(sorted(names)))
    key_of = {instrument: key for key, instrument in keys.ids.items()}
    decoder = ADAPTER.decoder(keys)
    columns = decoder.decode(payload, RECEIVED_MS)
    fields = ("event_time_ms", "last_price", "last_qty", "day_volume", "oi")
    ticks = {}
    for row, instrument in enumerate(columns.instrument.tolist()):
        values = {name: getattr(columns, name)[row].item() for name in fields}
        ticks[key_of[instrument]] = {k: None if v == NULL else v for k, v in values.items()}
    return ticks, dict(decoder.dropped)


def twin_ticks(payload: bytes, names: set[str]) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """The same from the SDK's dict."""
    twin = Twin(payload, names)
    return {key: tick._asdict() for key, tick in twin.ticks.items()}, dict(twin.dropped)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.hex")))
def test_a_frame_decodes_to_what_stands_beside_it(name: str) -> None:
    """A frame in the folder is a test: a user's odd one needs no code."""
    payload = bytes.fromhex((FOLDER / f"{name}.hex").read_text())
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    assert decode(payload, KEYS) == (expected["ticks"], expected["dropped"])


def test_the_folder_holds_every_example() -> None:
    """What the script makes is what is kept."""
    kept = {path.stem: bytes.fromhex(path.read_text()) for path in FOLDER.glob("*.hex")}
    assert kept == examples()


def test_public_frames_decode_as_the_sdk_decodes_them(shared_data: Path) -> None:
    """Four frames from the outside world and one cut short, which is counted and gives nothing."""
    frames = json.loads((shared_data / "upstox_v3_frames" / "frames.json").read_text())
    for name, entry in frames.items():
        payload, wanted = bytes.fromhex(entry["hex"]), entry["decoded_by_official_sdk"]
        names = set((wanted or {}).get("feeds", {}))
        assert decode(payload, names) == twin_ticks(payload, names), name
    by_name = {name: bytes.fromhex(entry["hex"]) for name, entry in frames.items()}
    assert decode(by_name["LTPC_FRAME"], {"NSE_INDEX|Nifty 50"})[0]["NSE_INDEX|Nifty 50"] == {
        "event_time_ms": 1_754_299_999_000,
        "last_price": 24_836.3,
        "last_qty": None,
        "day_volume": None,
        "oi": None,
    }
    assert decode(by_name["MULTI_FRAME"], {"MCX_FO|426195"}) == ({}, {"no_time": 1, "unknown": 2})
    assert decode(by_name["TRUNCATED_REAL_LOG_FRAME"], set()) == ({}, {"malformed": 1})


def test_real_messages_give_the_ticks_that_a_replay_of_their_capture_gives(shared_data: Path) -> None:
    """A hundred messages as the SDK decoded them, encoded again by its classes: the same ticks either way."""
    path = shared_data / "upstox_v3_wrapped_20260123" / "raw_tick_data.json"
    messages = json.loads(path.read_text())[::-1]
    got: list[tuple[str, dict[str, Any]]] = []
    for message in messages:
        message.pop("_id")
        frame = ParseDict(message, encoding.proto.FeedResponse()).SerializeToString()
        names = set(message["feeds"])
        assert decode(frame, names) == twin_ticks(frame, names)
        got += sorted(decode(frame, names)[0].items())
    skipped: Counter[str] = Counter()
    fields = ("event_time_ms", "last_price", "last_qty", "day_volume", "oi")
    replayed = [
        (f"{row.exchange}|{row.token}", {name: getattr(row, name) for name in fields})
        for row in upstox_rows([path], UTC, skipped)
    ]
    assert not skipped
    assert len(got) == len(replayed) == 859
    assert sorted(got, key=repr) == sorted(replayed, key=repr)
