"""Measured values, summed up: how often which size came, and which came of late."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    1800.0,
)
"""Upper bounds of delays, from a commit on an idle machine to a store that was away for half an hour."""

BATCH_TICKS = (1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 1999.0, 2000.0, 5000.0)
"""Upper bounds of batch sizes; 2,000 is what a full batch has by default."""


class Histogram:
    """`counts` by bucket, each up to its bound, the last one beyond all; `sum` of all values."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._bounds = bounds

    def add(self, value: float, count: int = 1) -> None:
        """The same value, `count` times."""
        self.counts[bisect_left(self._bounds, value)] += count
        self.sum += value * count


class Recent:
    """The newest values, `capacity` of them at most, in no order."""

    def __init__(self, capacity: int) -> None:
        self._values = np.zeros(capacity)
        self._count = 0

    def add(self, value: float) -> None:
        """One more; the oldest goes where there is no room."""
        self._values[self._count % len(self._values)] = value
        self._count += 1

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """As a view: what is added later changes it."""
        return self._values[: self._count]
