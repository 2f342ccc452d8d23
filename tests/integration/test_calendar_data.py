"""The NSE calendar against three public ones and the hand-made vectors; every difference is listed here."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_ingest.core.calendar import Calendar
from ray_ingest.model import Phase
from tests.calendars import IST, calendar

EPOCH = date(1970, 1, 1)
DAYS = [date(2021, 1, 1) + timedelta(days) for days in range(6 * 365 + 1)]
FNO_STOCK = "1333"

# What ours has and the public ones haven't: they know no session on a Saturday or Sunday.
WEEKEND_SESSIONS = {
    "2023-11-12",
    "2024-01-20",
    "2024-03-02",
    "2024-05-18",
    "2025-02-01",
    "2026-02-01",
    "2026-11-08",
}
# exchange_calendars doesn't count the Muhurat hour of a weekday as a session.
WEEKDAY_MUHURATS = {"2021-11-04", "2022-10-24", "2024-11-01", "2025-10-21"}
# aion writes 23:30 for these evenings, but with the US off daylight saving time trade may last to 23:55.
WINTER_EVENINGS = {"2026-01-15", "2026-03-03", "2026-11-10", "2026-11-24"}
# aion has no MCX entry for the election day; NSE's commodity evening is taken for both.
MCX_NOT_IN_AION = {"2026-01-15"}


@pytest.fixture(scope="module")
def nse() -> Calendar:
    """The shipped calendar, with one stock that has F&O."""
    return calendar("nse", FNO_STOCK)


def sessions(cal: Calendar, exchange: str) -> set[str]:
    """Dates of 2021–2026 on which the exchange's first class trades."""
    index, _ = cal.classify(exchange, "other")
    return {on.isoformat() for on in DAYS if cal.is_session(index, (on - EPOCH).days)}


def windows(cal: Calendar, exchange: str, token: str, on: str) -> list[tuple[str, str, str]]:
    """(phase, from, to) of a day, in order."""
    index, _ = cal.classify(exchange, token)
    midnight = int(datetime.fromisoformat(on).replace(tzinfo=IST).timestamp() * 1000)
    times = midnight + np.arange(1440, dtype=np.int64) * 60_000
    phases = cal.locate(np.full(1440, index, np.uint8), times)[0]
    edges = [0, *(np.flatnonzero(np.diff(phases)) + 1).tolist(), 1440]
    clocks = [f"{edge // 60:02}:{edge % 60:02}" for edge in edges]
    found = zip(phases[edges[:-1]].tolist(), clocks, clocks[1:], strict=False)
    return [(Phase(phase).label, start, end) for phase, start, end in found if phase]


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_sessions_of_pandas_market_calendars(nse: Calendar, shared_data: Path) -> None:
    """Same session days 2021–2026 but for the weekend sessions it lacks; same hours for plain stocks."""
    public = {row[""]: row for row in rows(shared_data / "calendars" / "pmc_NSE_2021_2026.csv")}
    ours = sessions(nse, "NSE_EQ")
    assert ours - set(public) == WEEKEND_SESSIONS
    assert set(public) - ours == set()
    for on, row in public.items():
        regular = [(a, b) for phase, a, b in windows(nse, "NSE_EQ", "other", on) if phase == "regular"]
        assert regular == [(row["market_open"][11:16], row["market_close"][11:16])], on


def test_sessions_of_exchange_calendars(nse: Calendar, shared_data: Path) -> None:
    """Same session days 2021–2026 but for weekend sessions and Muhurat hours."""
    public = {row["session"] for row in rows(shared_data / "calendars" / "xc_XBOM_2021_2026.csv")}
    ours = sessions(nse, "BSE_EQ")
    assert ours - public == WEEKEND_SESSIONS | WEEKDAY_MUHURATS
    assert public - ours == set()


@pytest.fixture(scope="module")
def aion(shared_data: Path) -> dict[str, Any]:
    """The aion calendar of 2026."""
    loaded = json.loads((shared_data / "calendars" / "aion_1.6.0_holidays_2026.json").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize(
    ("market", "exchange"),
    [
        ("NSE_EQUITY", "NSE_EQ"),
        ("BSE_EQUITY", "BSE_EQ"),
        ("NSE_EQUITY_DERIVATIVES", "NSE_FO"),
        ("NSE_CURRENCY_DERIVATIVES", "NCD_FO"),
        ("NSE_COMMODITY_DERIVATIVES", "NSE_COM"),
        ("MCX", "MCX_FO"),
    ],
)
def test_holidays_of_aion(nse: Calendar, aion: dict[str, Any], market: str, exchange: str) -> None:
    """The 2026 holidays of every segment, currency and commodities with their own ones."""
    public = {
        event["start"][:10]
        for event in aion["events"]
        if event["category"] == "EXCHANGE_HOLIDAY" and market in event["applies_to"]
    }
    weekdays = {on.isoformat() for on in DAYS if on.year == 2026 and on.weekday() < 5}
    assert weekdays - sessions(nse, exchange) == public


@pytest.mark.parametrize(
    ("market", "exchange"), [("NSE_COMMODITY_DERIVATIVES", "NSE_COM"), ("MCX", "MCX_FO")]
)
def test_partial_commodity_sessions_of_aion(
    nse: Calendar, aion: dict[str, Any], market: str, exchange: str
) -> None:
    """Every morning-only, evening-only and Muhurat session of 2026, to the minute."""
    public: dict[str, list[tuple[str, str, str]]] = {}
    for event in aion["events"]:
        if event.get("session_override") and market in event["applies_to"]:
            hours = [("regular", item["open"][:5], item["close"][:5]) for item in event["session_override"]]
            public[event["start"][:10]] = [part for part in hours if part[1] != "08:45"]
    for on in WINTER_EVENINGS & set(public):
        assert public[on] == [("regular", "17:00", "23:30")]
        public[on] = [("regular", "17:00", "23:55")]
    ours = {on: windows(nse, exchange, "other", on) for on in public}
    assert ours == public
    usual = {"23:30", "23:55"}
    partial = {
        on: hours
        for on in sessions(nse, exchange)
        if on[:4] == "2026"
        and ((hours := windows(nse, exchange, "1", on))[0][1:] not in {("09:00", end) for end in usual})
    }
    not_there = MCX_NOT_IN_AION if market == "MCX" else {"2026-11-08"}
    assert set(partial) - set(public) == not_there | {"2026-02-01"}, (
        "aion has no commodity session on Budget Sunday"
    )


@pytest.mark.parametrize(
    ("market", "exchange", "token"),
    [
        ("NSE_EQUITY_FNO_UNDERLYING", "NSE_EQ", FNO_STOCK),
        ("BSE_EQUITY_FNO_UNDERLYING", "BSE_EQ", FNO_STOCK),
        ("NSE_EQUITY_DERIVATIVES", "NSE_FO", "1"),
        ("BSE_EQUITY_DERIVATIVES", "BSE_FO", "1"),
        ("NSE_COMMODITY_DERIVATIVES", "NSE_COM", "1"),
    ],
)
def test_changed_hours_of_aion(
    nse: Calendar, aion: dict[str, Any], market: str, exchange: str, token: str
) -> None:
    """The hours from 2026-08-03, 2026-11-02 and 2026-12-07; aion's 09:00 starts count pre-open."""
    names = {"continuous": "regular", "closing_auction": "closing_auction"}
    for rule in aion["session_rules"][market]:
        public = [(names[part["kind"]], part["open"][:5], part["close"][:5]) for part in rule["segments"]]
        if market == "NSE_EQUITY_FNO_UNDERLYING":
            public[0] = ("regular", "09:15", public[0][2])
        ours = windows(nse, exchange, token, rule["effective_from"])
        assert [part for part in ours if part[0] in names.values()] == public


NONE, PRE_OPEN, REGULAR = "none", "pre_open", "regular"


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ("hours_2026", [REGULAR, NONE, REGULAR, REGULAR]),
        ("muhurat", [NONE, REGULAR, REGULAR]),
        ("preopen", [PRE_OPEN, REGULAR, REGULAR, REGULAR]),
        ("weekend", [NONE, NONE]),
    ],
)
def test_phases_of_the_vectors_about_sessions(shared_data: Path, vector: str, expected: list[str]) -> None:
    """Each tick of the vectors that are about sessions has the phase its candles ask for."""
    cal = calendar("nse")
    ticks = rows(shared_data / "vectors" / vector / "ticks.csv")
    classes = np.array([cal.classify(tick["exchange"], tick["token"])[0] for tick in ticks], np.uint8)
    times = np.array([int(tick["event_time_ms"]) for tick in ticks], np.int64)
    assert [Phase(phase).label for phase in cal.locate(classes, times)[0]] == expected


def test_candles_of_every_vector_lie_in_candle_phases(shared_data: Path) -> None:
    """No vector asks for a candle where the calendar allows none; its labels are the calendar's minutes."""
    for folder in sorted(path for path in (shared_data / "vectors").iterdir() if path.is_dir()):
        cal = calendar("continuous" if folder.name == "tape" else "nse")
        for candle in rows(folder / "candles.csv"):
            index, _ = cal.classify(candle["exchange"], candle["token"])
            start = np.array([int(candle["minute_ms"])], np.int64)
            phase, day, minute = cal.locate(np.array([index], np.uint8), start)
            label = datetime.combine(EPOCH, datetime.min.time(), UTC) + timedelta(
                int(day[0]), minutes=int(minute[0])
            )
            assert cal.candle_mask[phase[0]], (folder.name, candle["minute_ist"])
            assert f"{label:%Y-%m-%d %H:%M}" == candle["minute_ist"]
