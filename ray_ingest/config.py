"""Configuration: a menu of YAML files at the edge, frozen dataclasses inside.

`compose` reads the menu and the command line's overrides and checks every key, type and limit; anything
unknown or mistyped is refused with its name before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
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
from ray_ingest.resources import resource_dir
from ray_ingest.schema import (
    AlertsConfig,
    AppConfig,
    FilterConfig,
    IngestConfig,
    JournalConfig,
    LogConfig,
    MetricsConfig,
    RayConfig,
    RedisConfig,
    ReplayFeedConfig,
    SimFeedConfig,
)

__all__ = ["FEEDS", "SECTIONS", "AppConfig", "ReplayFeedConfig", "SimFeedConfig", "compose", "group_options"]

SECTIONS = {
    "redis": RedisConfig,
    "ray": RayConfig,
    "filter": FilterConfig,
    "alerts": AlertsConfig,
    "ingest": IngestConfig,
    "journal": JournalConfig,
    "metrics": MetricsConfig,
    "log": LogConfig,
}
"""The class of each part of the configuration but `feed`, whose class depends on its kind, and `calendar`."""

FEEDS: dict[str, type[SimFeedConfig | ReplayFeedConfig]] = {"sim": SimFeedConfig, "replay": ReplayFeedConfig}

_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[str]: "a list of texts, such as [a,b]",
}

_PARTS = ("report", "feed", "calendar", *SECTIONS)


def compose(overrides: Sequence[str]) -> AppConfig:
    """The configuration for the command line's overrides. Raises ConfigError, one line, naming the key."""
    raw = _composed([_line(argument) for argument in overrides])
    report, kind = raw.report, raw.feed.get("kind")
    if report is not None and not isinstance(report, str):
        raise ConfigError(f"report={report}: must be a file's name")
    if kind not in FEEDS:
        raise ConfigError(f"feed.kind={kind}: must be one of {', '.join(FEEDS)}")
    config = AppConfig(
        report=report,
        feed=_section("feed", FEEDS[kind], raw.feed),
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
    if name in SECTIONS and name not in groups:
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


def _section(name: str, schema: type[Any], raw: DictConfig) -> Any:
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), raw))
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        if isinstance(error, MissingMandatoryValue):
            raise ConfigError(f"{name}.{key}: must be given, as in {name}.{key}=…") from None
        if isinstance(error, ConfigKeyError):
            raise _unknown(f"{name}.{key}") from None
        if isinstance(error, InterpolationResolutionError):
            raise ConfigError(f"{name}.{key}: {_one_line(error)}") from None
        field = re.split(r"[.\[]", key)[0]
        rule = _type_text(get_type_hints(schema)[field])
        raise ConfigError(f"{name}.{field}={raw.get(field)}: must be {rule}") from None


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
            known += [f"{name!s}.{key!s}" for key in value] if isinstance(value, DictConfig) else [str(name)]
    return known


def _near(name: str, known: Collection[str]) -> str:
    leaves = {known_name.rpartition(".")[2]: known_name for known_name in known}
    near = get_close_matches(name.rpartition(".")[2], leaves, n=2)
    return f"; did you mean {' or '.join(leaves[leaf] for leaf in near)}?" if near else ""


def _one_line(error: Exception) -> str:
    """What Hydra says over several lines, as one."""
    hints = ("To append", "Set the environment", "See https", "full_key", "object_type", "^")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(hints))
