"""Waits between attempts: random below a bound that doubles, slower where the server said no."""

from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.backoff import Backoff, BackoffSettings
from ray_ingest.core.connection import Trouble

SETTINGS = BackoffSettings(
    first_s=1.0, longest_s=8.0, refused_first_s=4.0, refused_longest_s=64.0, healthy_s=30.0
)


def bounds(trouble: Trouble, healthy_s: list[float]) -> list[float]:
    """Upper bounds of successive waits, after connections that did well for so long."""
    backoff = Backoff(SETTINGS, lambda: 1.0)
    return [backoff.wait_s(trouble, seconds) for seconds in healthy_s]


def test_the_bound_doubles_up_to_the_longest() -> None:
    """A server that is away is asked less and less often, but never given up."""
    assert bounds(Trouble.NETWORK, [0] * 6) == [1, 2, 4, 8, 8, 8]


def test_a_server_that_says_no_is_asked_more_slowly() -> None:
    """Refusals have a scale of their own."""
    assert bounds(Trouble.REFUSED, [0] * 6) == [4, 8, 16, 32, 64, 64]


def test_a_while_of_health_begins_anew() -> None:
    """A connection that brought ticks for long enough owes nothing to the failures before it; a shorter one
    does, or a broker that cuts everybody off at once would be hammered."""
    assert bounds(Trouble.CLOSED, [0, 0, 29, 30, 0]) == [1, 2, 4, 1, 2]


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 2_000))
def test_waits_are_spread_over_the_whole_bound(share: float, failures: int) -> None:
    """Full jitter, so that many clients don't come back at once; and no number of failures overflows."""
    backoff = Backoff(SETTINGS, lambda: share)
    for _ in range(failures):
        backoff.wait_s(Trouble.NETWORK, 0.0)
    assert backoff.wait_s(Trouble.NETWORK, 0.0) == share * min(8.0, 2.0 ** min(failures, 10))
