"""Passes combined are one pass: how an owner cuts its ticks into passes never shows."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.core.aggregate import combine
from tests.unit.core.test_aggregate import Sent, as_dict, passed, sent_ticks


@settings(max_examples=300)
@given(ticks=st.lists(sent_ticks(), min_size=1, max_size=30), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_combined_passes_equal_one_pass(ticks: list[Sent], cuts: list[int]) -> None:
    """Whatever the ticks and the cuts, the passes' rows combined are the rows of all ticks at once."""
    edges = [0, *sorted(min(cut, len(ticks)) for cut in cuts), len(ticks)]
    parts = [passed(ticks[a:b]) for a, b in pairwise(edges)]
    combined, whole = combine(parts), passed(ticks)
    assert as_dict(combined) == as_dict(whole)
    keys = list(
        zip(
            combined.instrument.tolist(), combined.day.tolist(), combined.rows["minute"].tolist(), strict=True
        )
    )
    assert keys == sorted(keys)


def test_nothing_combined_is_nothing() -> None:
    """Passes without a tick combine to no rows."""
    assert len(combine([passed([]), passed([])])) == 0
    assert np.array_equal(combine([passed([])]).rows, passed([]).rows)
