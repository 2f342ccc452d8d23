"""Running checks: none raises, none holds up the others, none shows a secret."""

import threading
import time
from collections.abc import Iterator

import pytest

from ray_ingest.config import AppConfig, compose
from ray_ingest.doctor.examination import Check, examine
from ray_ingest.doctor.finding import Finding, Verdict, ok, refused
from ray_ingest.errors import StoreError
from ray_ingest.redact import register

SECRET = "a-secret-of-the-doctor"  # noqa: S105


@pytest.fixture(scope="module")
def config() -> AppConfig:
    """The defaults."""
    return compose([])


def test_each_check_is_told_in_its_order(config: AppConfig) -> None:
    """Several findings of a check stay together."""

    def two(config: AppConfig) -> Iterator[Finding]:
        yield ok("a", "1")
        yield ok("b", "2")

    found = list(examine(config, [Check("two", two), Check("one", lambda config: [ok("c", "3")])]))
    assert [finding.check for finding in found] == ["a", "b", "c"]


def test_a_check_that_fails_is_a_finding(config: AppConfig) -> None:
    """Errors of ours in their own words, others with their kind; what was found before stays, on one line."""

    def ours(config: AppConfig) -> Iterator[Finding]:
        yield ok("a", "well")
        raise StoreError("the store is away: start it")

    def other(config: AppConfig) -> Iterator[Finding]:
        raise OSError(f"odd\nthing with {SECRET}")

    register(SECRET)
    found = list(examine(config, [Check("first", ours), Check("second", other)]))
    assert [(f.check, f.verdict, f.found) for f in found] == [
        ("a", Verdict.OK, "well"),
        ("first", Verdict.WRONG, "the store is away: start it"),
        ("second", Verdict.WRONG, "it can't be looked at: OSError: odd thing with ***"),
    ]


def test_a_check_that_hangs_is_left(config: AppConfig) -> None:
    """It is said to hang after its time, and the others are told meanwhile."""
    release = threading.Event()

    def hangs(config: AppConfig) -> Iterator[Finding]:
        release.wait()
        yield ok("never", "seen")

    begun_s = time.monotonic()
    found = list(examine(config, [Check("hangs", hangs, 0.1), Check("b", lambda config: [ok("b", "")])]))
    release.set()
    assert time.monotonic() - begun_s < 5
    assert [(f.check, f.verdict) for f in found] == [("hangs", Verdict.WRONG), ("b", Verdict.OK)]
    assert "no answer within 0.1 s" in found[0].found


def test_an_error_says_how_to_mend_it() -> None:
    """Our errors name what is wrong, and after a colon what mends it: two columns of the table."""
    assert refused("x", "it is away: start it: now") == Finding(
        "x", Verdict.WRONG, "it is away", "start it: now"
    )
