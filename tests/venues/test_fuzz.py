"""Mutated frames: 20,000 a broker here, a million with `make fuzz`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from ray_ingest.feeds.brokers.dhan_frames import DhanDecoder
from ray_ingest.model import TickColumns
from tests.venues import fuzz


@pytest.mark.parametrize("broker", fuzz.BROKERS)
def test_a_decoder_gives_what_its_twin_gives(broker: str) -> None:
    """Whatever bytes arrive, a decoder doesn't raise or hang, and its ticks and drops are the twin's."""
    outcome = fuzz.run_batch(broker, seed=1, frames=20_000)
    assert not outcome.failure
    assert outcome.frames == 20_000
    assert outcome.ticks > 1_000
    assert outcome.drops.total() > 1_000


@pytest.mark.parametrize("broker", fuzz.BROKERS)
def test_mutants_are_the_same_for_the_same_seed(broker: str) -> None:
    """A seed that failed can be run again."""
    module = import_module(f"tests.venues.{broker}.fuzz")
    assert list(module.mutants(7, 50)) == list(module.mutants(7, 50))
    assert list(module.mutants(7, 50)) != list(module.mutants(8, 50))


def test_a_wrong_price_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison sees one paisa: the fuzzer can fail, and says frame and seed."""
    plain = DhanDecoder.decode

    def decode(self: DhanDecoder, payload: bytes, received_ms: int) -> TickColumns:
        columns = plain(self, payload, received_ms)
        np.add(columns.last_price, 0.01, out=columns.last_price)
        return columns

    monkeypatch.setattr(DhanDecoder, "decode", decode)
    outcome = fuzz.run_batch("dhan", seed=3, frames=1_000)
    assert "dhan, seed 3, frame" in outcome.failure
    assert outcome.frames < 1_000


def test_a_hang_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that never comes back, and catches every Exception, is ended and named."""

    def decode(self: DhanDecoder, payload: bytes, received_ms: int) -> Any:
        while True:
            try:
                sum(range(1_000))
            except Exception:  # noqa: S112 — the very thing the guard must get through
                continue

    monkeypatch.setattr(DhanDecoder, "decode", decode)
    monkeypatch.setattr(fuzz, "FRAME_LIMIT_S", 0.2)
    assert "HangError longer than 0.2 s" in fuzz.run_batch("dhan", seed=3, frames=10).failure
