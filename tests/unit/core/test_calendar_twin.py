"""Looking up in the calendar's tables equals reading the calendar file tick by tick."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.model import NULL, Phase
from tests.calendars import IST, calendar, load, ms


def minutes_of(window: str) -> tuple[int, int]:
    """(555, 930) of "09:15-15:30"."""
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in window.strip().split("-"))
    return start, end


def phase_by_reading(mapping: Mapping[str, Any], exchange: str, token: str, event_time_ms: int) -> str:
    """The dumb twin: reads the file anew for one tick, with the standard library's dates and zones."""
    try:
        when = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event_time_ms)).astimezone(IST)
    except OverflowError:
        return "none"
    on, minute = when.date().isoformat(), when.hour * 60 + when.minute
    if not "2021-01-01" <= on <= "2036-12-31":
        return "none"
    classes = mapping["segments"].get(exchange, [])
    if len(classes) == 2 and mapping["fno_stocks"]:
        classes = [classes[0] if token in mapping["fno_stocks"] else classes[1]]
    found = set()
    for name in classes:
        usual = [phases for since, phases in sorted(mapping["classes"][name].items()) if since <= on]
        phases = usual[-1] if usual and when.weekday() < 5 else {}
        if any(on in group["dates"] and name in group["classes"] for group in mapping["holidays"]):
            phases = {}
        for group in mapping["special_sessions"]:
            if on in group["dates"] and name in group.get("classes", [name]):
                phases = usual[-1] if group["phases"] == "ordinary" else group["phases"]
        for phase, windows in phases.items():
            if any(start <= minute < end for start, end in map(minutes_of, windows.split(","))):
                found.add(phase)
    widest_first = ("regular", "closing_auction", "pre_open", "post_close", "none")
    return next(phase for phase in widest_first if phase in found or phase == "none")


NSE = load("nse")
TURNING_DAYS = sorted(
    {on for group in NSE["holidays"] + NSE["special_sessions"] for on in group["dates"]}
    | {since for phases in NSE["classes"].values() for since in phases}
)
TURNING_MINUTES = [0, 540, 555, 690, 885, 915, 930, 935, 940, 945, 950, 960, 1020, 1155, 1410, 1435, 1439]
near_a_rule = st.builds(
    lambda on, shift, minute, offset: ms(f"{on} 00:00") + (shift * 1440 + minute) * 60_000 + offset,
    st.sampled_from(TURNING_DAYS),
    st.integers(-3, 3),
    st.sampled_from(TURNING_MINUTES),
    st.integers(-90_000, 90_000),
)
any_time = (
    near_a_rule | st.integers(ms("2020-12-01 00:00"), ms("2037-02-01 00:00")) | st.integers(NULL, 2**63 - 1)
)
within_one_day = st.builds(
    lambda on, offsets: [ms(f"{on} 00:00") + offset for offset in offsets],
    st.sampled_from(TURNING_DAYS),
    st.lists(st.integers(0, 86_399_999), min_size=1, max_size=30),
)
names = [(exchange, token) for exchange in (*NSE["segments"], "X") for token in ("7", "8")]


@settings(max_examples=300, deadline=None)  # the first example reads the file
@given(
    times=st.lists(any_time, max_size=30) | within_one_day,
    start=st.integers(0, len(names)),
    fno_stocks=st.sampled_from([(), ("7",)]),
)
def test_locate_equals_reading_the_file(times: list[int], start: int, fno_stocks: tuple[str, ...]) -> None:
    """For any batch, phase, day and minute are those a slow reader of the file finds tick by tick."""
    ticks = [(names[(start + 3 * index) % len(names)], time) for index, time in enumerate(times)]
    cal = calendar("nse", *fno_stocks)
    classes = np.array([cal.classify(*name)[0] for name, _ in ticks], np.uint8)
    phases, days, minutes = cal.locate(classes, np.array(times, np.int64))
    mapping = NSE | {"fno_stocks": list(fno_stocks)}
    expected = [phase_by_reading(mapping, *name, time) for name, time in ticks]
    assert [Phase(phase).label for phase in phases] == expected
    for time, day, minute in zip(times, days.tolist(), minutes.tolist(), strict=True):
        if abs(time) < 2**62:
            assert divmod((time + 19_800_000) // 60_000, 1440) == (day, minute)
