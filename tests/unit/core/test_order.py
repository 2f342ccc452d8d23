"""The radix order and the group bounds that aggregation is built on."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.order import group_starts, stable_order

NUMBERS = st.one_of(
    st.integers(0, 3), st.sampled_from([0xFFFF, 0x10000, 2**32, 2**48 - 1, 2**48]), st.integers(0, 2**63 - 1)
)


@given(st.lists(NUMBERS, max_size=60))
def test_stable_order_equals_a_stable_sort(keys: list[int]) -> None:
    """Whatever the size of the numbers, ascending, and equals in their given order."""
    order = stable_order(np.array(keys, np.int64)).tolist()
    assert order == sorted(range(len(keys)), key=lambda place: keys[place])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64, np.uint64])
def test_stable_order_takes_any_integer_type(dtype: type) -> None:
    """Up to the type's own largest number."""
    largest = int(np.iinfo(dtype).max)
    keys: npt.NDArray[Any] = np.array([largest, 0, largest, 1], dtype)
    assert stable_order(keys).tolist() == [1, 3, 0, 2]


@given(st.lists(st.integers(0, 3), max_size=40).map(sorted))
def test_groups_start_where_a_key_is_new(keys: list[int]) -> None:
    """One start a distinct key, each at its first place; none for nothing."""
    assert group_starts(np.array(keys, np.int64)).tolist() == [keys.index(key) for key in sorted({*keys})]
