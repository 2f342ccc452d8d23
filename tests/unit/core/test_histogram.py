"""Counts by bucket: each value in exactly one, on a bound in the lower; and the newest values."""

from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.histogram import BATCH_TICKS, SECONDS, Histogram, Recent


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 1.5, 2.0, 2.5]), st.integers(0, 9))))
def test_every_value_is_in_one_bucket_as_often_as_it_came(values: list[tuple[float, int]]) -> None:
    """Prometheus adds the buckets up: what is in two or in none falsifies every quantile."""
    histogram = Histogram((1.0, 2.0))
    for value, count in values:
        histogram.add(value, count)
    assert sum(histogram.counts) == sum(count for _, count in values)
    assert histogram.counts[0] == sum(count for value, count in values if value <= 1)
    assert histogram.counts[2] == sum(count for value, count in values if value > 2)
    assert histogram.sum == sum(value * count for value, count in values)


def test_bounds_ascend() -> None:
    """A value is looked up by bisection."""
    for bounds in (SECONDS, BATCH_TICKS):
        assert list(bounds) == sorted(set(bounds))


@given(st.integers(1, 5), st.lists(st.floats(0, 9)))
def test_the_newest_values_are_kept(capacity: int, values: list[float]) -> None:
    """What is told "of late" has nothing that is older than what it leaves out."""
    recent = Recent(capacity)
    for value in values:
        recent.add(value)
    assert sorted(recent.values.tolist()) == sorted(values[-capacity:])
