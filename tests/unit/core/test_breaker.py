"""The circuit breaker against a dumb twin that reads its state out of the whole history each time."""

from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.breaker import BreakerSettings, CircuitBreaker

SETTINGS = BreakerSettings(failures=3, open_s=1.0, longest_open_s=5.0, successes=2)

Attempt = tuple[float, bool]
"""When an attempt ended (s), and whether it succeeded."""


def twin(settings: BreakerSettings, attempts: list[Attempt]) -> tuple[bool, float]:
    """Whether it rests or probes, and when its rest ends: played through from the beginning."""
    opened_at = None
    for index in range(len(attempts)):
        row = list(takewhile(lambda attempt: not attempt[1], reversed(attempts[: index + 1])))
        if len(row) == settings.failures:
            opened_at = index
            break
    if opened_at is None:
        return False, 0.0
    until = attempts[opened_at][0] + settings.open_s
    rest, successes = settings.open_s, 0
    for index, (at, good) in enumerate(attempts[opened_at + 1 :], opened_at + 2):
        if good:
            successes += 1
            if successes == settings.successes:
                return twin(settings, attempts[index:])
        else:
            successes, rest = 0, min(2 * rest, settings.longest_open_s)
            until = at + rest
    return True, until


settings_of = st.builds(
    BreakerSettings,
    failures=st.integers(1, 4),
    open_s=st.sampled_from([0.5, 1.0]),
    longest_open_s=st.sampled_from([1.0, 3.0, 30.0]),
    successes=st.integers(1, 3),
)
steps_of = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0, 40.0]), st.booleans()), max_size=40)


@given(settings_of, steps_of)
def test_it_equals_its_twin(settings: BreakerSettings, steps: list[tuple[float, bool]]) -> None:
    """Whatever fails and however long is waited: the same attempts are allowed, the same state is shown."""
    breaker, attempts, now = CircuitBreaker(settings), list[Attempt](), 0.0
    for waited, good in steps:
        now += waited
        broken, until = twin(settings, attempts)
        assert breaker.allows(now) == (not broken or now >= until)
        state = "closed" if not broken else "open" if now < until else "half_open"
        assert breaker.state == state
        if state == "open":
            continue
        (breaker.succeeded if good else breaker.failed)(now)
        attempts.append((now, good))


def broken_at(now_s: float) -> CircuitBreaker:
    """A breaker that has just opened."""
    breaker = CircuitBreaker(SETTINGS)
    for _ in range(SETTINGS.failures):
        assert breaker.allows(now_s)
        breaker.failed(now_s)
    return breaker


def test_it_opens_at_the_threshold_and_rests() -> None:
    """Before, a retry is allowed at once; then none until the rest is over, to the moment."""
    breaker = broken_at(10.0)
    assert breaker.state == "open"
    assert not breaker.allows(10.999)
    assert breaker.allows(11.0)


def test_half_open_lets_one_attempt_through() -> None:
    """Until it is known how that one ended nothing else is sent to a store that may still be down."""
    breaker = broken_at(0.0)
    assert breaker.allows(1.0)
    assert [breaker.allows(now) for now in (1.0, 2.0, 100.0)] == [False] * 3
    assert breaker.state == "half_open"
    breaker.succeeded(100.0)
    assert breaker.allows(100.0)
    breaker.succeeded(100.0)
    assert breaker.state == "closed"


@pytest.mark.parametrize("good", [True, False])
def test_what_was_begun_before_it_opened_counts_for_nothing(good: bool) -> None:
    """A late end of an attempt neither closes it nor prolongs its rest."""
    breaker = broken_at(0.0)
    (breaker.succeeded if good else breaker.failed)(0.9)
    assert breaker.state == "open"
    assert breaker.allows(1.0)


def test_the_rest_doubles_up_to_the_longest_and_is_short_again_after_a_recovery() -> None:
    """1, 2, 4, 5, 5 s here; a store that came back and goes again is tried again after 1 s."""
    breaker, now = broken_at(0.0), 0.0
    for rest in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert not breaker.allows(now + rest - 0.001)
        now += rest
        assert breaker.allows(now)
        breaker.failed(now)
    now += 5.0
    for _ in range(SETTINGS.successes):
        assert breaker.allows(now)
        breaker.succeeded(now)
    for _ in range(SETTINGS.failures):
        breaker.failed(now)
    assert not breaker.allows(now + 0.999)
    assert breaker.allows(now + 1.0)


def test_a_success_forgives_the_failures_before_it() -> None:
    """Only failures in a row open it: now and then one fails on a sound store too."""
    breaker = CircuitBreaker(SETTINGS)
    for good in (False, False, True) * 5:
        assert breaker.allows(0.0)
        (breaker.succeeded if good else breaker.failed)(0.0)
    assert breaker.state == "closed"
