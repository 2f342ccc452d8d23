from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from ray_ingest.instruments import Contract, Instruments, MastersError, UnknownInstrumentError
from ray_ingest.instruments import listing as listing_module
from ray_ingest.instruments.stored import newest, write_master
from tests.unit.instruments import market
from tests.unit.instruments.market import DERIVATIVES, MONTHLY, WEEKLY, Derivative, stored


@pytest.fixture
def instruments(tmp_path: Path) -> Instruments:
    """All three brokers' masters of one day."""
    return market.instruments(tmp_path)


def test_a_subscription_has_the_brokers_key_and_keeps_the_order(instruments: Instruments) -> None:
    """Names become what each broker is subscribed by, in the order they were given."""
    names = ["NSE_INDEX|Nifty 50", "NSE_EQ|102", "NSE_FO|40000"]
    found = {broker: instruments.subscriptions(names, broker) for broker in ("upstox", "fyers", "dhan")}
    assert {broker: [one.key for one in ones] for broker, ones in found.items()} == {
        "upstox": ["NSE_INDEX|Nifty 50", "NSE_EQ|INE000B01019", "NSE_FO|40000"],
        "fyers": ["NSE:NIFTY50-INDEX", "NSE:BETA-AUTO-EQ", "NSE:NIFTY25N1824500CE"],
        "dhan": ["IDX_I:13", "NSE_EQ:102", "NSE_FNO:40000"],
    }
    assert [one.name for one in found["dhan"]] == names
    assert [one.tick_size for one in found["upstox"]] == [0.01, 0.1, 0.05]


def test_names_and_keys_are_inverse(instruments: Instruments) -> None:
    """Every broker's key leads back to the name it was made from, and no other key does."""
    for broker in ("upstox", "fyers", "dhan"):
        subscriptions = instruments.subscriptions(instruments.names(broker), broker)
        assert [instruments.name_of(broker, one.key) for one in subscriptions] == instruments.names(broker)
        assert instruments.name_of(broker, "NSE:NOSUCH-EQ") is None


def test_what_a_broker_lacks_is_reported(tmp_path: Path) -> None:
    """A name that another broker has is missing here; one that nobody has is an error with near matches."""
    only_cash = Instruments(stored(tmp_path, {"u.json": market.upstox(), "cm.csv": market.fyers_cm()}))
    names = ["NSE_FO|50001", "NSE_EQ|101"]
    assert only_cash.missing(names, "fyers") == ["NSE_FO|50001"]
    assert [one.name for one in only_cash.subscriptions(names, "fyers")] == ["NSE_EQ|101"]
    with pytest.raises(UnknownInstrumentError, match=r"NSE_EQ\|1011: no broker.*mean NSE_EQ\|101"):
        only_cash.subscriptions(["NSE_EQ|101", "NSE_EQ|1011"], "fyers")
    with pytest.raises(MastersError, match=r"no instrument master of dhan \(there is upstox, fyers\)"):
        only_cash.names("dhan")


def test_a_contract_says_what_its_token_stands_for(instruments: Instruments) -> None:
    """The day and the contract come with a name; the identity holds them, because tokens are given away."""
    contract = instruments.contract("NSE_FO|41001")
    assert contract == Contract(
        name="NSE_FO|41001", day=market.DAY, symbol="NIFTY 24500 PE", description="", kind="option",
        underlying="NIFTY", expiry=MONTHLY, strike=24_500.0, option_type="PE", isin="", lot_size=75,
        tick_size=0.05,
    )  # fmt: skip
    assert contract.identity == "NSE_FO|41001|NIFTY|2025-11-25|24500|PE"
    assert instruments.contract("NSE_FO|50001").identity == "NSE_FO|50001|NIFTY|2025-11-25||FUT"
    assert instruments.contract("NSE_EQ|101").identity == "NSE_EQ|101"
    with pytest.raises(UnknownInstrumentError):
        instruments.contract("NSE_FO|1")


def moved() -> list[Derivative]:
    """The same contracts a day later, the monthly chain's tokens exchanged with the weekly one's."""
    other = {"40": "41", "41": "40"}
    return [
        replace(one, token=other.get(one.token[:2], one.token[:2]) + one.token[2:]) for one in DERIVATIVES
    ]


def both_days(folder: Path) -> Instruments:
    """Upstox's master of the next day, Dhan's of the day before, when other contracts had its tokens."""
    masters = stored(folder, {"d.csv": market.dhan_detailed()})
    masters |= stored(folder, {"u.json": market.upstox(moved())}, market.DAY + timedelta(days=1))
    return Instruments(masters)


def test_the_contract_decides_where_tokens_differ(tmp_path: Path) -> None:
    """A broker's older master is matched on underlying, expiry, strike and type, not on old tokens."""
    instruments = both_days(tmp_path)
    for name in ("NSE_FO|40000", "NSE_FO|41000"):
        (subscription,) = instruments.subscriptions([name], "dhan")
        assert subscription.key == {"NSE_FO|40000": "NSE_FNO:41000", "NSE_FO|41000": "NSE_FNO:40000"}[name]
        assert instruments.name_of("dhan", subscription.key) == name
    assert instruments.contract("NSE_FO|40000").expiry == MONTHLY
    assert instruments.missing(instruments.names("upstox"), "dhan") == []


def test_matching_by_token_alone_would_mix_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the match of contracts the same name means two expiries."""
    monkeypatch.setattr(listing_module, "_reconciled", lambda master, catalogue: master)
    instruments = both_days(tmp_path)
    assert instruments.contract("NSE_FO|40000").expiry == MONTHLY
    assert (
        instruments.subscriptions(["NSE_FO|40000"], "dhan")[0].key == "NSE_FNO:40000"
    )  # it expires WEEKLY there


def test_a_token_given_away_has_no_name_at_the_older_master(tmp_path: Path) -> None:
    """An expired contract isn't taken for the one that has its token now; the report says so."""
    reused = [Derivative("40000", "ALFA", date(2025, 12, 30), "CE", 1_234.5), *DERIVATIVES[22:]]
    masters = stored(tmp_path, {"d.csv": market.dhan_detailed()})
    masters |= stored(tmp_path, {"u.json": market.upstox(reused)}, WEEKLY + timedelta(days=1))
    instruments = Instruments(masters)
    assert instruments.name_of("dhan", "NSE_FNO:40000") is None
    assert instruments.missing(["NSE_FO|40000"], "dhan") == ["NSE_FO|40000"]
    lost = instruments.unmapped("dhan").select("key", "unmapped").rows()
    assert lost == [("NSE_FNO:40000", "NSE_FO|40000 is another contract")]


def test_find_looks_at_all_words_and_puts_the_exact_first(instruments: Instruments) -> None:
    """Words are looked for in symbols, ISINs and companies' names; a spelling hit comes before all else."""
    assert instruments.find("alfa works") == ["NSE_EQ|101", "BSE_EQ|500101"]
    assert instruments.find("ALFA")[0] == "NSE_EQ|101"
    assert instruments.find("ine000b01019") == ["NSE_EQ|102"]
    assert instruments.find("25nov 24500 ce nifty") == ["NSE_FO|41000", "NSE_FO|43000"]
    assert instruments.find("NSE:NIFTYBANK-INDEX") == ["NSE_INDEX|Nifty Bank"]
    assert instruments.find("no such thing") == []
    assert instruments.find("") == []


def test_the_newest_master_not_after_the_day_is_taken(tmp_path: Path) -> None:
    """Each broker has its own newest day; a later one doesn't count, nor does a file half written."""
    frame = next(iter(stored(tmp_path, {"u.json": market.upstox()}).values())).read()
    for day, broker in ((8, "dhan"), (9, "upstox"), (12, "upstox")):
        write_master(tmp_path, date(2025, 11, day), broker, frame)
    (tmp_path / "2025-11-10" / "dhan.123.unfinished").touch()
    (tmp_path / "2025-99-99").mkdir()
    found = newest(tmp_path, date(2025, 11, 11))
    assert {broker: master.day.day for broker, master in found.items()} == {"upstox": 10, "dhan": 8}
    assert Instruments.load(tmp_path, date(2025, 11, 9)).masters["upstox"].day == date(2025, 11, 9)
    with pytest.raises(MastersError, match="no instrument masters of 2025-11-07 or before: run python -m"):
        Instruments.load(tmp_path, date(2025, 11, 7))


def test_a_damaged_store_is_one_line(tmp_path: Path) -> None:
    """A Parquet file that can't be read is named, with what to do."""
    masters = stored(tmp_path, {"u.json": market.upstox()})
    masters["upstox"].path.write_bytes(b"PAR1 no more")
    with pytest.raises(MastersError, match=r"upstox\.parquet: .*: fetch it again") as refused:
        Instruments(masters).names()
    assert "\n" not in str(refused.value)
