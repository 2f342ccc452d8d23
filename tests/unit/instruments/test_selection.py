from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.errors import ConfigError
from ray_ingest.instruments import Instruments, UnknownInstrumentError, read_list, select
from ray_ingest.instruments.selection import spots_of
from tests.unit.instruments import market
from tests.unit.instruments.market import DAY, MONTHLY, WEEKLY, stored
from tests.unit.instruments.refused import refusal


@pytest.fixture(scope="module")
def instruments(tmp_path_factory: pytest.TempPathFactory) -> Instruments:
    """All three brokers' masters of one day."""
    return market.instruments(tmp_path_factory.mktemp("masters"))


def strikes(names: list[str], instruments: Instruments) -> list[tuple[float | None, str]]:
    """Strike and type of each name."""
    return [(contract.strike, contract.option_type) for contract in map(instruments.contract, names)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NSE_EQ|101", "NSE_EQ|101"),
        ("ALFA", "NSE_EQ|101"),
        ("alfa", "NSE_EQ|101"),
        (" Alfa ", "NSE_EQ|101"),
        ("BSE:ALFA-A", "BSE_EQ|500101"),
        ("NSE:ALFA-EQ", "NSE_EQ|101"),
        ("NSE_EQ|INE000A01011", "NSE_EQ|101"),
        ("NSE_EQ:101", "NSE_EQ|101"),
        ("NIFTY", "NSE_INDEX|Nifty 50"),
        ("nifty bank", "NSE_INDEX|Nifty Bank"),
        ("NSE_INDEX|nifty 50", "NSE_INDEX|Nifty 50"),
        ("IDX_I:13", "NSE_INDEX|Nifty 50"),
        ("NIFTY25N1824500CE", "NSE_FO|40000"),
        ("NIFTY25NOVFUT", "NSE_FO|50001"),
        ("NIFTY-Nov2025-FUT", "NSE_FO|50001"),
        ("GAMMA", "NSE_EQ|103"),
    ],
)
def test_any_brokers_spelling_is_understood(text: str, name: str, instruments: Instruments) -> None:
    """Our names, keys, trading symbols and contracts' symbols all lead to the one name, in any case."""
    assert select([text], instruments, DAY) == [name]


def test_the_exchange_s_symbol_works_with_any_master(tmp_path: Path) -> None:
    """A contract's symbol is known even where the only master, Upstox's, spells it in another way."""
    alone = Instruments(stored(tmp_path, {"u.json": market.upstox()}))
    assert select(["NIFTY25N1824500CE", "NIFTY25NOV*500PE"], alone, DAY) == [
        "NSE_FO|40000", "NSE_FO|41001", "NSE_FO|41021",
    ]  # fmt: skip


def test_patterns_match_names_or_symbols(instruments: Instruments) -> None:
    """With | over names, else over symbols; * is anything and ? one character; the expired is not found."""
    assert select(["NSE_EQ|*"], instruments, DAY) == ["NSE_EQ|101", "NSE_EQ|102", "NSE_EQ|103"]
    assert select(["nse_eq|10?"], instruments, DAY) == ["NSE_EQ|101", "NSE_EQ|102", "NSE_EQ|103"]
    assert len(select(["NIFTY25NOV*CE"], instruments, DAY)) == 11
    assert select(["NSE:*-BE"], instruments, DAY) == ["NSE_EQ|103"]
    assert len(select(["NIFTY25N*"], instruments, DAY)) == 45
    assert len(select(["NIFTY25N*"], instruments, WEEKLY + timedelta(days=1))) == 23
    with pytest.raises(ConfigError, match=r"NIFTY26\*: no instrument matches this pattern"):
        select(["NIFTY26*"], instruments, DAY)


def test_strikes_are_counted_from_the_price(instruments: Instruments) -> None:
    """N strikes on either side of the nearest one: to the rule's price, else the spot, else the middle."""
    rule = "NIFTY nearest weekly ± 1 strikes"
    own = strikes(select([f"{rule} around 24640"], instruments, DAY, {"NIFTY": 25_400.0}), instruments)
    assert own == [
        (24_500, "CE"),
        (24_500, "PE"),
        (24_600, "CE"),
        (24_600, "PE"),
        (24_700, "CE"),
        (24_700, "PE"),
    ]
    spot = strikes(select([rule], instruments, DAY, {"NIFTY": 25_260.0}), instruments)
    assert [strike for strike, side in spot if side == "CE"] == [25_200, 25_300, 25_400]
    middle = strikes(select([rule], instruments, DAY), instruments)
    assert [strike for strike, side in middle if side == "PE"] == [24_900, 25_000, 25_100]


def test_a_chain_that_ends_gives_fewer_strikes(instruments: Instruments) -> None:
    """At the end of a chain, or for more strikes than there are, what exists is taken."""
    edge = strikes(select(["NIFTY nearest ± 2 strikes around 30000"], instruments, DAY), instruments)
    assert [strike for strike, side in edge if side == "CE"] == [25_300, 25_400, 25_500]
    assert len(select(["NIFTY nearest ± 99 strikes"], instruments, DAY)) == 22


def test_nearest_and_next_are_counted_from_today(instruments: Instruments) -> None:
    """An expiry counts through its own day; weekly is any expiry, monthly only the month's last."""

    def expiry(rule: str, today: date) -> date | None:
        return instruments.contract(select([rule], instruments, today)[0]).expiry

    assert expiry("NIFTY nearest weekly calls", DAY) == WEEKLY
    assert expiry("NIFTY nearest weekly calls", WEEKLY) == WEEKLY
    assert expiry("NIFTY nearest weekly calls", WEEKLY + timedelta(days=1)) == MONTHLY
    assert expiry("NIFTY next weekly calls", DAY) == MONTHLY
    assert expiry("NIFTY nearest monthly puts", DAY) == MONTHLY
    assert expiry("NIFTY next monthly futures", DAY) == market.NEXT
    assert expiry("NIFTY 2025-11-25 options", DAY) == MONTHLY


def test_groups_are_what_they_say(instruments: Instruments) -> None:
    """All indices; and of the stocks those with derivatives, once each, at their own exchange."""
    assert select(["all indices"], instruments, DAY) == [
        "NSE_INDEX|Nifty 50", "NSE_INDEX|Nifty Bank", "NSE_INDEX|India VIX",
    ]  # fmt: skip
    assert select(["all F&O stocks"], instruments, DAY) == ["NSE_EQ|101", "NSE_EQ|102"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ALFAA", r"ALFAA: no broker's master has this instrument; did you mean NSE_EQ\|101 \(ALFA\)"),
        ("NSE_EX|101", r"did you mean NSE_EQ\|101"),
        ("NIFTI nearest futures", "no derivatives of NIFTI; did you mean NIFTY"),
        ("ALFA nearest options", "ALFA has no options"),
        ("BANKNIFTY nearest weekly options", "BANKNIFTY has no weekly expiries: write monthly"),
        ("NIFTY 2025-11-19 options", "no such expiry from 2025-11-10 on; there is 2025-11-18, 2025-11-25"),
    ],
)
def test_what_is_unknown_is_refused_in_one_line(text: str, complaint: str, instruments: Instruments) -> None:
    """A name, underlying or expiry that isn't there is named, with what was near or is there."""
    with pytest.raises(ConfigError, match=complaint) as refused:
        select(["NSE_EQ|101", text], instruments, DAY)
    assert "\n" not in str(refused.value)


def test_several_unknown_names_are_named_together(instruments: Instruments) -> None:
    """A list with typing errors is mended in one go, not one run after the other."""
    with pytest.raises(
        UnknownInstrumentError, match="ALFAA: no broker's master has this instrument, nor BETTA, NSE_EQ"
    ):
        select(["ALFAA", "BETTA", "NSE_EQ|7"], instruments, DAY)


def test_a_symbol_of_several_is_refused(tmp_path: Path) -> None:
    """Two instruments of one segment with one symbol: the user says which."""
    twins = [
        market.Cash("NSE", str(900 + i), "TWIN", f"INE000T0101{i}", "TWIN LTD", series=f"N{i}")
        for i in (1, 2)
    ]
    alone = Instruments(stored(tmp_path, {"u.json": market.upstox(cash=twins)}))
    with pytest.raises(ConfigError, match=r"TWIN may be NSE_EQ\|901 or NSE_EQ\|902: write one of these"):
        select(["TWIN"], alone, DAY)


@given(data=st.data())
def test_a_selection_is_a_set_in_the_order_of_its_texts(
    instruments: Instruments, data: st.DataObject
) -> None:
    """However texts are repeated and overlap, each name comes once, and every name is a broker's."""
    texts = data.draw(
        st.lists(
            st.sampled_from(
                [
                    "NSE_EQ|*",
                    "ALFA",
                    "all indices",
                    "NIFTY",
                    "NIFTY nearest ± 2 strikes",
                    "*FUT",
                    "NSE_FO|50001",
                ]
            ),
            max_size=6,
        )
    )
    chosen = select(texts, instruments, DAY)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(instruments.names())
    assert chosen == list(dict.fromkeys(name for text in texts for name in select([text], instruments, DAY)))


@given(st.text(max_size=30))
def test_any_text_selects_or_is_refused(instruments: Instruments, text: str) -> None:
    """Whatever stands in a list of instruments, the outcome is names or the error for bad settings."""
    chosen: list[str] = []
    said = refusal(lambda: chosen.extend(select([text], instruments, DAY)))
    assert bool(chosen) != bool(said)
    assert said.isprintable()


def test_a_list_has_comments_and_blank_lines(tmp_path: Path) -> None:
    """One text a line; the rest of a line after # is for people."""
    path = tmp_path / "mine.txt"
    path.write_text("# mine\n\nNSE_EQ|101   # Alfa\r\n NIFTY nearest weekly ± 10 strikes\n")
    assert read_list(path) == ["NSE_EQ|101", "NIFTY nearest weekly ± 10 strikes"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"NSE_EQ|101\nall stocks\n", r"mine\.txt, line 2: all stocks: there is"),
        (b"NSE_EQ|101\n\n\x00\n", r"mine\.txt, line 3: .*control characters"),
        (b"# nothing\n", "no instrument in it"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_bad_list_names_the_line(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    """A rule that can't be read is named with file and line, so is a file that is none."""
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        read_list(path)


def test_spots_are_read_from_texts() -> None:
    """NIFTY=26010.5 is a spot; anything else is refused."""
    assert spots_of(["nifty=26010.5", "SENSEX = 84000"]) == {"NIFTY": 26010.5, "SENSEX": 84000.0}
    for text in ("NIFTY", "NIFTY=", "NIFTY=high", "NIFTY=nan", "=1"):
        with pytest.raises(ConfigError, match=r"write it as NIFTY=26010\.5"):
            spots_of([text])
