"""Which names are usable, and that two of them never share a key by accident."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ray_ingest.core.instruments import InstrumentTable, name_fault, sanitise, split_name


@pytest.mark.parametrize(
    ("exchange", "token", "fault"),
    [
        ("NSE_FO", "8765", ""),
        ("nse_fo", "8765", ""),
        ("NSE_INDEX", "Nifty 50", ""),
        ("NSE_EQ", "M&M-EQ", ""),
        ("NSE_EQ", "टाटा", ""),
        ("NSE_EQ", "x" * 64, ""),
        ("NSE_EQ", "x" * 65, "token"),
        ("NSE_EQ", "ट" * 21, ""),
        ("NSE_EQ", "ट" * 22, "token"),
        ("NSE_EQ", "x" * 10_000, "token"),
        ("NSE_EQ", "", "token"),
        ("NSE_EQ", "   ", "token"),
        ("NSE_EQ", "a:b", "token"),
        ("NSE_EQ", "a|b", "token"),
        ("NSE_EQ", "{tag", "token"),
        ("NSE_EQ", "tag}", "token"),
        ("NSE_EQ", "a\nb", "token"),
        ("NSE_EQ", "a\tb", "token"),
        ("NSE_EQ", "a\x00", "token"),
        ("NSE_EQ", "a\x7f", "token"),
        ("NSE_EQ", "a\u200bb", "token"),
        ("NSE_EQ", "a\u00a0b", "token"),
        ("NSE_EQ", "\u202eb", "token"),
        ("NSE_EQ", "\ud800", "token"),
        ("", "8765", "exchange"),
        ("NSE FO", "8765", "exchange"),
        ("NSE:FO", "8765", "exchange"),
        ("NSE{FO", "8765", "exchange"),
        ("ÑSE", "8765", "exchange"),
        ("N" * 16, "8765", ""),
        ("N" * 17, "8765", "exchange"),
        ("", "", "exchange"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_names_are_judged_to_the_limits(exchange: str, token: str, fault: str) -> None:
    """Spaces, unicode, 64 bytes pass; separators, braces, control and unseen characters, more bytes don't."""
    assert name_fault(exchange, token) == fault


@example("A|B", "x")
@given(st.text(max_size=40), st.text(max_size=70))
def test_a_usable_name_is_a_clean_key(exchange: str, token: str) -> None:
    """For any text: what passes encodes, has no separator, brace, control or space, and splits back."""
    if "|" in exchange:
        assert name_fault(exchange, token) == "exchange"  # as a whole it may be another, good name
        return
    if name_fault(exchange, token):
        with pytest.raises(ValueError, match=r"EXCHANGE\|TOKEN") as raised:
            split_name(f"{exchange}|{token}")
        assert "\n" not in str(raised.value)
        return
    key = sanitise(token)
    assert 0 < len(key.encode()) <= 64
    assert not any(c in ":|{} " or unicodedata.category(c)[0] in "CZ" for c in key)
    assert split_name(f"{exchange}|{token}") == (exchange.upper(), token)


@pytest.mark.parametrize("name", ["8765", "", "|", "NSE_FO|", "|8765", "NSE_FO|a|b", "NSE_FO 8765"])
def test_a_name_without_both_parts_is_refused(name: str) -> None:
    """What isn't EXCHANGE|TOKEN is refused in words that show the right form."""
    with pytest.raises(ValueError, match=r"is not EXCHANGE\|TOKEN \(such as NSE_FO\|8765\)"):
        split_name(name)


def test_ids_are_given_in_order_of_first_sight_and_stay() -> None:
    """The table only grows: a known name keeps its id, and exchange or source make another one."""
    table = InstrumentTable()
    names = [
        ("NSE_FO", "1", "upstox"),
        ("BSE_FO", "1", "upstox"),
        ("NSE_FO", "1", "dhan"),
        ("nse_fo", "2", "x"),
    ]
    assert [table.intern(*name) for name in names] == [0, 1, 2, 3]
    assert [table.intern(*name) for name in reversed(names)] == [3, 2, 1, 0]
    assert [entry.name for entry in table.entries] == ["NSE_FO|1", "BSE_FO|1", "NSE_FO|1", "NSE_FO|2"]
    assert table.faults().tolist() == [0, 0, 0, 0]


def test_the_second_of_two_tokens_that_sanitise_alike_is_at_fault() -> None:
    """ "Nifty 50" and "Nifty_50" would share keys: the first stays good, the second collides there alone."""
    table = InstrumentTable()
    table.intern("NSE_INDEX", "Nifty 50", "a")
    table.intern("NSE_INDEX", "Nifty_50", "a")
    table.intern("nse_index", "Nifty_50", "b")
    table.intern("BSE_INDEX", "Nifty_50", "a")
    table.intern("nse_index", "Nifty 50", "b")
    faults = [table.FAULTS[code] for code in table.faults()]
    assert faults == ["", "token_collision", "token_collision", "", ""]


def test_faults_and_indices_follow_the_growing_table() -> None:
    """Names that come after a first look are judged too."""
    table = InstrumentTable()
    assert (len(table.faults()), len(table.is_index())) == (0, 0)
    table.intern("NSE_INDEX", "Nifty 50", "a")
    assert (table.faults().tolist(), table.is_index().tolist()) == ([0], [True])
    table.intern("NSE_EQ", "a:b", "a")
    assert (table.FAULTS[table.faults()[1]], table.is_index().tolist()) == ("token", [True, False])


def test_an_unusable_name_gets_an_id_and_a_text_that_can_travel() -> None:
    """Half a surrogate pair, as a broken JSON may hold, encodes nowhere: its entry does, so nothing stops."""
    table = InstrumentTable()
    assert table.intern("NSE_EQ", "a\ud800", "sim") == 0
    assert table.intern("NSE\udc00", "1", "sim") == 1
    assert table.intern("NSE_EQ", "a\ud800", "sim") == 0
    assert [table.FAULTS[code] for code in table.faults()] == ["token", "exchange"]
    assert all(json.dumps(entry.name, ensure_ascii=False).encode() for entry in table.entries)
