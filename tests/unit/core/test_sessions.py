"""A calendar file with a mistake is refused in one line that names the key."""

from typing import Any

import pytest

from ray_ingest.core.sessions import CalendarTable
from ray_ingest.errors import ConfigError
from tests.calendars import load


def changed(path: str, value: object) -> dict[str, Any]:
    """The file with one key, written "classes.index", set to `value`."""
    mapping = load("nse")
    *parents, last = path.split(".")
    inner = mapping
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return mapping


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("holidayz", [], ["calendar.holidayz", "not a key"]),
        ("name", 7, ["calendar.name", "7"]),
        ("first_date", "2021-13-01", ["calendar.first_date", "2021-13-01"]),
        ("last_date", "2020-01-01", ["calendar.last_date", "after first_date"]),
        ("session_days", "always", ["calendar.session_days", "weekdays, every_day"]),
        ("assume_weekdays_after", "yes", ["calendar.assume_weekdays_after", "true or false"]),
        ("keys_expire_with", "NSE", ["calendar.keys_expire_with", "'NSE'"]),
        ("candle_phases", ["regular", "lunch"], ["calendar.candle_phases[1]", "lunch", "closing_auction"]),
        ("candle_phases", "regular", ["calendar.candle_phases", "a list"]),
        ("fno_stocks", "2885", ["calendar.fno_stocks", "a list"]),
        ("segments", {}, ["calendar.segments", "at least one"]),
        ("segments.NSE_EQ", ["cash"], ["calendar.segments.NSE_EQ[0]", "'cash'", "cash_fno"]),
        ("segments.NSE_EQ", [], ["calendar.segments.NSE_EQ", "one class"]),
        ("classes.index", "09:15-15:30", ["calendar.classes.index", "table"]),
        ("classes.index", {"soon": {"regular": "09:15-15:30"}}, ["calendar.classes.index.soon", "date"]),
        ("classes.index.2021-01-01", {"open": "09:15-15:30"}, ["classes.index.2021-01-01.open", "phase"]),
        ("classes.index.2021-01-01", {}, ["classes.index.2021-01-01", "phases"]),
        ("classes.index.2021-01-01.regular", 930, ["index.2021-01-01.regular", "930"]),
        ("classes.index.2021-01-01.regular", "9:15-15:30", ["regular", "9:15-15:30", "09:15-15:30"]),
        ("classes.index.2021-01-01.regular", "09:15-24:01", ["regular", "24:01"]),
        ("classes.index.2021-01-01.regular", "15:30-09:15", ["regular", "ends after it starts"]),
        ("classes.index.2021-01-01.pre_open", "09:00-09:20", ["index.2021-01-01", "pre_open and regular"]),
        ("holidays", [{"dates": ["26 Jan"]}], ["calendar.holidays[0].dates[0]", "26 Jan"]),
        ("holidays", [{"classes": ["nse"], "dates": []}], ["calendar.holidays[0].classes[0]", "'nse'"]),
        ("holidays", [{"note": "none"}], ["calendar.holidays[0].dates", "missing"]),
        ("special_sessions", [{"dates": []}], ["calendar.special_sessions[0].phases", "missing"]),
        ("special_sessions", [{"day": "2026-11-08"}], ["special_sessions[0].day", "not a key"]),
        (
            "special_sessions",
            [{"dates": ["2026-11-08", "2026-11-08"], "phases": "ordinary"}],
            ["special_sessions[0].dates[1]", "2026-11-08", "already"],
        ),
    ],
)
def test_bad_data_is_refused_with_its_key(path: str, value: object, words: list[str]) -> None:
    """A mistake in a calendar file is one line that names the key and what would be right."""
    with pytest.raises(ConfigError) as refused:
        CalendarTable.from_mapping(changed(path, value))
    text = str(refused.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("key", list(load("nse")))
def test_every_key_is_needed(key: str) -> None:
    """A calendar file with a key left out is refused, not filled with guesses."""
    mapping = load("nse")
    del mapping[key]
    with pytest.raises(ConfigError, match=rf"calendar\.{key} is missing"):
        CalendarTable.from_mapping(mapping)
