"""The grammar of rules in words. What is no rule is a name or a pattern, and none of this module's business.

    all indices | all F&O stocks
    UNDERLYING nearest|next|DATE [weekly|monthly] futures|options|calls|puts
    UNDERLYING nearest|next|DATE [weekly|monthly] ± N strikes [around PRICE]

± may be written +- or +/-, DATE is an expiry as 2025-11-25, and upper and lower case are the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ray_ingest.errors import ConfigError


class Group(StrEnum):
    """A rule that needs no underlying."""

    INDICES = "all indices"
    FNO_STOCKS = "all f&o stocks"


@dataclass(frozen=True, slots=True)
class ContractRule:
    """Contracts of one underlying: of the expiry number `turn` (0 nearest, 1 next) or of that `day`; among
    monthly expiries only, or in a chain that has weekly ones, or in any (`cycle` "monthly", "weekly", "").

    `types` are the option types (CE, PE, FUT); `strikes` how many on either side of the one nearest to
    `around` (rupees, None: not said), None for all.
    """

    underlying: str
    turn: int
    day: date | None
    cycle: str
    types: tuple[str, ...]
    strikes: int | None
    around: float | None


_TYPES = {
    "future": ("FUT",), "futures": ("FUT",), "option": ("CE", "PE"), "options": ("CE", "PE"),
    "call": ("CE",), "calls": ("CE",), "put": ("PE",), "puts": ("PE",),
}  # fmt: skip
_EXPIRY = re.compile(
    r"^(?P<underlying>\S.*?)\s+(?P<which>nearest|next|\d{4}-\d\d-\d\d)\b\s*(?P<rest>.*)$", re.I | re.A
)
_STRIKES = re.compile(
    r"^(?:±|\+/?-)\s*(?P<count>\d{1,5})\s+strikes?(?:\s+around\s+(?P<around>\d{1,9}(?:\.\d+)?))?$",
    re.I | re.A,
)
_NO_RULES = ("nifty next 50",)  # names that begin as rules do
_TURNS = {"nearest": 0, "next": 1}
_GROUPS = {"indices": Group.INDICES, "f&o stocks": Group.FNO_STOCKS, "fno stocks": Group.FNO_STOCKS}


def parse(text: str) -> Group | ContractRule | None:
    """The rule that the text is; None when it isn't one at all. Raises ConfigError when it begins as one."""
    words = " ".join(text.split())
    if "|" in words or words.lower() in _NO_RULES:
        return None
    if words.lower().startswith("all "):
        group = _GROUPS.get(words[4:].lower())
        if group is None:
            raise ConfigError(f"{words}: there is 'all indices' and 'all F&O stocks'")
        return group
    match = _EXPIRY.match(words)
    return None if match is None else _contract_rule(words, match)


def _contract_rule(words: str, match: re.Match[str]) -> ContractRule:
    which, rest = match["which"].lower(), match["rest"]
    first, _, after = rest.partition(" ")
    cycle = first.lower() if first.lower() in ("weekly", "monthly") else ""
    what = after if cycle else rest
    strikes = _STRIKES.match(what)
    types = ("CE", "PE") if strikes else _TYPES.get(what.lower())
    if types is None:
        raise ConfigError(
            f"{words}: {what or 'nothing'!r} where 'futures', 'options', 'calls', 'puts' or '± N strikes' "
            "is expected"
        )
    return ContractRule(
        underlying=match["underlying"].upper(),
        turn=_TURNS.get(which, 0),
        day=None if which in _TURNS else _day(words, which),
        cycle=cycle,
        types=types,
        strikes=int(strikes["count"]) if strikes else None,
        around=float(strikes["around"]) if strikes and strikes["around"] else None,
    )


def _day(words: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{words}: {text} is no date") from None
