"""When a minute is certainly over: the slowest producer decides, silent and ended ones hold nothing up."""

from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.watermark import END_OF_TIME_MS, Watermark, WatermarkSettings

SETTINGS = WatermarkSettings(lateness_ms=2_000, silence_ms=10_000, grace_ms=3_000)
T = 1_000_000_000
NOW = 5_000_000_000


def bounded(*heard: tuple[str, int]) -> Watermark:
    """A watermark that has heard these bounded producers at `NOW`."""
    watermark = Watermark(SETTINGS)
    for producer, newest in heard:
        watermark.hear(producer, newest, NOW, live=False)
    return watermark


def test_before_anybody_is_heard_nothing_is_over() -> None:
    """An owner without producers closes nothing."""
    assert Watermark(SETTINGS).at(NOW) == 0


def test_it_is_the_newest_event_less_the_lateness() -> None:
    """One producer: its newest event, whatever is heard after it of older ones."""
    watermark = bounded(("a", T), ("a", T + 5_000), ("a", T + 1_000))
    assert watermark.at(NOW) == T + 3_000


def test_the_slowest_producer_holds_it_back() -> None:
    """Of two the one behind counts, and one without a tick yet holds all back."""
    watermark = bounded(("a", T + 60_000), ("b", T))
    assert watermark.at(NOW) == T - 2_000
    assert bounded(("a", T), ("b", 0)).at(NOW) == 0


def test_a_silent_producer_stops_counting() -> None:
    """After the silence, to the millisecond, the others go on without it; its heartbeats are no ticks."""
    watermark = bounded(("a", T), ("b", T + 1_000))
    watermark.hear("a", T, NOW + 9_000, live=False)
    watermark.hear("b", T + 60_000, NOW + 9_000, live=False)
    assert watermark.at(NOW + 9_999) == T - 2_000
    assert watermark.at(NOW + 10_000) == T + 58_000


def test_when_all_are_silent_it_stays() -> None:
    """Bounded producers that stopped sending close nothing until they end or go on."""
    watermark = bounded(("a", T))
    assert watermark.at(NOW + 10**9) == 0
    watermark.hear("a", T + 5, NOW + 10**9, live=False)
    assert watermark.at(NOW + 10**9) == T - 1_995


def test_an_ended_producer_holds_nothing_back_and_the_last_ends_all() -> None:
    """When every bounded producer has ended everything is over, and a new one starts time again."""
    watermark = bounded(("a", T), ("b", T + 60_000))
    watermark.end("a")
    assert watermark.at(NOW) == T + 58_000
    watermark.end("b")
    assert watermark.at(NOW) == END_OF_TIME_MS
    watermark.hear("c", T, NOW, live=False)
    assert watermark.at(NOW) == T + 58_000


def test_the_end_waits_for_a_silent_producer() -> None:
    """One has ended, the other only fell silent: nothing is over that wasn't before."""
    watermark = bounded(("a", T), ("b", T))
    watermark.end("a")
    assert watermark.at(NOW + 10**9) == 0


def test_the_wall_clock_closes_live_minutes_only() -> None:
    """A live feed's minutes are over a grace after their end by the clock; a replay's never by the clock."""
    live = Watermark(SETTINGS)
    live.hear("a", NOW - 60_000, NOW, live=True)
    assert live.at(NOW) == NOW - 3_000
    assert bounded(("a", T)).at(NOW) == T - 2_000


def test_an_ended_bounded_producer_beside_a_live_one_ends_nothing() -> None:
    """Time goes on by the live one's clock."""
    watermark = bounded(("a", T))
    watermark.hear("b", NOW, NOW, live=True)
    watermark.end("a")
    assert watermark.at(NOW) == NOW - 2_000


def test_after_a_reset_time_starts_again() -> None:
    """A store that went back gets old ticks again: their minutes mustn't be over before they are applied."""
    watermark = bounded(("a", T + 60_000), ("b", T + 60_000))
    watermark.end("b")
    assert watermark.at(NOW) == T + 58_000
    watermark.reset()
    assert watermark.at(NOW) == 0
    watermark.hear("a", T, NOW, live=False)
    assert watermark.at(NOW) == T - 2_000


steps = st.tuples(st.sampled_from("abc"), st.integers(0, 30_000), st.integers(0, 6_000), st.booleans())


@given(st.lists(steps, max_size=30))
def test_it_never_falls_and_equals_its_plain_twin(heard: list[tuple[str, int, int, bool]]) -> None:
    """However producers jump, fall silent and come back: the least newest event of those not silent, less the
    lateness, or the clock less the grace where one is live, and never less than it was."""
    watermark, now, value = Watermark(SETTINGS), NOW, 0
    newest: dict[str, int] = {}
    moved: dict[str, int] = {}
    live: dict[str, bool] = {}
    for producer, event, passed, is_live in heard:
        now += passed
        watermark.hear(producer, event, now, is_live)
        live[producer] = is_live
        if producer not in newest or event > newest[producer]:
            newest[producer], moved[producer] = event, now
        speaking = [newest[p] for p in newest if now - moved[p] < 10_000]
        candidates = [min(speaking) - 2_000] if speaking else []
        candidates += [now - 3_000] if any(live.values()) else []
        value = max(value, *candidates, 0)
        assert watermark.at(now) == value
