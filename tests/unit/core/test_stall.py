"""The stall watch: a mute connection is found soon, and a quiet market is no mute connection."""

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.core.stall import StallSettings, StallWatch

OPEN = frozenset({"equities"})
SHUT: frozenset[str] = frozenset()
LOOK_S = 0.1


def watched(
    watch: StallWatch,
    frames: Iterable[float],
    end_s: float,
    active: frozenset[str] = OPEN,
    from_s: float = 0.0,
) -> float | None:
    """When the first alarm comes, looking every `LOOK_S` from `from_s` to `end_s`; None without one."""
    frames = iter(frames)
    following = next(frames, None)
    now_s = from_s
    while now_s < end_s:
        now_s += LOOK_S
        while following is not None and following <= now_s:
            watch.frame(following, active)
            following = next(frames, None)
        if watch.stall(now_s, active):
            return now_s
    return None


def arrivals(rng: random.Random, mean_s: float, number: int) -> Iterator[float]:
    """Times of a random stream."""
    now_s = 0.0
    for _ in range(number):
        now_s += rng.expovariate(1 / mean_s)
        yield now_s


def new_watch() -> StallWatch:
    """One whose connection has just subscribed."""
    watch = StallWatch(StallSettings())
    watch.subscribed(0.0)
    return watch


@given(st.lists(st.floats(0.02, 0.95), min_size=250, max_size=400), st.floats(0.4, 0.95))
@settings(max_examples=60)
def test_a_mute_connection_is_found_within_5_s(gaps: list[float], one_gap: float) -> None:
    """Whatever the rhythm of a busy session is, if its gaps are below a second."""
    times, now_s = [], 0.0
    for gap in [*gaps, one_gap]:
        now_s += gap
        times.append(now_s)
    alarm = watched(new_watch(), times, now_s + 6)
    assert alarm is not None
    assert now_s < alarm <= now_s + 5.0


@given(st.integers(0, 2**32), st.floats(0.02, 600.0))
@settings(max_examples=150, derandomize=True)
def test_a_random_stream_of_any_rate_raises_no_alarm(seed: int, mean_s: float) -> None:
    """An illiquid set is silent for as long as its rate makes likely, now and then for much longer."""
    rng = random.Random(seed)
    watch = new_watch()
    last = 0.0
    for time_s in arrivals(rng, mean_s, 1_500):
        if time_s - last > 4.0:
            assert not watch.stall(time_s - 0.001, OPEN)
        watch.frame(time_s, OPEN)
        last = time_s


def test_with_too_little_surprise_asked_for_the_same_streams_alarm() -> None:
    """Negative control of the test above: without asking how likely a silence is, illiquid sets alarm."""
    watch = StallWatch(StallSettings(surprise=2.0))
    watch.subscribed(0.0)
    assert watched(watch, arrivals(random.Random(1), 20.0, 200), 4_000) is not None


@given(st.lists(st.floats(0.02, 900.0), max_size=60), st.booleans())
def test_nothing_is_stale_while_nothing_trades(gaps: list[float], subscribed: bool) -> None:
    """Nights, holidays and auctions raise no alarm, however busy the session was before."""
    watch = new_watch()
    busy = [n / 10 for n in range(1_000)]
    assert watched(watch, busy, 100.0) is None
    now_s = 100.0
    if subscribed:
        watch.subscribed(now_s)
    for gap in gaps:
        now_s += gap
        assert not watch.stall(now_s, SHUT)
        watch.frame(now_s, SHUT)
    assert not watch.stall(now_s + 100_000, SHUT)


def test_silence_counts_from_the_opening() -> None:
    """At 09:15 the quiet hours before it are no silence; a connection that stays mute is found then."""
    watch = new_watch()
    assert watched(watch, [n / 10 for n in range(1_000)], 100.0) is None
    assert watched(watch, [], 60_000.0, SHUT, from_s=100.0) is None
    alarm = watched(watch, [], 60_100.0, OPEN, from_s=60_000.0)
    assert alarm == pytest.approx(60_004.6, abs=0.2)


def test_the_silence_of_other_classes_is_another_matter() -> None:
    """When equities close, what was usual with them says nothing of the commodities that trade on."""
    watch = new_watch()
    both, rest = frozenset({"equities", "commodities"}), frozenset({"commodities"})
    assert watched(watch, [n / 10 for n in range(1_000)], 100.0, both) is None
    slow = arrivals(random.Random(3), 40.0, 100)
    assert watched(watch, [100 + time_s for time_s in slow], 4_000.0, rest, from_s=100.0) is None


def test_nothing_at_all_after_subscribing_is_stale_and_asked_more_slowly() -> None:
    """Brokers answer a subscription with a snapshot: without any frame for 5 s the connection is bad; when
    new ones are no better, it is perhaps the instruments that never trade."""
    watch, now_s, waits = StallWatch(StallSettings()), 0.0, []
    for _ in range(4):
        watch.subscribed(now_s)
        alarm = watched(watch, [], now_s + 100, from_s=now_s)
        assert alarm is not None
        waits.append(alarm - now_s)
        now_s = alarm
    assert waits == pytest.approx([4.5, 9, 18, 36], abs=0.2)


def test_a_snapshot_and_then_silence_is_no_alarm() -> None:
    """One illiquid option: the answer to the subscription, and then nothing for hours."""
    assert watched(new_watch(), [0.3, 0.31, 0.4], 5_000) is None


def first_alarm_of_the_day(instruments: int) -> float | None:
    """Of a connection made before the opening at 4,500 s, which answered and is silent ever since."""
    watch = new_watch()
    watch.frame(0.5, SHUT)
    assert not watch.stall(4_499.9, SHUT, instruments)
    looks = (4_500 + n / 10 for n in range(200_000))
    return next((now_s for now_s in looks if watch.stall(now_s, OPEN, instruments)), None)


def test_many_instruments_that_stay_silent_after_the_first_opening_are_mute() -> None:
    """Nothing is known of their gaps yet, but of fifty one is traded in a minute; of a few perhaps none."""
    assert first_alarm_of_the_day(50) == pytest.approx(4_560, abs=0.2)
    assert first_alarm_of_the_day(49) is None


def test_many_instruments_that_never_trade_alarm_once() -> None:
    """The new connection answers and is silent, too: then it is their way."""
    watch = new_watch()
    watch.frame(0.5, OPEN)
    assert watch.stall(61.0, OPEN, 50)
    watch.subscribed(62.0)
    watch.frame(62.5, OPEN)
    assert not watch.stall(20_000.0, OPEN, 50)


def test_a_false_alarm_teaches() -> None:
    """An instrument that was busy for a minute and then sleeps alarms a few times, less and less often: each
    new subscription is answered, and silent again."""
    watch = new_watch()
    alarms = []
    now_s, frames = 0.0, [n / 5 for n in range(300)]
    while (alarm := watched(watch, frames, 20_000, from_s=now_s)) is not None:
        alarms.append(alarm)
        now_s, frames = alarm, [alarm + 0.5]
        watch.subscribed(now_s)
    assert 2 <= len(alarms) <= 8
    gaps = [after - before for before, after in pairwise(alarms[1:])]
    assert all(later > 2 * earlier for earlier, later in pairwise(gaps))


def test_a_broker_that_was_in_trouble_for_long_is_not_taken_for_quiet_afterwards() -> None:
    """It answered new subscriptions and fell mute again, so its silences grew; once it ticks as before, a
    mute connection is found as soon as ever."""
    watch = new_watch()
    now_s, frames = 0.0, [n / 10 for n in range(600)]
    for _ in range(4):
        alarm = watched(watch, frames, now_s + 20_000, from_s=now_s)
        assert alarm is not None
        now_s, frames = alarm, [alarm + 0.5]
        watch.subscribed(now_s)
    back = [now_s + n / 10 for n in range(60)]
    alarm = watched(watch, back, now_s + 1_000, from_s=now_s)
    assert alarm is not None
    assert alarm - back[-1] <= 5.0


def test_who_was_asleep_himself_blames_nobody() -> None:
    """After a suspended process goes on, silence counts from there."""
    watch = new_watch()
    assert watched(watch, [n / 10 for n in range(1_000)], 100.0) is None
    watch.resumed(500.0)
    assert not watch.stall(500.1, OPEN)
    assert watch.stall(504.7, OPEN)


def test_after_less_is_subscribed_it_learns_anew() -> None:
    """2,000 instruments less are another stream."""
    watch = new_watch()
    assert watched(watch, [n / 10 for n in range(1_000)], 100.0) is None
    watch.forget()
    assert watched(watch, [], 1_000.0, from_s=100.0) is None


def test_an_alarm_is_said_once() -> None:
    """The connection is over then; nothing is expected until the next subscription."""
    watch = new_watch()
    assert watched(watch, [n / 10 for n in range(1_000)], 200.0) is not None
    assert watched(watch, [], 300.0, from_s=200.0) is None
