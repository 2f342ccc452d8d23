"""What live feeds subscribe: from texts to brokers' keys, and again when what they mean has changed."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from ray_ingest import subscriptions
from ray_ingest.config import compose
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.subscriptions import Changes, Subscriptions, subscriptions_of
from tests.unit.instruments import market


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where masters are looked for; there are none yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(subscriptions, "LOOK_S", 0.0)
    found = tmp_path / "ray-ingest" / "instruments"
    found.mkdir(parents=True)
    return found


def on(day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is this day in India."""
    monkeypatch.setattr(subscriptions, "today", lambda: day)


def names(found: Subscriptions | None, broker: str = "upstox") -> list[str]:
    """Of a broker."""
    return [one.name for one in (found or {})[broker]]


def test_without_a_master_no_price_is_rounded_away() -> None:
    """A stock's tick size may be a paisa, a currency's a quarter: five would make other prices of them."""
    found = subscriptions_of(compose(["feed=dhan", "instruments=[NSE_EQ|3045,NCD_FO|1234]"]))
    assert found["dhan"] == (
        Subscription("NSE_EQ|3045", "NSE_EQ:3045", 0.01),
        Subscription("NCD_FO|1234", "NSE_CURRENCY:1234", 0.0025),
    )


def test_a_segment_that_is_none_is_refused_without_a_master_too() -> None:
    """Upstox would be asked for it and never answer."""
    with pytest.raises(ConfigError, match=r"NSEFO\|8765: there is no segment NSEFO; did you mean NSE_FO"):
        subscriptions_of(compose(["feed=upstox", "instruments=[NSEFO|8765]"]))


def test_the_nearest_expiry_moves_on_with_the_day(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of several days doesn't stay with contracts that have expired."""
    market.stored(folder, {"u.json": market.upstox()})
    on(market.WEEKLY, monkeypatch)
    config = compose(["feed=upstox", "instruments=[NIFTY nearest weekly calls]"])
    changes = Changes(config)
    before = names(subscriptions_of(config))
    assert changes.change() is None
    on(market.WEEKLY + timedelta(1), monkeypatch)
    after = names(changes.change())
    assert after
    assert not set(after) & set(before)
    assert changes.change() is None


def test_who_else_has_an_instrument_is_said_with_it(folder: Path) -> None:
    """Three brokers have the first future, two the second, one the third."""
    futures = [one for one in market.DERIVATIVES if one.token in ("50001", "50002", "50003")]
    texts = {
        "u.json": market.upstox(futures),
        "fo.csv": market.fyers_fo(futures[:1]),
        "cm.csv": market.fyers_cm(),
        "d.csv": market.dhan_detailed(futures[:2]),
    }
    market.stored(folder, texts)
    listed = ",".join(f"NSE_FO|{one.token}" for one in futures)
    found = subscriptions_of(compose(["feed=brokers", f"instruments=[{listed}]"]))
    carriers = {broker: [one.carriers for one in subscriptions] for broker, subscriptions in found.items()}
    assert carriers == {"upstox": ["all", "some", "one"], "fyers": ["all"], "dhan": ["all", "some"]}
    (alone,) = subscriptions_of(compose(["feed=upstox", f"instruments=[{listed}]"])).values()
    assert [one.carriers for one in alone] == ["all"] * 3


def test_masters_that_are_fetched_are_read(folder: Path) -> None:
    """A name that the old ones didn't have, or a key that is another now."""
    config = compose(["feed=upstox", "instruments=[NSE_FO|8765]"])
    changes = Changes(config)
    assert (changes.change(), changes.last()) == (None, None)
    market.stored(folder, {"u.json": market.upstox()})
    assert changes.change() is None  # they don't have it: everything stays
    market.stored(folder, {"u.json": market.upstox([market.Derivative("8765", "NIFTY", market.MONTHLY)])})
    assert names(changes.change()) == ["NSE_FO|8765"]
    assert changes.change() is None
    assert names(changes.last()) == ["NSE_FO|8765"]


def test_a_file_that_is_written_is_read_and_one_that_is_bad_changes_nothing(tmp_path: Path) -> None:
    """What it said last is kept for feeds that are started again, together with all of Ray."""
    path = tmp_path / "list"
    path.write_text("NSE_FO|1\n")
    changes = Changes(compose(["feed=upstox", f"instruments_file={path}"]))
    assert changes.change() is None
    path.write_text("NSE_FO|1\nNSE_FO|22\n")
    assert names(changes.change()) == ["NSE_FO|1", "NSE_FO|22"]
    path.write_text("no name\n")
    assert changes.change() is None
    assert names(changes.last()) == ["NSE_FO|1", "NSE_FO|22"]
