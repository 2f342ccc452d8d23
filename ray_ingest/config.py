"""Configuration: a menu of YAML files at the edge, frozen dataclasses inside.

`compose` reads the menu and the command line's overrides and checks every key, type and limit; anything
unknown or mistyped is refused with its name before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import Any, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from ray_ingest.config_rules import check
from ray_ingest.errors import ConfigError
from ray_ingest.feeds import brokers
from ray_ingest.resources import resource_dir
from ray_ingest.schema import (
    AlertsConfig,
    AppConfig,
    BrokerConfig,
    BrokerFeedConfig,
    BrokersFeedConfig,
    FeedConfig,
    FilterConfig,
    IngestConfig,
    JournalConfig,
    LogConfig,
    MetricsConfig,
    RayConfig,
    RedisConfig,
    ReplayFeedConfig,
    SessionConfig,
    SimFeedConfig,
    TopConfig,
)

__all__ = ["FEEDS", "SECTIONS", "AppConfig", "ReplayFeedConfig", "SimFeedConfig", "compose", "group_options"]

SECTIONS = {
    "redis": RedisConfig,
    "ray": RayConfig,
    "filter": FilterConfig,
    "alerts": AlertsConfig,
    "ingest": IngestConfig,
    "journal": JournalConfig,
    "session": SessionConfig,
    "metrics": MetricsConfig,
    "log": LogConfig,
}
"""The class of each part of the configuration but `feed`, whose class depends on its kind, `brokers`, which
has one for each of them, and `calendar`."""

FEEDS: dict[str, type[FeedConfig]] = {
    "sim": SimFeedConfig,
    "replay": ReplayFeedConfig,
    "brokers": BrokersFeedConfig,
    **dict.fromkeys(brokers.names(), BrokerFeedConfig),
}
"""The class of each kind of feed."""

_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[str]: "a list of texts, such as [a,b]",
}

_TOP = tuple(field.name for field in fields(TopConfig))
_PARTS = (*_TOP, "feed", "brokers", "calendar", *SECTIONS)


def compose(overrides: Sequence[str]) -> AppConfig:
    """The configuration for the command line's overrides. Raises ConfigError, one line, naming the key."""
    raw = _composed([_line(argument) for argument in overrides])
    kind = raw.feed.get("kind")
    if kind not in FEEDS:
        raise ConfigError(f"feed.kind={kind}: must be one of {', '.join(FEEDS)}")
    top: TopConfig = _section("", TopConfig, OmegaConf.masked_copy(raw, list(_TOP)))
    config = AppConfig(
        report=top.report,
        instruments=top.instruments,
        instruments_file=top.instruments_file,
        feed=_section("feed", FEEDS[kind], raw.feed),
        brokers={name: _section(f"brokers.{name}", BrokerConfig, raw.brokers[name]) for name in raw.brokers},
        calendar=OmegaConf.to_container(raw.calendar, resolve=True),  # type: ignore[arg-type]
        **{name: _section(name, schema, raw[name]) for name, schema in SECTIONS.items()},
    )
    check(config)
    return config


@cache
def group_options() -> dict[str, dict[str, list[str]]]:
    """The menu: the keys of every option of every group, all in the order of their names or of the file."""
    options: dict[str, dict[str, list[str]]] = {}
    for file in sorted(resource_dir("conf").glob("*/*.yaml")):
        options.setdefault(file.parent.name, {})[file.stem] = [str(key) for key in OmegaConf.load(file)]
    return options


def _line(argument: str) -> str:
    """The argument as Hydra takes it: a value its grammar can't read, or reads as several, is plain text.

    So that paths and URLs with quotes, commas and equal signs need no quoting beyond the shell's.
    """
    key, equals, value = argument.partition("=")
    name, groups = key.lstrip("+"), group_options()
    if not equals or not name or name.startswith("~"):
        raise ConfigError(f"{argument}: settings are written key=value; --help lists them")
    if name in groups and value not in groups[name]:
        raise ConfigError(
            f"{name}={value}: must be one of {', '.join(groups[name])}{_near(value, groups[name])}"
        )
    if name.partition(".")[0] not in _PARTS:
        raise _unknown(name)
    if name in (*SECTIONS, "brokers") and name not in groups:
        raise ConfigError(f"{argument}: {name} is a group of settings, written {name}.<key>=<value>")
    with suppress(HydraException):
        if not OverridesParser.create().parse_override(argument).is_sweep_override():
            return argument
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), value)
    return f"{key}='{escaped}'"


def _composed(lines: list[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(resource_dir("conf")), version_base="1.3"):
            return hydra_compose("config", overrides=lines)
    except (HydraException, OmegaConfBaseException) as error:
        unknown = re.search(r"Could not override '([^']*)'", str(error))
        raise (_unknown(unknown[1]) if unknown else ConfigError(_one_line(error))) from None


def _section(name: str, schema: type[Any], raw: Any) -> Any:
    if not isinstance(raw, DictConfig):
        raise ConfigError(f"{name}={raw}: {name} is a group of settings, written {name}.<key>=<value>")
    try:
        section = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), raw))
        _check_texts(name, section)
        return section
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        name = f"{name}." if name else ""
        if isinstance(error, MissingMandatoryValue):
            raise ConfigError(f"{name}{key}: must be given, as in {name}{key}=…") from None
        if isinstance(error, ConfigKeyError):
            raise _unknown(f"{name}{key}") from None
        if isinstance(error, InterpolationResolutionError):
            raise ConfigError(f"{name}{key}: {_one_line(error)}") from None
        field = re.split(r"[.\[]", key)[0]
        rule = _type_text(get_type_hints(schema)[field])
        raise ConfigError(f"{name}{field}={raw.get(field)}: must be {rule}") from None


def _check_texts(name: str, section: Any) -> None:
    """OmegaConf takes a list within a list of texts for a text."""
    for field in fields(section):
        value = getattr(section, field.name)
        if isinstance(value, list) and not all(isinstance(text, str) for text in value):
            key = f"{name}.{field.name}" if name else field.name
            raise ConfigError(f"{key}={value}: must be {_TYPES[list[str]]}")


def _type_text(hint: Any) -> str:
    """What a person may write for a field of this type."""
    if hint in _TYPES:
        return _TYPES[hint]
    return " or ".join(_TYPES[part] for part in hint.__args__ if part in _TYPES) + " or null"


def _unknown(key: str) -> ConfigError:
    """The error for a key that no setting has: names the option of the group that has it, or near matches."""
    group, _, name = key.rpartition(".")
    options = group_options().get(group, {})
    having = next((option for option, names in options.items() if name in names), None)
    if having is not None:
        return ConfigError(f"{key}: unknown setting here; it is one of {group}={having}")
    elsewhere = [known for known in _known_keys() if known.rpartition(".")[2] == name]
    siblings = [known for known in _known_keys() if known.rpartition(".")[0] == group]
    return ConfigError(f"{key}: unknown setting{_near(key, elsewhere or siblings)}")


@cache
def _known_keys() -> list[str]:
    """Every setting of the menu, those of groups in all options, as "group.key"."""
    groups = group_options().items()
    known = [f"{group}.{key}" for group, options in groups for key in chain(*options.values())]
    for name, value in OmegaConf.load(resource_dir("conf") / "config.yaml").items():
        if name != "defaults":
            known += _leaves(str(name), value)
    return known


def _leaves(name: str, value: Any) -> Iterator[str]:
    """The full names of the settings below `name`."""
    if not isinstance(value, DictConfig):
        yield name
        return
    for key, below in value.items():
        yield from _leaves(f"{name}.{key!s}", below)


def _near(name: str, known: Collection[str]) -> str:
    leaves = {known_name.rpartition(".")[2]: known_name for known_name in known}
    near = get_close_matches(name.rpartition(".")[2], leaves, n=2)
    return f"; did you mean {' or '.join(leaves[leaf] for leaf in near)}?" if near else ""


def _one_line(error: Exception) -> str:
    """What Hydra says over several lines, as one."""
    hints = ("To append", "Set the environment", "See https", "full_key", "object_type", "^")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(hints))
