from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.errors import ConfigError
from ray_ingest.instruments.rules import ContractRule, Group, parse
from tests.unit.instruments.refused import refusal

UNDERLYINGS = st.from_regex(r"[A-Z][A-Z0-9&\-]{0,11}", fullmatch=True).filter(lambda name: name != "ALL")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("all indices", Group.INDICES),
        ("All  F&O stocks", Group.FNO_STOCKS),
        ("all fno stocks", Group.FNO_STOCKS),
        (
            "NIFTY nearest weekly ± 10 strikes",
            ContractRule("NIFTY", 0, None, "weekly", ("CE", "PE"), 10, None),
        ),
        ("nifty next ±1 strike", ContractRule("NIFTY", 1, None, "", ("CE", "PE"), 1, None)),
        (
            "SENSEX nearest +- 5 strikes around 84100.5",
            ContractRule("SENSEX", 0, None, "", ("CE", "PE"), 5, 84100.5),
        ),
        (
            "BANKNIFTY nearest monthly futures",
            ContractRule("BANKNIFTY", 0, None, "monthly", ("FUT",), None, None),
        ),
        ("M&M 2025-11-25 calls", ContractRule("M&M", 0, date(2025, 11, 25), "", ("CE",), None, None)),
        ("NSE_EQ|2885", None),
        ("NSE_INDEX|Nifty Next 50", None),
        ("Nifty Next 50", None),
        ("NIFTY25NOV*CE", None),
        ("nearest", None),
        ("allcargo", None),
        ("", None),
    ],
)
def test_texts_are_read_as_the_grammar_says(text: str, rule: Group | ContractRule | None) -> None:
    """Each form of rule is read as what it says; a name or a pattern is no rule."""
    assert parse(text) == rule


@given(
    underlying=UNDERLYINGS,
    which=st.sampled_from(["nearest", "next"]) | st.dates(),
    cycle=st.sampled_from(["", "weekly", "monthly"]),
    count=st.integers(0, 99_999),
    sign=st.sampled_from(["±", "+-", "+/-"]),
    gap=st.sampled_from(["", " "]),
    around=st.none() | st.integers(0, 10**6),
    upper=st.booleans(),
)
def test_what_is_written_by_the_grammar_is_read_back(
    underlying: str,
    which: str | date,
    cycle: str,
    count: int,
    sign: str,
    gap: str,
    around: int | None,
    upper: bool,
) -> None:
    """Every rule of strikes that the grammar allows, in either case and any spacing, is understood."""
    words = [underlying, str(which), cycle, f"{sign}{gap}{count}", "strikes"]
    words += [] if around is None else ["around", str(around)]
    text = "  ".join(word for word in words if word)
    expected = ContractRule(
        underlying,
        int(which == "next"),
        which if isinstance(which, date) else None,
        cycle,
        ("CE", "PE"),
        count,
        around,
    )
    assert parse(text.upper() if upper else text) == expected


@given(st.text(max_size=60) | st.builds("{} nearest {}".format, UNDERLYINGS, st.text(max_size=30)))
def test_any_text_is_a_rule_or_none_or_one_line(text: str) -> None:
    """Nothing a user can write raises anything but the error for bad settings, and that in one line."""
    said = refusal(lambda: parse(text))
    assert said.isprintable() or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("all stocks", "there is 'all indices' and 'all F&O stocks'"),
        ("NIFTY nearest weakly options", "'weakly options' where 'futures'"),
        ("NIFTY nearest weekly", "'nothing' where 'futures'"),
        ("NIFTY nearest weekly ± strikes", "'± strikes' where"),
        ("NIFTY 2025-13-01 calls", "2025-13-01 is no date"),
    ],
)
def test_a_rule_that_fails_says_where(text: str, complaint: str) -> None:
    """A text that begins as a rule and isn't one is refused with what was expected."""
    with pytest.raises(ConfigError, match=complaint):
        parse(text)
