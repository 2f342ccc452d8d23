"""Trading hours: silence means something only where an instrument surely trades continuously."""

import pytest

from ray_ingest.core.trading_hours import TradingHours
from tests.calendars import load, ms

STOCK, OPTION, INDEX, GOLD = (
    ("NSE_EQ", "2885"),
    ("NSE_FO", "8765"),
    ("NSE_INDEX", "Nifty 50"),
    ("MCX_FO", "1"),
)


@pytest.mark.parametrize(
    ("moment", "stock", "option", "gold"),
    [
        ("2026-08-05 08:59", "shut", "shut", "shut"),
        ("2026-08-05 09:05", "open", "open", "busy"),
        ("2026-08-05 11:00", "busy", "busy", "busy"),
        ("2026-08-05 15:20", "open", "busy", "busy"),  # an F&O stock is in its closing auction, another isn't
        ("2026-08-05 15:36", "shut", "busy", "busy"),
        ("2026-08-05 20:00", "shut", "shut", "busy"),
        ("2026-08-08 11:00", "shut", "shut", "shut"),  # a Saturday
        ("2026-11-08 18:30", "busy", "busy", "busy"),  # a Sunday, Muhurat
    ],
)
def test_by_segment_and_day(moment: str, stock: str, option: str, gold: str) -> None:
    """Auctions and pre-open are open, yet nothing is expected in them; where the calendar can't tell F&O
    stocks from others, only what both do counts as busy."""
    hours, now_ms = TradingHours(load("nse")), ms(moment)

    def state(exchange: str, token: str) -> str:
        group = hours.group(exchange, token)
        if hours.busy([group], now_ms):
            return "busy"
        return "open" if hours.is_open([group], now_ms) else "shut"

    assert (state(*STOCK), state(*OPTION), state(*GOLD)) == (stock, option, gold)


def test_with_the_list_of_fno_stocks_each_has_its_own_hours() -> None:
    """During the closing auction of listed stocks the others trade on."""
    hours = TradingHours(load("nse") | {"fno_stocks": ["2885"]})
    listed, other = hours.group("NSE_EQ", "2885"), hours.group("NSE_EQ", "1")
    assert hours.busy([listed, other], ms("2026-08-05 15:20")) == {other}


def test_an_exchange_the_calendar_does_not_know_is_never_busy() -> None:
    """Nothing is expected of it, and nothing is missed."""
    hours = TradingHours(load("nse"))
    unknown = hours.group("ELSEWHERE", "1")
    assert not hours.busy([unknown], ms("2026-08-05 11:00"))
    assert not hours.is_open([unknown], ms("2026-08-05 11:00"))
    assert hours.busy([unknown, hours.group(*INDEX)], ms("2026-08-05 11:00")) == {hours.group(*INDEX)}
