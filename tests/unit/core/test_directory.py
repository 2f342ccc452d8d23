"""The owner's numbered instruments: names from any producer, faults, and which candles run."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.calendar import UNKNOWN
from ray_ingest.core.directory import NEVER_MS, REASONS, Directory, ProducerNames
from ray_ingest.core.instruments import Instrument
from ray_ingest.model import Source
from tests.calendars import calendar


def directory() -> Directory:
    """An empty one, of the shipped Indian calendar."""
    return Directory(calendar())


def faults(known: Directory) -> list[str]:
    """The reason by instrument number."""
    return [REASONS[code] for code in known.fault]


def test_one_instrument_has_one_number_whoever_names_it() -> None:
    """Sources don't matter, exchanges do, and numbers are given in order of first sight."""
    known = directory()
    names = [("NSE_FO", "1", "sim"), ("BSE_FO", "1", "sim"), ("NSE_FO", "1", "dhan"), ("NSE_FO", "2", "sim")]
    assert [known.number(Instrument(*name)) for name in names] == [0, 1, 0, 2]
    assert len(known) == 3
    assert faults(known) == ["", "", ""]
    assert not known.any_fault


def test_of_two_producers_tokens_that_sanitise_alike_the_later_is_at_fault() -> None:
    """Each producer's own table saw nothing wrong: the owner does, and the first goes on."""
    known = directory()
    one, other = ProducerNames(known), ProducerNames(known)
    one.extend(0, [("NSE_INDEX", "Nifty 50", "upstox")])
    other.extend(0, [("NSE_INDEX", "Nifty_50", "dhan"), ("BSE_INDEX", "Nifty_50", "dhan")])
    assert one.number.tolist() == [0]
    assert other.number.tolist() == [1, 2]
    assert faults(known) == ["", "token_collision", ""]
    assert known.any_fault


def test_an_exchange_the_calendar_does_not_know_is_at_fault() -> None:
    """Its ticks are outside any phase for a reason of their own; it is not counted as unclassified."""
    known = directory()
    known.number(Instrument("NASDAQ", "AAPL", "x"))
    assert faults(known) == ["unknown_exchange"]
    assert known.class_index.tolist() == [UNKNOWN]
    assert known.unclassified == 0


def test_instruments_the_calendar_cannot_tell_are_counted() -> None:
    """A cash stock gets its segment's widest phases while no list says which stocks have futures."""
    known = directory()
    for name in (("NSE_EQ", "1"), ("NSE_EQ", "2"), ("NSE_FO", "1"), ("NSE_EQ", "1")):
        known.number(Instrument(*name, "x"))
    assert known.unclassified == 2
    assert not known.any_fault


def test_a_producers_ids_map_to_numbers_and_sources() -> None:
    """Entries come in the table's order, known ones again or not, with their feed's flag."""
    known = directory()
    known.number(Instrument("NSE_FO", "9", "x"))
    names = ProducerNames(known)
    entries = [("NSE_FO", "1", "upstox"), ("NSE_FO", "9", "upstox"), ("NSE_FO", "2", "mine")]
    names.extend(0, entries[:2])
    names.extend(0, entries)
    names.extend(2, entries[2:])
    names.extend(3, [])
    assert names.number.tolist() == [1, 0, 2]
    assert names.source.tolist() == [Source.UPSTOX, Source.UPSTOX, Source.OTHER]
    assert len(names) == 3


def test_entries_after_missing_ones_are_not_learnt() -> None:
    """An owner that has restarted gets a batch meant for its predecessor: it must not take the producer's
    entries 5 and 6 for 0 and 1, or their ticks would go to other instruments for ever."""
    names = ProducerNames(directory())
    names.extend(5, [("NSE_FO", "5", "sim"), ("NSE_FO", "6", "sim")])
    assert len(names) == 0
    names.extend(0, [("NSE_FO", str(n), "sim") for n in range(7)])
    assert names.number.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_name_no_key_can_carry_reaches_no_instrument() -> None:
    """Its feed rejected its ticks already; the id only keeps its place in the producer's table."""
    known = directory()
    names = ProducerNames(known)
    names.extend(
        0, [("NSE_EQ", "a:b", "sim"), ("NSE_FO", "1", "sim"), ("", "1", "sim"), ("NSE_EQ", "", "sim")]
    )
    bad, good, bad_too, and_this = names.number.tolist()
    assert bad == bad_too == and_this != good
    assert known.instruments[good].name == "NSE_FO|1"
    assert faults(known)[bad] == "unknown_exchange"


def test_after_a_restart_the_stores_running_candles_run() -> None:
    """What ran before the claim is forgotten, for instruments known already, later and never before."""
    known = directory()
    known.number(Instrument("NSE_FO", "old", "x"))
    known.run(np.array([0]), np.array([60_000]))
    known.reopen({("NSE_FO", "new"): 120_000})
    assert known.open_end_ms.tolist() == [NEVER_MS, 120_000]
    assert known.number(Instrument("NSE_FO", "new", "x")) == 1
    assert known.open_candles == 1
    known.reopen({("NSE_FO", "old"): 180_000})
    assert known.open_end_ms.tolist() == [180_000, NEVER_MS]


steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 4), st.integers(1, 9)),
        st.tuples(st.none(), st.one_of(st.integers(0, 10), st.just(2**62))),
    ),
    max_size=30,
)


@given(steps)
def test_running_candles_equal_a_plain_dictionary(todo: list[tuple[int | None, int]]) -> None:
    """A newer minute replaces a running one, an older doesn't; what is due comes once, with its end."""
    known, twin = directory(), dict[int, int]()
    assert not known.due(2**62)
    for token in "01234":
        known.number(Instrument("NSE_FO", token, "x"))
    for number, minute in todo:
        if number is not None:
            known.run(np.array([number, number]), np.array([minute, max(1, minute - 1)]))
            twin[number] = max(twin.get(number, 0), minute)
        else:
            over = {other: end for other, end in twin.items() if end <= minute}
            assert known.due(minute) is bool(over)
            due = known.close_due(minute)
            assert dict(zip(due.instrument.tolist(), due.end_ms.tolist(), strict=True)) == over
            twin = {other: end for other, end in twin.items() if other not in over}
        assert known.open_candles == len(twin)
        assert known.open_end_ms.tolist() == [twin.get(n, NEVER_MS) for n in range(5)]
