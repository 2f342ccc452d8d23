"""The phase calendar: what each dated rule says, to the minute, and what absurd times do."""

import numpy as np
import pytest

from ray_ingest.core.calendar import UNKNOWN, Calendar
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.model import NULL, Phase
from tests.calendars import calendar, day, load, ms

FNO_STOCK, OTHER_STOCK, UNLISTED = "INE002A01018", "INE999Z01011", "INE465A01025"


def phase_of(cal: Calendar, exchange: str, token: str, event_time_ms: int) -> str:
    """The phase's name of one tick."""
    index, _ = cal.classify(exchange, token)
    phase, _, _ = cal.locate(np.array([index], np.uint8), np.array([event_time_ms], np.int64))
    return Phase(phase[0]).label


def runs(cal: Calendar, exchange: str, token: str, on: str) -> str:
    """A whole day as "09:00 pre_open 09:15 regular 15:30 none", starting at the first phase."""
    index, _ = cal.classify(exchange, token)
    start = ms(f"{on} 00:00")
    phases, days, minutes = cal.locate(
        np.full(1440, index, np.uint8), start + np.arange(1440, dtype=np.int64) * 60_000 + 59_999
    )
    assert set(days) == {day(on)}
    assert minutes.tolist() == list(range(1440))
    before, text = 0, []
    for minute, phase in enumerate([*phases.tolist(), 0]):
        if phase != before:
            text.append(f"{minute // 60:02}:{minute % 60:02} {Phase(phase).label}")
            before = phase
    return " ".join(text)


CASH_2025 = "09:00 pre_open 09:15 regular 15:30 none 15:40 post_close 16:00 none"
CASH_2026 = "09:00 pre_open 09:15 regular 15:30 none 15:50 post_close 16:00 none"
AUCTION_35 = "15:15 closing_auction 15:35 none 15:50 post_close 16:00 none"
WIDEST_35 = "15:30 closing_auction 15:35 none 15:50 post_close 16:00 none"
AUCTION_40 = "09:00 pre_open 09:15 regular 15:30 closing_auction 15:40 none 15:50 post_close 16:00 none"
MUHURAT = "18:15 regular 19:15 none"


@pytest.mark.parametrize(
    ("on", "exchange", "token", "expected"),
    [
        # Cash stocks with F&O: closing auction from 2026-08-03, another one from 2026-12-07.
        ("2025-12-15", "NSE_EQ", FNO_STOCK, CASH_2025),
        ("2026-07-31", "NSE_EQ", FNO_STOCK, CASH_2025),
        ("2026-08-03", "NSE_EQ", FNO_STOCK, f"09:00 pre_open 09:15 regular {AUCTION_35}"),
        ("2026-12-04", "BSE_EQ", FNO_STOCK, f"09:00 pre_open 09:15 regular {AUCTION_35}"),
        ("2026-12-07", "NSE_EQ", FNO_STOCK, AUCTION_40),
        # Other cash stocks: only the post-close session moved.
        ("2026-07-31", "NSE_EQ", OTHER_STOCK, CASH_2025),
        ("2026-08-03", "NSE_CM", OTHER_STOCK, CASH_2026),
        ("2026-12-07", "BSE_CM", OTHER_STOCK, CASH_2026),
        # Equity derivatives: pre-open since 2025-12-08, longer since 2026-08-03 and 2026-12-07.
        ("2025-12-05", "NSE_FO", "8765", "09:15 regular 15:30 none"),
        ("2025-12-08", "NSE_FO", "8765", "09:00 pre_open 09:15 regular 15:30 none"),
        ("2026-07-31", "NSE_FO", "8765", "09:00 pre_open 09:15 regular 15:30 none"),
        ("2026-08-03", "BSE_FO", "8765", "09:00 pre_open 09:15 regular 15:40 none"),
        ("2026-12-04", "NSE_FO", "8765", "09:00 pre_open 09:15 regular 15:40 none"),
        ("2026-12-07", "NSE_FO", "8765", "09:00 pre_open 09:15 regular 15:45 none"),
        # Indices never changed.
        ("2021-01-01", "NSE_INDEX", "Nifty 50", "09:00 pre_open 09:15 regular 15:30 none"),
        ("2026-12-07", "BSE_INDEX", "SENSEX", "09:00 pre_open 09:15 regular 15:30 none"),
        # Currency and its own holidays.
        ("2026-08-25", "NCD_FO", "1", "09:00 regular 17:00 none"),
        ("2026-08-26", "NSE_CD", "1", ""),
        ("2026-08-26", "NSE_EQ", OTHER_STOCK, CASH_2026),
        # Commodities: an earlier close while the US is on daylight saving time; half sessions.
        ("2026-03-06", "MCX_FO", "1", "09:00 regular 23:55 none"),
        ("2026-03-09", "MCX_FO", "1", "09:00 regular 23:30 none"),
        ("2026-10-30", "NSE_COM", "1", "09:00 regular 23:30 none"),
        ("2026-11-02", "MCX_COMM", "1", "09:00 regular 23:55 none"),
        ("2026-01-01", "MCX_FO", "1", "09:00 regular 17:00 none"),
        ("2026-04-14", "MCX_FO", "1", "17:00 regular 23:30 none"),
        ("2026-11-24", "MCX_FO", "1", "17:00 regular 23:55 none"),
        ("2026-12-25", "MCX_FO", "1", ""),
        # Holidays and weekends.
        ("2025-12-25", "NSE_EQ", FNO_STOCK, ""),
        ("2026-11-24", "NSE_FO", "8765", ""),
        ("2025-12-13", "NSE_FO", "8765", ""),
        ("2022-08-27", "NSE_INDEX", "Nifty 50", ""),
        # Muhurat: one hour and nothing else, for every class.
        ("2021-11-04", "NSE_EQ", FNO_STOCK, MUHURAT),
        ("2022-10-24", "NSE_INDEX", "Nifty 50", MUHURAT),
        ("2023-11-12", "NSE_FO", "8765", MUHURAT),
        ("2024-11-01", "NSE_EQ", OTHER_STOCK, "18:00 regular 19:00 none"),
        ("2025-10-21", "MCX_FO", "1", "13:45 regular 14:45 none"),
        ("2026-11-08", "NSE_EQ", FNO_STOCK, MUHURAT),
        # Sessions on weekends, and the day of NSE's outage.
        ("2024-01-20", "NSE_EQ", FNO_STOCK, CASH_2025),
        ("2024-01-20", "MCX_FO", "1", ""),
        ("2024-03-02", "NSE_FO", "8765", "09:15 regular 10:00 none 11:30 regular 12:30 none"),
        ("2024-05-18", "NSE_FO", "8765", "09:15 regular 10:00 none 11:30 regular 12:40 none"),
        ("2025-02-01", "NSE_INDEX", "Nifty 50", "09:00 pre_open 09:15 regular 15:30 none"),
        ("2026-02-01", "NSE_EQ", OTHER_STOCK, CASH_2025),
        ("2026-02-01", "MCX_FO", "1", "09:00 regular 17:00 none"),
        ("2026-02-01", "NCD_FO", "1", ""),
        ("2021-02-24", "NSE_FO", "8765", "09:15 regular 17:00 none"),
        # Past the holiday data weekdays are assumed, ten years on nothing is.
        ("2027-01-26", "NSE_FO", "8765", "09:00 pre_open 09:15 regular 15:45 none"),
        ("2027-03-12", "MCX_FO", "1", "09:00 regular 23:55 none"),
        ("2027-03-15", "MCX_FO", "1", "09:00 regular 23:30 none"),
        ("2027-01-30", "NSE_FO", "8765", ""),
        ("2036-12-31", "NSE_FO", "8765", "09:00 pre_open 09:15 regular 15:45 none"),
        ("2037-01-01", "NSE_FO", "8765", ""),
        ("2020-12-31", "NSE_FO", "8765", ""),
        # An exchange without a segment.
        ("2025-12-15", "NYSE", "IBM", ""),
    ],
)
def test_each_dated_rule(on: str, exchange: str, token: str, expected: str) -> None:
    """Every rule of the market, on the days around its change, to the minute and half-open."""
    assert runs(calendar("nse", FNO_STOCK), exchange, token, on) == expected


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("2025-12-15", CASH_2025),
        ("2026-08-03", f"09:00 pre_open 09:15 regular {WIDEST_35}"),
        ("2026-12-07", AUCTION_40),
        ("2025-12-25", ""),
        ("2026-11-08", MUHURAT),
    ],
)
def test_unclassified_stock_gets_widest_phases(on: str, expected: str) -> None:
    """A stock the calendar can't tell apart loses no minute either kind trades, regular before auction."""
    assert runs(calendar(), "NSE_EQ", UNLISTED, on) == expected


def test_classify_says_whether_it_knew() -> None:
    """Whoever counts unclassified instruments can trust the flag, and names are read as feeds write them."""
    listed = calendar("nse", FNO_STOCK, "Nifty_Bees")
    fno, other = listed.classify("NSE_EQ", FNO_STOCK)[0], listed.classify("NSE_EQ", OTHER_STOCK)[0]
    assert fno != other
    assert listed.classify("nse_eq", FNO_STOCK) == (fno, True)
    assert listed.classify("NSE_EQ", "Nifty Bees") == (fno, True)
    widest, exactly = calendar().classify("NSE_EQ", UNLISTED)
    assert not exactly
    assert widest not in (fno, other, UNKNOWN)
    assert calendar().classify("NSE_FO", "8765")[1]
    assert calendar().classify("NYSE", "IBM") == (UNKNOWN, False)
    assert calendar("continuous").classify("TAPE", "X") == (0, True)


def test_listed_tokens_may_be_numbers() -> None:
    """`calendar.fno_stocks=[2885]` on a command line is a number, the feed's token a text."""
    table = CalendarTable.from_mapping(load("nse") | {"fno_stocks": [2885]})
    assert Calendar(table).classify("NSE_EQ", "2885")[1]
    assert table.fno_stocks == {"2885"}


def test_continuous_is_one_regular_session() -> None:
    """A 24×7 tape has no closed minute, on any exchange and day, and its keys aren't ended by sessions."""
    cal = calendar("continuous")
    for on in ("2025-12-14", "2000-01-01", "2099-12-31"):
        assert runs(cal, "TAPE", "X", on) == "00:00 regular 24:00 none"
        assert cal.span(0, day(on)) == (0, 1440)
    assert phase_of(cal, "TAPE", "X", 1_765_770) == "none", "seconds taken for milliseconds"
    assert cal.next_session_day(day("2025-12-13")) == day("2025-12-14")
    assert not cal.expires_daily
    assert cal.candle_mask.tolist() == [False, False, True, False, False]


def test_sessions_spans_and_next_days() -> None:
    """Day strings are as long as the session with pre-open and post-close, keys live to the next session."""
    cal = calendar("nse", FNO_STOCK)
    stock, future, metal = (
        cal.classify(*name)[0] for name in (("NSE_EQ", FNO_STOCK), ("NSE_FO", "1"), ("MCX", "1"))
    )
    assert cal.span(stock, day("2025-12-15")) == (540, 420)
    assert cal.span(future, day("2025-12-05")) == (555, 375)
    assert cal.span(future, day("2024-03-02")) == (555, 195)
    assert cal.span(metal, day("2026-11-24")) == (1020, 415)
    assert cal.span(stock, day("2026-11-24")) == (0, 0)
    assert cal.span(UNKNOWN, day("2025-12-15")) == (0, 0)
    assert cal.is_session(stock, day("2026-11-08"))
    assert cal.is_session(metal, day("2026-11-24"))
    assert not cal.is_session(stock, day("2026-11-24"))
    assert not cal.is_session(UNKNOWN, day("2025-12-15"))
    assert not any(cal.is_session(stock, absurd) for absurd in (-(10**12), 0, 10**12))
    following = {
        "2025-12-12": "2025-12-15",
        "2025-12-24": "2025-12-26",
        "2026-01-31": "2026-02-01",
        "2026-11-06": "2026-11-08",
        "2026-11-23": "2026-11-25",
        "2037-05-01": "2037-05-02",
    }
    assert {on: str(np.datetime64(cal.next_session_day(day(on)), "D")) for on in following} == following
    assert cal.expires_daily
    assert cal.candle_mask.tolist() == [False, False, True, True, False]


def test_absurd_times_are_outside_any_phase() -> None:
    """Times of 1970, 9999 or any 64-bit garbage cost nothing and trade nothing, alone or among good ticks."""
    cal = calendar()
    absurd = [NULL, NULL + 1, -1, 0, 1_765_770_310, 253_402_300_799_000, 2**62, 2**63 - 1]
    good = ms("2025-12-15 09:15")
    index, _ = cal.classify("NSE_EQ", UNLISTED)
    for times in ([time] for time in absurd):
        phase, days, minutes = cal.locate(np.full(1, index, np.uint8), np.array(times, np.int64))
        assert (phase.tolist(), len(days), len(minutes)) == ([0], 1, 1)
    phase, _, _ = cal.locate(np.full(9, index, np.uint8), np.array([*absurd, good], np.int64))
    assert phase.tolist() == [0] * 8 + [Phase.REGULAR]
    spread = np.linspace(-(2.0**62), 2.0**62, 100_000).astype(np.int64)
    assert not cal.locate(np.full(len(spread), index, np.uint8), spread)[0].any()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_locate_shapes(count: int) -> None:
    """Results are as long as the batch, empty included, in the types that later stages index with."""
    arrays = calendar().locate(np.zeros(count, np.uint8), np.full(count, ms("2025-12-15 10:00"), np.int64))
    assert [(len(array), array.dtype) for array in arrays] == [
        (count, np.dtype(np.uint8)),
        (count, np.dtype(np.int64)),
        (count, np.dtype(np.int64)),
    ]


def test_no_weekdays_are_assumed_when_told_so() -> None:
    """With assume_weekdays_after off nothing trades past the last day of known holidays."""
    cal = Calendar(CalendarTable.from_mapping(load("nse") | {"assume_weekdays_after": False}))
    assert runs(cal, "NSE_FO", "1", "2026-12-31") == "09:00 pre_open 09:15 regular 15:45 none"
    assert runs(cal, "NSE_FO", "1", "2027-01-01") == ""
