from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.venues.dhan.venue import DhanVenue


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Every test ends with the threads it began with."""
    before = set(threading.enumerate())
    yield
    assert not set(threading.enumerate()) - before


@pytest.fixture
def venue() -> Iterator[DhanVenue]:
    """A server of Dhan's, gone afterwards."""
    with DhanVenue() as running:
        yield running
