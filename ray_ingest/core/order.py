"""Stable ordering of small integers, several times faster than a comparison sort."""

import numpy as np
import numpy.typing as npt


def stable_order(keys: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Indices that sort non-negative integers ascending, equals in their given order.

    numpy sorts 16-bit integers by radix in linear time, so larger keys are sorted digit by digit.
    """
    digits = keys.astype(np.uint16)
    order = np.argsort(digits, kind="stable")
    highest = int(keys.max(initial=0))
    shift = 16
    while highest >> shift:
        digits = ((keys >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
        shift += 16
    return order


def group_starts(sorted_keys: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Index of the first element of every run of equal keys; empty for an empty input."""
    if not len(sorted_keys):
        return np.zeros(0, np.intp)
    return np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))
