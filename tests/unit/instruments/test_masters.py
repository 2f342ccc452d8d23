import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.instruments import dhan, fyers, upstox
from ray_ingest.instruments.columns import SCHEMA, SEGMENTS, index_table, named
from ray_ingest.instruments.errors import MastersError
from ray_ingest.instruments.masters import files_in, read_masters
from tests.unit.instruments import market
from tests.unit.instruments.refused import refusal

FORMATS: dict[str, tuple[str, list[bytes]]] = {
    "upstox": ("upstox", [market.upstox()]),
    "fyers": ("fyers", [market.fyers_cm(), market.fyers_fo()]),
    "dhan-compact": ("dhan", [market.dhan_compact()]),
    "dhan-detailed": ("dhan", [market.dhan_detailed()]),
    "dhan-extract": ("dhan", [market.dhan_extract()]),
}


def read(folder: Path, texts: list[bytes]) -> dict[str, pl.DataFrame]:
    """The masters of files with these contents."""
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"{number}.csv")
        files[-1].write_bytes(text)
    return read_masters(files)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_contracts(form: str, tmp_path: Path) -> None:
    """Name, underlying, expiry, strike, type and kind come out alike of whatever file says them."""
    broker, texts = FORMATS[form]
    columns = ["name", "underlying", "expiry", "strike", "option_type", "kind", "symbol"]
    expected = read(tmp_path, [market.upstox()])["upstox"]
    found = read(tmp_path, texts)[broker]
    same = columns[:-1]
    assert found.schema == pl.Schema(SCHEMA)
    assert found.select(same).sort("name").equals(expected.select(same).sort("name"))
    cash = pl.col("expiry").is_null()
    assert sorted(found.filter(cash)["symbol"]) == sorted(expected.filter(cash)["symbol"])


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        ("upstox", ["NSE_EQ|INE000A01011", "NSE_INDEX|Nifty 50", "NSE_FO|50001"]),
        ("fyers", ["NSE:ALFA-EQ", "NSE:NIFTY50-INDEX", "NSE:NIFTY25NOVFUT"]),
        ("dhan-compact", ["NSE_EQ:101", "IDX_I:13", "NSE_FNO:50001"]),
        ("dhan-detailed", ["NSE_EQ:101", "IDX_I:13", "NSE_FNO:50001"]),
        ("dhan-extract", ["NSE_EQ:101", "IDX_I:13", "NSE_FNO:50001"]),
    ],
)
def test_keys_are_what_the_broker_is_subscribed_by(form: str, keys: list[str], tmp_path: Path) -> None:
    """A stock, an index and a future have the key that the broker's socket takes."""
    broker, texts = FORMATS[form]
    found = read(tmp_path, texts)[broker]
    names = ["NSE_EQ|101", "NSE_INDEX|Nifty 50", "NSE_FO|50001"]
    assert [found.filter(name=name)["key"].item() for name in names] == keys


@pytest.mark.parametrize("form", ["upstox", "fyers", "dhan-compact", "dhan-detailed"])
def test_tick_sizes_are_rupees(form: str, tmp_path: Path) -> None:
    """Paise become rupees where the broker writes paise; an index, which has none, gets a harmless one."""
    broker, texts = FORMATS[form]
    found = read(tmp_path, texts)[broker]
    names = ["NSE_EQ|101", "NSE_EQ|102", "NSE_FO|50001", "NSE_INDEX|Nifty 50", "NSE_INDEX|India VIX"]
    assert [found.filter(name=name)["tick_size"].item() for name in names] == [0.05, 0.1, 0.05, 0.01, 0.0025]


def test_a_file_without_tick_sizes_gets_the_smallest(tmp_path: Path) -> None:
    """Where nothing is said, prices are rounded to a paisa: too fine is harmless, too coarse is wrong."""
    found = read(tmp_path, [market.dhan_extract()])["dhan"]
    assert set(found.filter(kind="equity")["tick_size"]) == {0.01}


def test_what_has_no_name_says_why(tmp_path: Path) -> None:
    """A foreign segment, an unknown index, a contract without expiry and a second row are kept, with why."""
    text = market.dhan_compact().decode() + (
        "NSE,M,9001,FUTCOM,0,GOLD-Dec2025-FUT,1,GOLD,2025-12-05 23:30:00,0,XX,100,M,FUT,NA,GOLD\n"
        "NSE,I,99999,INDEX,0,MADE UP,1,Made Up,0001-01-01,,XX,0.05,,INDEX,X,MADE UP\n"
        "NSE,D,9002,FUTIDX,0,NIFTY-Dec2025-FUT,75,NIFTY,,0,XX,5,M,FUT,NA,NIFTY\n"
        "NSE,E,101,EQUITY,0,ALFA,1,Alfa again,,,,5,NA,ES,EQ,ALFA\n"
        "NSE,E,1:1,EQUITY,0,COLON,1,Colon,,,,5,NA,ES,EQ,COLON\n"
    )
    found = read(tmp_path, [text.encode()])["dhan"].filter(pl.col("name").is_null())
    assert found.select("broker_id", "unmapped").rows() == [
        ("9001", "segment NSE_COM is none of ours"),
        ("99999", "index is not in the kept table"),
        ("9002", "contract without underlying, expiry or type"),
        ("101", "second row of NSE_EQ|101"),
        ("1:1", "token can't be part of a name"),
    ]


def test_files_of_one_broker_are_one_master_and_may_be_packed(tmp_path: Path) -> None:
    """Fyers' several files make one master; gzip is known by its content, whatever the file is called."""
    masters = read(tmp_path, [gzip.compress(market.fyers_cm()), market.fyers_fo(), market.upstox()])
    assert list(masters) == ["upstox", "fyers"]
    assert len(masters["fyers"]) == len(masters["upstox"])


def test_masters_of_two_days_are_not_mixed(tmp_path: Path) -> None:
    """Two files that hold the same segment of a broker are refused: their tokens contradict each other."""
    with pytest.raises(MastersError, match=r"1\.csv and 0\.csv both hold dhan's NSE_EQ"):
        read(tmp_path, [market.dhan_compact(), market.dhan_detailed()])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "no master of Upstox, Fyers or Dhan"),
        (b"hello, world\n", "no master of Upstox, Fyers or Dhan"),
        (b"[]", "no instrument in this master of Upstox"),
        (b"[{}]", "not an Upstox master"),
        (b'[{"segment": 1}]', "not an Upstox master"),
        (market.upstox()[:-50], "not an Upstox master"),
        (gzip.compress(market.upstox())[:-50], "ended before"),
        (b"EXCH_ID,SEGMENT\nNSE,E\n", "not a Dhan master: its columns are EXCH_ID, SEGMENT"),
        (market.dhan_compact().split(b"\n")[0], "no instrument in this master of Dhan"),
        (b"<html><title>503</title></html>", "no master of Upstox, Fyers or Dhan"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(text: bytes, complaint: str, tmp_path: Path) -> None:
    """An error page, a cut-off download or another table is named with its fault, not read as a master."""
    with pytest.raises(MastersError, match=complaint) as refused:
        read(tmp_path, [text])
    assert "0.csv" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("parse", "broker", "text"),
    [
        (upstox.parse, "upstox", market.upstox()),
        (fyers.parse, "fyers", market.fyers_cm()),
        (fyers.parse, "fyers", market.fyers_fo()),
        (dhan.parse, "dhan", market.dhan_compact()),
        (dhan.parse, "dhan", market.dhan_detailed()),
        (dhan.parse, "dhan", market.dhan_extract()),
    ],
)
@given(data=st.data())
def test_damaged_masters_never_escape(
    parse: Callable[[bytes], pl.DataFrame], broker: str, text: bytes, data: st.DataObject
) -> None:
    """A master cut, overwritten or with bytes put in is read or refused; nothing else leaves a parser."""
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    junk = data.draw(st.binary(max_size=20))
    damaged = text[:start] + junk + text[start + length :]
    assert "\n" not in refusal(lambda: named(parse(damaged), broker))


def test_a_place_without_masters_is_refused(tmp_path: Path) -> None:
    """A folder without files, and a path that isn't there, are named."""
    with pytest.raises(MastersError, match=r"no \.json or \.csv file"):
        files_in([tmp_path])
    with pytest.raises(MastersError, match="no such file"):
        files_in([tmp_path / "nowhere"])
    (tmp_path / "b.csv").touch()
    (tmp_path / "a.json.gz").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.name for path in files_in([tmp_path])] == ["a.json.gz", "b.csv"]


def test_the_kept_table_of_indices_is_sound() -> None:
    """A broker's key means one index, and every index is one of ours by segment and token."""
    table = index_table()
    assert table.select("broker", "key").is_unique().all()
    assert set(table["segment"]) == {"NSE_INDEX", "BSE_INDEX"} <= set(SEGMENTS)
    assert set(table["broker"]) == {"fyers", "dhan"}
    assert not table["token"].str.contains(r"[:|{}]").any()
    first = table.filter(pl.col("token") == "Nifty 50").select("broker", "key").rows()
    assert first == [("dhan", "IDX_I:13"), ("fyers", "NSE:NIFTY50-INDEX")]
