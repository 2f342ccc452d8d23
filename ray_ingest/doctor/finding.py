"""What a check says."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """`WARNING`: it runs, and something may be lost or late. `WRONG`: it doesn't run, or loses data."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """Of one check: what was found, in one line, and the command or step that mends it ("": none)."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, mend: str) -> Finding:
    """It runs, but."""
    return Finding(check, Verdict.WARNING, found, mend)


def wrong(check: str, found: str, mend: str = "") -> Finding:
    """It doesn't."""
    return Finding(check, Verdict.WRONG, found, mend)


def refused(check: str, text: str) -> Finding:
    """From the text of an error of ours: what is wrong, and after a colon how to mend it."""
    found, _, mend = text.partition(": ")
    return wrong(check, found, mend)
