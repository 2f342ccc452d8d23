"""When people are told: against a plain twin that looks at the whole history each time, and by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.alert_conditions import COUNTED_MS, SILENT_MS, Conditions, FeedHealth, Health, Totals
from ray_ingest.core.alert_rules import (
    HOUR_MS,
    NEVER_MS,
    SUMMARY_AFTER_MS,
    AlertRules,
    AlertSettings,
    Kind,
    session_end_after,
)
from ray_ingest.core.alert_texts import Message
from ray_ingest.core.connection import ConnectionStatus, State
from tests.calendars import calendar, ms

START = ms("2026-08-05 10:00")
NAMES = ("a", "b", "c")
MANY = AlertSettings(hold_ms=3_000, calm_ms=5_000, repeat_ms=60_000, max_per_hour=10**6)

Step = tuple[int, frozenset[str]]
"""Ms since the observation before, and the actors that are silent."""

STEPS = st.lists(
    st.tuples(st.integers(1, 4_000), st.frozensets(st.sampled_from(NAMES))), min_size=1, max_size=80
)


def health(now_ms: int, silent: Sequence[str] | frozenset[str] = (), **more: Any) -> Health:
    """One running feed, and some actors that don't answer."""
    feeds = more.pop("feeds", (FeedHealth("sim", "running"),))
    return Health(now_ms, feeds, silent_since_ms=dict.fromkeys(sorted(silent), now_ms - SILENT_MS), **more)


def told(settings: AlertSettings, steps: Sequence[Step]) -> list[tuple[int, Message]]:
    """Every message but the start's, with its time."""
    rules, now_ms, found = AlertRules(settings), START, []
    for passed_ms, silent in steps:
        now_ms += passed_ms
        found += [(now_ms, message) for message in rules.observe(health(now_ms, silent))]
    return [(at, message) for at, message in found if message.kind is not Kind.STARTED]


def twin(settings: AlertSettings, steps: Sequence[Step], name: str) -> list[tuple[int, Kind]]:
    """What is told of one name, without a limit: its history is gone through afresh at each observation."""
    times, found = [START], []
    for passed_ms, _ in steps:
        times.append(times[-1] + passed_ms)
    here = [False] + [name in silent for _, silent in steps]
    begin = 1  # of the present episode
    last_told = None
    for now in range(1, len(times)):
        seen = [i for i in range(begin, now + 1) if here[i]]
        if not seen:
            continue
        held = sum(times[i] - times[i - 1] for i in seen if i > begin and here[i - 1])
        away = times[now] - times[seen[-1]]
        if here[now] and last_told is None and held >= settings.hold_ms:
            found.append((times[now], Kind.DEGRADED))
            last_told = times[now]
        elif here[now] and last_told is not None and times[now] - last_told >= settings.repeat_ms:
            found.append((times[now], Kind.STILL))
            last_told = times[now]
        elif not here[now] and away >= settings.calm_ms:
            if last_told is not None:
                found.append((times[now], Kind.RECOVERED))
            begin, last_told = now + 1, None
    return found


@given(STEPS, st.sampled_from([0, 1_000, 3_000]), st.sampled_from([0, 2_000, 9_000]))
def test_each_condition_is_told_as_the_twin_says(steps: list[Step], hold_ms: int, calm_ms: int) -> None:
    """Beginning, reminders and end of each of several conditions, at the very observations, whatever comes
    and goes in between; conditions don't touch each other."""
    settings = replace(MANY, hold_ms=hold_ms, calm_ms=calm_ms, repeat_ms=20_000)
    found = told(settings, steps)
    for name in NAMES:
        of_name = [(at, message.kind) for at, message in found if message.key == f"{name} silent"]
        assert of_name == twin(settings, steps, name)


@given(STEPS, st.integers(2, 8))
def test_no_limit_makes_a_condition_told_twice_or_leaves_it_without_an_end(
    steps: list[Step], most: int
) -> None:
    """With any limit an alert, its reminders and its end follow each other in this order; once all is well
    for some hours every alert has had its end; and no hour has more messages than allowed."""
    well: Step = (HOUR_MS // 4, frozenset())
    settings = replace(MANY, hold_ms=1_000, repeat_ms=10_000, max_per_hour=most)
    found = told(settings, [*steps, *[well] * 12])
    for name in NAMES:
        open_now = False
        for _, message in found:
            if message.key == f"{name} silent":
                assert open_now == (message.kind is not Kind.DEGRADED)
                open_now = message.kind is not Kind.RECOVERED
        assert not open_now
    times = [at for at, _ in found]
    for at in times:
        assert sum(at - HOUR_MS < other <= at for other in times) < most, "one is kept for the end of the run"


def test_a_rule_without_its_limit_is_caught() -> None:
    """Negative control: with the limit lifted the same storm breaks it, so the check above sees something."""
    storm: list[Step] = [(2_000, frozenset(NAMES)), (2_000, frozenset(NAMES)), (6_000, frozenset())] * 5
    settings = replace(MANY, hold_ms=1_000)
    assert len(told(settings, storm)) > 8
    assert len(told(replace(settings, max_per_hour=8), storm)) <= 7


def test_what_the_limit_left_out_is_named_in_the_next_message() -> None:
    """Troubles that ended before there was room to tell them are no secret: how often each came is said."""
    settings = replace(MANY, hold_ms=1_000, calm_ms=1_000, max_per_hour=4)
    blink: list[Step] = [(1_000, frozenset("b")), (1_000, frozenset("b")), (2_000, frozenset())]
    steps = [*blink, *blink, *blink, (HOUR_MS, frozenset("a")), (2_000, frozenset("a"))]
    found = [message for _, message in told(settings, steps)]
    assert [message.kind for message in found] == [Kind.DEGRADED, Kind.RECOVERED, Kind.DEGRADED]
    assert "Came and went untold, by the limit of 4 an hour: b silent (2 times)." in found[-1].text


def test_a_flapping_condition_is_one_alert() -> None:
    """Away for two seconds out of five, for minutes: one alert, and one end when it is over at last."""
    flap: list[Step] = [(1_000, frozenset("a"))] * 3 + [(1_000, frozenset())] * 2
    calm: list[Step] = [(1_000, frozenset())] * 10
    found = told(replace(MANY, repeat_ms=HOUR_MS), [*flap * 30, *calm])
    assert [message.kind for _, message in found] == [Kind.DEGRADED, Kind.RECOVERED]


def test_the_store_is_told_with_what_since_when_and_what_to_do() -> None:
    """A person reads it at a glance: what happened, since when in Indian time, what to do and where it says
    more; at the end how long it lasted."""
    rules = AlertRules(MANY)
    rules.observe(health(START))
    away: dict[str, Any] = {
        "store_trouble": "the store at unix:///s\ncan't be reached",
        "store_since_ms": START + 500,
    }
    assert rules.observe(health(START + 1_000, **away)) == []
    (degraded,) = rules.observe(health(START + 4_000, **away))
    assert (degraded.kind, degraded.key, degraded.subject) == (Kind.DEGRADED, "store", "degraded: store")
    assert degraded.text.splitlines()[:2] == [
        "What: the store at unix:///s can't be reached; ticks wait meanwhile.",
        "Since: 05 Aug 2026 10:00:00 IST, for 3 s.",
    ]
    assert degraded.text.splitlines()[2].startswith("Do: see that the store runs")
    assert degraded.text.endswith("Runbook: “The store is away”.")
    rules.observe(health(START + 190_000, **away))
    (recovered,) = rules.observe(health(START + 200_000))
    assert recovered.subject == "recovered: store"
    assert "from 05 Aug 2026 10:00:00 IST until 05 Aug 2026 10:03:10 IST, 3 min 9 s" in recovered.text


def feed_with(*connections: tuple[State, str]) -> FeedHealth:
    """A running feed of upstox with these connections, all so since 10:00."""
    made = (ConnectionStatus(f"upstox-{i}", state, START, why) for i, (state, why) in enumerate(connections))
    return FeedHealth("upstox", "running", connections=tuple(made))


@pytest.mark.parametrize(
    ("connections", "key", "what"),
    [
        ([(State.STALE, "nothing came for 6 s")], "feed upstox", "stale: nothing came for 6 s"),
        (
            [(State.LIVE, ""), (State.BACKING_OFF, "reset")],
            "feed upstox",
            "1 of 2 connections backing off: reset",
        ),
        (
            [(State.TOKEN_EXPIRED, "HTTP 401")],
            "token of upstox",
            "the token was refused or has expired: HTTP 401",
        ),
        (
            [(State.LIVE, "the token ends at 06 Aug 03:30 IST")],
            "token of upstox",
            "the token ends at 06 Aug 03:30 IST",
        ),
    ],
)
def test_a_connection_in_trouble_is_a_condition_of_its_feed(
    connections: list[tuple[State, str]], key: str, what: str
) -> None:
    """Stale, backing off, refused for its token, or living on a token that ends soon."""
    (condition,) = Conditions().of(health(START, feeds=(feed_with(*connections),)))
    assert (condition.key, condition.what, condition.since_ms) == (key, what, START)


def test_an_actor_that_only_starts_slowly_is_no_condition() -> None:
    """Silence of some seconds belongs to starting and to being replaced."""
    assert Conditions().of(replace(health(START), silent_since_ms={"a": START - SILENT_MS + 1})) == []
    assert len(Conditions().of(health(START, "a"))) == 1


def test_connections_that_are_well_or_on_their_way_are_no_condition() -> None:
    """Live and connecting ones tell nobody anything."""
    feed = feed_with((State.LIVE, ""), (State.CONNECTING, ""), (State.AUTHENTICATING, ""))
    assert Conditions().of(health(START, feeds=(feed,))) == []


def test_a_token_that_was_to_end_and_ends_is_told_again_at_once() -> None:
    """The warning half an hour before isn't the last word; the refusal doesn't wait for the reminder."""
    rules = AlertRules(replace(MANY, hold_ms=0, repeat_ms=HOUR_MS))
    warned, expired = feed_with((State.LIVE, "the token ends")), feed_with((State.TOKEN_EXPIRED, "401"))
    kinds = [
        [m.kind for m in rules.observe(health(START + at, feeds=(feed,)))]
        for at, feed in ((0, warned), (1_000, warned), (2_000, expired), (3_000, expired))
    ]
    assert kinds == [[Kind.STARTED, Kind.DEGRADED], [], [Kind.DEGRADED], []]


def test_feeds_that_failed_or_wait_for_the_journal_are_conditions() -> None:
    """One of several feeds may fail while the others go on; one that can't write its journal waits."""
    feeds = (FeedHealth("dhan", "failed", "bad"), FeedHealth("fyers", "running", waits_for="disk full"))
    found = Conditions().of(health(START, feeds=feeds))
    assert [(c.key, c.what) for c in found] == [
        ("feed dhan", "failed: bad"),
        ("journal of fyers", "disk full"),
    ]


def test_what_is_counted_is_a_condition_for_a_while() -> None:
    """Gaps, dropped ticks and restarts have no end of their own: each is over when nothing was added for a
    minute and a half. What was counted before the first observation is old news."""
    conditions = Conditions()

    def at(after_ms: int, restarts: int, gaps: int) -> list[str]:
        now = health(START + after_ms, restarts={"ohlc[0/1]": restarts}, gaps={"sim": gaps})
        return [condition.what for condition in conditions.of(now)]

    assert at(0, restarts=2, gaps=5) == []
    (restarted,) = at(1_000, restarts=3, gaps=5)
    assert restarted == "ohlc[0/1] died and was started again, of late so often: 1"
    both = at(2_000, restarts=4, gaps=6)
    assert both[0].endswith("so often: 2")
    assert both[1].startswith("gaps noted of late: 1 (sim 1);")
    assert at(2_000 + COUNTED_MS, restarts=4, gaps=0) == [], "a counter that fell back adds nothing"
    assert len(at(3_000 + COUNTED_MS, restarts=5, gaps=6)) == 1


def test_gaps_are_told_by_feed_with_the_command_that_lists_them() -> None:
    """One alert for the gaps of all feeds: how many of each, what can and can't be done, and the command on a
    line of its own, also when it is over."""
    rules = AlertRules(replace(MANY, hold_ms=0), gaps_command="python -m … gaps")
    rules.observe(health(START, gaps={"upstox": 7, "dhan": 0, "fyers": 1}))
    (told,) = rules.observe(health(START + 1_000, gaps={"upstox": 9, "dhan": 1, "fyers": 1}))
    assert told.subject == "degraded: gaps"
    what, since, do, look = told.text.splitlines()
    assert what.startswith("What: gaps noted of late: 3 (upstox 2, dhan 1); ")
    assert since == "Since: 05 Aug 2026 10:00:01 IST, for 0 s."
    assert "What was never received can't be had again" in do
    assert do.endswith("Runbook: “Gaps”.")
    assert look == "Look: python -m … gaps"
    (over,) = rules.observe(health(START + 2 * COUNTED_MS, gaps={"upstox": 9, "dhan": 1, "fyers": 1}))
    assert over.subject == "recovered: gaps"
    assert over.text.endswith("\nLook: python -m … gaps")


def test_a_run_is_told_to_have_started_once_and_how_it_ended() -> None:
    """The start when a feed runs; the end with the run's totals, what is still wrong, and what was told and
    is over without its end having been told."""
    rules = AlertRules(replace(MANY, hold_ms=0))
    assert rules.observe(health(START, feeds=(FeedHealth("sim", "starting"),), totals=Totals(gaps=1))) == []
    totals = Totals(ticks=12_345, candles=67, gaps=1, lag_ms=1_500.0)
    (started,) = rules.observe(health(START + 1_000, totals=Totals(gaps=1)))
    assert (started.kind, started.subject) == (Kind.STARTED, "started")
    rules.observe(health(START + 2_000, "a", totals=totals, restarts={"feed[sim]": 2}))
    rules.observe(health(START + 3_000, "b", restarts={"feed[sim]": 2}))
    last = rules.ended(START + 61_000)
    assert (last.kind, last.subject) == (Kind.STOPPED, "stopped")
    assert "it ran from 05 Aug 2026 10:00:00 IST until 05 Aug 2026 10:01:01 IST" in last.text
    for line in (
        "Candles closed: 67",
        "Ticks committed: 12,345",
        "Gaps: 1",
        "Restarts: 2",
        "Worst lag: 1,500 ms from receipt to commit (99th percentile)",
        "Recovered before: a silent",
        "Not over: feed[sim] restarted, b silent",
    ):
        assert line in last.text.splitlines(), last.text
    failed = rules.ended(START, "the store went away")
    assert failed.subject == "failed: the store went away"
    assert "mend it and start the same command again" in failed.text


def test_a_run_that_never_began_can_fail() -> None:
    """Without a single observation there is an end nevertheless."""
    assert "Since: 05 Aug 2026 10:00:00 IST." in AlertRules(MANY).ended(START, "no server").text


def test_the_day_is_summed_up_after_its_last_phase() -> None:
    """Once a session day, a little after the last phase of any exchange, with that day's figures only, also
    when the observation at the very time is missed; none for the weekend."""
    nse = calendar()
    friday = ms("2026-08-07 12:00")
    end = session_end_after(nse, friday)
    rules = AlertRules(MANY, lambda after_ms: session_end_after(nse, after_ms))

    def at(now_ms: int, ticks: int, lag_ms: float) -> list[Message]:
        return rules.observe(health(now_ms, totals=Totals(ticks=ticks, candles=ticks // 10, lag_ms=lag_ms)))

    at(friday, 0, 10.0)
    assert at(end + SUMMARY_AFTER_MS - 1, 500, 90.0) == []
    (summary,) = at(end + SUMMARY_AFTER_MS + 5_000, 600, 20.0)
    assert (summary.kind, summary.subject) == (Kind.SUMMARY, "daily summary")
    assert {
        "Ticks committed: 600",
        "Candles closed: 60",
        "Worst lag: 90 ms from receipt to commit (99th percentile)",
    } <= set(summary.text.splitlines())
    assert at(ms("2026-08-09 23:00"), 600, 5.0) == []
    (monday,) = at(ms("2026-08-10 23:59"), 1_000, 7.0)
    assert {"Ticks committed: 400", "Worst lag: 7 ms from receipt to commit (99th percentile)"} <= set(
        monday.text.splitlines()
    )


def test_the_last_phase_of_a_day_is_the_latest_of_all_exchanges() -> None:
    """Not before the derivatives' and currencies' ends; next session day after it; midnight for 24×7; never
    past the calendar's end."""
    nse = calendar()
    end = session_end_after(nse, ms("2026-08-07 12:00"))
    assert ms("2026-08-07 15:40") <= end < ms("2026-08-08 00:00")
    assert session_end_after(nse, end) - end == 3 * 24 * HOUR_MS
    assert session_end_after(calendar("continuous"), ms("2026-08-07 12:00")) == ms("2026-08-08 00:00")
    assert session_end_after(nse, (nse.last_day + 2) * 24 * HOUR_MS) == NEVER_MS
