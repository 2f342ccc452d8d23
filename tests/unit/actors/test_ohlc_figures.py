"""What an OHLC actor counts of its flushes, and whether its instruments trade."""

import numpy as np

from ray_ingest.actors.messages import OhlcStats
from ray_ingest.actors.ohlc_figures import FlushFigures, SessionHours
from ray_ingest.core.directory import Directory
from ray_ingest.core.flush_plan import FlushPlan
from ray_ingest.core.histogram import SECONDS
from ray_ingest.core.instruments import Instrument
from ray_ingest.model import ROW
from tests.calendars import calendar, ms


def plan(ticks: int, rows: int, **counters: int) -> FlushPlan:
    """A commit of so many ticks and rows; counters are of one producer."""
    none = np.zeros(0, np.int64)
    counts = {f"count:upstox-1:{reason}": number for reason, number in counters.items()}
    return FlushPlan(np.zeros(rows, ROW), none, none, counts, ticks, [])


def test_a_flush_is_counted_once_in_every_figure() -> None:
    """Sums, buckets and reasons of two flushes; reasons are those of all producers together."""
    stats = OhlcStats("ohlc[0/1]", "", 1, closed=50)
    figures = FlushFigures(stats)
    figures.applied(plan(100, 7, holiday=2, gap_notes=1), 3, 1, 0.001, 0.002)
    figures.applied(plan(20, 5, holiday=1), 4, 0, 0.0, 0.2)
    figures.bring_up_to_date()
    assert (stats.ticks_committed, stats.rows, stats.flushes) == (120, 12, 2)
    assert (stats.closed, stats.closings, stats.amendings) == (57, 7, 1)
    assert stats.noted == {"holiday": 3, "gap_notes": 1}
    assert (stats.plan_s, round(stats.flush_s, 6), round(stats.flush.sum, 6)) == (0.001, 0.202, 0.203)
    assert dict(zip(SECONDS, stats.flush.counts, strict=False)) == dict.fromkeys(SECONDS, 0) | {
        0.005: 1,
        0.25: 1,
    }


def test_the_session_is_that_of_the_instruments_that_there_are() -> None:
    """An evening session counts for who has its instruments: else their silence would be an alert."""
    nse = calendar("nse")
    equities, both = Directory(nse), Directory(nse)
    assert not SessionHours(Directory(nse), nse).is_open(ms("2026-11-20 11:00")), "nobody to trade"
    equities.number(Instrument("NSE_EQ", "2885", "upstox"))
    both.number(Instrument("NSE_EQ", "2885", "upstox"))
    both.number(Instrument("MCX_FO", "1", "upstox"))
    noon, evening = ms("2026-11-20 12:00"), ms("2026-11-20 20:00")
    sunday, opening = ms("2026-11-22 12:00"), ms("2026-11-20 09:05")
    for directory, wanted in ((equities, (True, False)), (both, (True, True))):
        found = tuple(SessionHours(directory, nse).is_open(at_ms) for at_ms in (noon, evening))
        assert found == wanted
    assert not SessionHours(both, nse).is_open(sunday)
    assert not SessionHours(equities, nse).is_open(opening), "an auction's silence says nothing"
    hours = SessionHours(equities, nse)
    assert hours.is_open(noon)
    assert not hours.is_open(evening), "looked up anew"
