"""The shipped calendars and Indian dates, for every test that needs them."""

from copy import deepcopy
from datetime import date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from omegaconf import OmegaConf

from ray_ingest.core.calendar import Calendar
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.resources import resource_dir

IST = ZoneInfo("Asia/Kolkata")


@cache
def _file(name: str) -> object:
    return OmegaConf.to_container(OmegaConf.load(resource_dir("conf") / "calendar" / f"{name}.yaml"))


def load(name: str) -> dict[str, Any]:
    """A calendar file as Hydra would hand it over, the caller's own copy."""
    mapping = deepcopy(_file(name))
    assert isinstance(mapping, dict)
    return mapping


@cache
def calendar(name: str = "nse", *fno_stocks: str) -> Calendar:
    """The calendar of that file with these stocks listed."""
    return Calendar(CalendarTable.from_mapping(load(name) | {"fno_stocks": list(fno_stocks)}))


def ms(text: str) -> int:
    """Epoch ms of an IST time such as "2026-08-05 15:35"."""
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def day(text: str) -> int:
    """Days since 1970-01-01 of a date."""
    return (date.fromisoformat(text) - date(1970, 1, 1)).days
