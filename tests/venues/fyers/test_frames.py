"""The frames in `frames/`: those of one connection in hex, and the ticks they give by symbol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.fyers_frames import FyersDecoder
from ray_ingest.feeds.session.adapter import Keys
from tests.venues.fyers.fuzz import LAST, SUBSCRIPTIONS, check, mutants, rows

CASES = sorted((Path(__file__).parent / "frames").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_frame_says_what_is_noted(path: Path) -> None:
    """A user's odd frame, put here, stays decoded as it was once understood."""
    case = json.loads(path.read_text())
    keys = Keys("fyers")
    keys.learn(SUBSCRIPTIONS)
    symbols = {instrument: symbol for symbol, instrument in keys.ids.items()}
    decoder = FyersDecoder(keys)
    blocks = [decoder.decode(bytes.fromhex(frame), 0) for frame in case["frames"]]
    ticks = [[symbols[first], *rest] for block in blocks for first, *rest in rows(block)]
    assert ticks == case["ticks"]
    assert decoder.dropped == case["dropped"]
    assert (list(decoder.verdict) if decoder.verdict else None) == case["verdict"]


def test_the_twin_sees_a_topic_kept_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a decoder that keeps its topics after a frame it couldn't read is found by the mutants."""

    def keep(self: FyersDecoder, why: str) -> None:
        self.verdict = (Trouble.PROTOCOL, why)

    monkeypatch.setattr(FyersDecoder, "_doubt", keep)
    with pytest.raises(AssertionError):
        list(map(check, mutants(1, 200)))
    assert check(LAST) == 3
