"""The read API against a real server: the newest candles, names, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import redis

from ray_ingest.candles import Candle, Candles
from ray_ingest.errors import StoreError, StoreUnreachableError, UnknownInstrumentError
from ray_ingest.store.embedded import EmbeddedServer
from ray_ingest.store.redis import connect
from tests.candle_writer import FRIDAY, FUTURE, INDEX, MONDAY, SHARE, THURSDAY, Writer, at
from tests.servers import Server, running_server


def test_latest_is_the_running_candle_and_confirmed_the_last_closed_one(candles: Candles) -> None:
    """Each comes whole: start in IST, prices, nulls, phase, source, and whether it is final."""
    assert candles.latest(FUTURE) == Candle(
        FUTURE, at(FRIDAY, 9, 18), 203.0, 205.0, 201.0, 203.0, 100, None, 3, "regular", "sim", False, False, 0
    )
    confirmed = candles.confirmed(FUTURE)
    assert confirmed is not None
    assert (confirmed.timestamp, confirmed.close, confirmed.final) == (at(FRIDAY, 9, 17), 202.0, True)


def test_latest_stays_the_last_closed_candle_while_none_runs(candles: Candles) -> None:
    """Nothing newer exists yet: latest and confirmed are the same candle, of an index without volume."""
    latest = candles.latest(INDEX)
    assert latest == candles.confirmed(INDEX)
    assert latest is not None
    assert (latest.timestamp, latest.volume, latest.final) == (at(FRIDAY, 9, 16), None, True)


def test_before_the_first_close_of_a_day_the_last_confirmed_is_of_the_day_before(candles: Candles) -> None:
    """A day in which nothing closed yet doesn't hide the last session's last candle, over a weekend too."""
    confirmed = candles.confirmed(SHARE)
    assert confirmed is not None
    assert (confirmed.timestamp, confirmed.close) == (at(THURSDAY, 9, 16), 1_501.0)


def test_a_day_that_only_saw_pre_open_ticks_shows_the_session_before_the_weekend(
    candles: Candles, writer: Writer
) -> None:
    """The newest day may hold no candle at all: then latest is the last one of Friday."""
    writer.day(INDEX, MONDAY, [np.nan])
    latest = candles.latest(INDEX)
    assert latest is not None
    assert latest.timestamp == at(FRIDAY, 9, 16)


def test_an_instrument_without_any_candle_has_none(candles: Candles, writer: Writer) -> None:
    """Known from ticks outside the candle phases only: None, and an empty history."""
    writer.day("BSE_EQ|500325", FRIDAY, [np.nan])
    assert candles.latest("BSE_EQ|500325") is None
    assert candles.confirmed("BSE_EQ|500325") is None
    assert candles.history("BSE_EQ|500325").is_empty()


def test_a_list_is_fetched_in_bulk_by_the_names_asked_for(candles: Candles) -> None:
    """One call answers many, each under the spelling it was asked by and equal to asking alone."""
    asked = [FUTURE, "nse_index|Nifty_50", SHARE]
    bulk = candles.latest(asked)
    assert list(bulk) == asked
    assert bulk == {name: candles.latest(name) for name in asked}
    assert candles.confirmed(asked)[SHARE] == candles.confirmed(SHARE)
    assert candles.latest([]) == {}


@pytest.mark.parametrize("name", ["NSE_INDEX|Nifty 50", "nse_index|Nifty_50", "Nse_Index|Nifty 50"])
def test_both_spellings_of_a_token_and_any_case_of_an_exchange_work(candles: Candles, name: str) -> None:
    """However it is written it is one instrument, and answers with the name its feed gave it."""
    latest = candles.latest(name)
    assert latest is not None
    assert latest.instrument == INDEX
    assert len(candles.history(name)) == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("NSE_FO|8756", FUTURE),
        ("BSE_EQ|INFY", SHARE),
        ("NSE_INDEX|nifty 50", INDEX),
        ("8765", FUTURE),
        ("NSE_INDEX:Nifty 50", INDEX),
    ],
)
def test_an_unknown_instrument_is_an_error_that_names_near_ones(
    candles: Candles, name: str, near: str
) -> None:
    """A typing error, another exchange, another case and a missing exchange all find what was meant."""
    with pytest.raises(UnknownInstrumentError) as caught:
        candles.history(name)
    assert f"did you mean {near}" in str(caught.value)
    with pytest.raises(UnknownInstrumentError):
        candles.latest([FUTURE, name])


def test_an_unknown_instrument_names_the_store_without_its_password(tmp_path: Path) -> None:
    """Whoever asks the wrong store, or with the wrong prefix, sees which one was asked, and no secret."""
    with running_server(tmp_path, "--requirepass", "sesame-open") as locked:
        url = f"{locked.url}&password=sesame-open"
        with connect(url) as client:
            Writer(client, prefix="live:").day(SHARE, FRIDAY, [100.0])
        with Candles(url, prefix="live:") as candles:
            with pytest.raises(UnknownInstrumentError) as caught:
                candles.latest("NSE_INDEX|Nifty 50")
            assert f"(store: unix://{locked.socket}, prefix live:)" in str(caught.value)
            assert "sesame" not in str(caught.value)


def test_an_empty_store_knows_no_instrument(server: Server, client: redis.Redis) -> None:
    """Nothing written yet: an empty list, and errors that say so instead of empty answers."""
    with Candles(server.url) as candles:
        assert candles.instruments() == []
        with pytest.raises(UnknownInstrumentError, match=r"holds no instrument yet .*unix:///"):
            candles.latest(FUTURE)
        with pytest.raises(StoreError, match="nothing was ever written"):
            candles.follow()


def test_instruments_of_all_partitions_are_found(server: Server, client: redis.Redis) -> None:
    """Names come sorted from every partition, under a prefix, and survive a hand-over to more partitions."""
    names = sorted(f"NSE_EQ|T{i}" for i in range(20))
    writer = Writer(client, partitions=3, prefix="live:")
    for name in names:
        writer.day(name, FRIDAY, [100.0])
    with Candles(server.url, prefix="live:") as candles:
        assert candles.instruments() == names
        assert {name: c and c.instrument for name, c in candles.latest(names).items()} == dict(
            zip(names, names, strict=True)
        )
        client.flushall()
        moved = Writer(client, partitions=5, prefix="live:")
        for name in names:
            moved.day(name, FRIDAY, [101.0])
        assert {c and c.close for c in candles.latest(names).values()} == {101.0}


def test_a_server_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """Whatever is asked, a store that can't be reached is our error, and says so without a traceback."""
    with running_server(tmp_path) as gone:
        candles = Candles(gone.url)
        with gone.client() as client:
            Writer(client)
        waiting = candles.follow(block_ms=50)
    for call in (candles.instruments, lambda: candles.latest(FUTURE), lambda: next(waiting)):
        with pytest.raises(StoreUnreachableError) as caught:
            call()
        assert "\n" not in str(caught.value)
    candles.close()


def test_keys_of_another_program_are_refused(candles: Candles, client: redis.Redis) -> None:
    """A key of ours that holds something else is a store error naming it, never wrong candles."""
    client.set("nse_fo:8765:20261120", "hello")
    with pytest.raises(StoreError, match="nse_fo:8765:20261120"):
        candles.history(FUTURE)
    client.delete("nse_fo:8765:20261120")
    client.rpush("nse_fo:8765:20261120", "1")
    for read in (candles.history, candles.latest, candles.confirmed):
        with pytest.raises(StoreError):
            read(FUTURE)


def test_the_embedded_store_of_a_folder_needs_no_url(tmp_path: Path) -> None:
    """Candles(data_dir=…) starts that folder's server, reads it, and leaves no server behind."""
    EmbeddedServer.attach(tmp_path / "store").close()
    with Candles(data_dir=tmp_path / "store") as candles:
        assert candles.instruments() == []
        assert candles.where == str(tmp_path / "store")
        assert candles._server is not None
        url = candles._server.url
    with pytest.raises(StoreUnreachableError):
        Candles(url).instruments()


def test_a_reader_makes_no_store(tmp_path: Path) -> None:
    """A mistyped folder is an error that names it, and neither it nor anything in it is made."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "nosuch" / "store", tmp_path / "notes", tmp_path / "file"):
        with pytest.raises(StoreError) as caught:
            Candles(data_dir=folder)
        assert str(caught.value).startswith(f"there is no store in {folder}: ")
        assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.rglob("*")} == {"notes", "file"}


def test_the_users_own_store_is_not_made_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first run there is none, and `Candles()` says where it looked."""
    monkeypatch.setattr("ray_ingest.candles.api.default_data_dir", lambda: tmp_path / "store")
    with pytest.raises(StoreError, match=f"no store in {tmp_path / 'store'}"):
        Candles()
    assert not list(tmp_path.iterdir())
