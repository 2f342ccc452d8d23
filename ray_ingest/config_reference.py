"""`python -m ray_ingest.config_reference`: every setting as Markdown, as docs/configuration.md has it.

Names, defaults and meanings are those of `conf/` and its comments, types those of the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from ray_ingest.config import FEEDS, SECTIONS
from ray_ingest.resources import resource_dir
from ray_ingest.schema import BrokerConfig, TopConfig

_HEAD = """\
# Configuration

Every setting there is, made by `python -m ray_ingest.config_reference` from `conf/` and the schema. Settings
are given on the command line, as options of a group (`redis=url`) or as values
(`redis.url=redis://127.0.0.1:6379`); quote what the shell would take apart:
`'instruments=["NSE_INDEX|Nifty 50"]'`. An unknown name, a wrong type and a value beyond its limits are
refused with the name and what it must be, before anything starts (exit code 2). `???` must be given.

`python -m ray_ingest.main --help` prints the menu; `python -m ray_ingest.doctor` with the same settings says
whether this machine is fit to run with them. Secrets are no settings: [feeds.md](feeds.md) and
[alerts.md](alerts.md) have the names of their environment variables; the store's password is
`RAY_INGEST_REDIS_PASSWORD`.
"""
_TYPES = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    list[str]: "list of texts",
}
_LINE = re.compile(r"(?P<indent> *)(?P<key>\w+):(?: +(?P<value>[^#]*?))?(?: *# (?P<text>.*))?$")
_DATA = "calendar"  # dated tables, which its files explain


class Setting(NamedTuple):
    """One line of a file: its name from the file's top on, its default ("" above nested ones) and meaning."""

    name: str
    default: str
    text: str


def settings_of(file: Path) -> list[Setting]:
    """The settings of a file of `conf/`, in its order."""
    found: list[Setting] = []
    above: list[str] = []
    for line in file.read_text("utf-8").splitlines():
        match = _LINE.match(line)
        if match and not line.lstrip().startswith("-"):
            above[len(match["indent"]) // 2 :] = [match["key"]]
            found.append(Setting(".".join(above), match["value"] or "", match["text"] or ""))
    return found


def reference() -> str:
    """The whole page."""
    conf = resource_dir("conf")
    settings = settings_of(conf / "config.yaml")
    sections = [s for s in settings if "." not in s.name and s.name != "defaults"]
    alone = (("", s, _type(TopConfig, s)) for s in sections if s.default)
    parts = [_HEAD, "## On their own\n", _table(alone)]
    for group in sorted(path.name for path in conf.iterdir() if path.is_dir()):
        parts += _group(group, sorted((conf / group).glob("*.yaml")))
    for section in (s for s in sections if not s.default):
        schema = BrokerConfig if section.name == "brokers" else SECTIONS[section.name]
        below = (s for s in settings if s.name.startswith(f"{section.name}."))
        parts.append(f"## {section.name}\n")
        parts += [f"{_linked(section.text[:1].upper() + section.text[1:])}.\n"] if section.text else []
        parts.append(_table(("", s, _type(schema, s)) for s in below))
    return "\n".join(parts)


def _group(group: str, files: list[Path]) -> list[str]:
    """A table of what the options are, and one of the settings they have, alike ones in one row."""
    options = [f"| `{group}={file.stem}` | {_linked(_first_comment(file))} |" for file in files]
    lines = [f"## {group}\n", "\n".join(["| option | |", "|---|---|", *options]) + "\n"]
    if group == _DATA:
        return [*lines, f"The keys are dated data; `conf/{group}/nse.yaml` explains each.\n"]
    having: dict[tuple[Setting, str], list[str]] = {}
    for file in files:
        schema = FEEDS[file.stem] if group == "feed" else SECTIONS[group]
        for setting in settings_of(file):
            if setting.name != "kind":
                named = setting._replace(name=f"{group}.{setting.name}")
                having.setdefault((named, _type(schema, setting)), []).append(file.stem)
    every = {file.stem for file in files if len(settings_of(file)) > 1}
    rows = (("" if set(of) == every else ", ".join(of), *row) for row, of in having.items())
    return [*lines, _table(rows)] if having else lines


def _table(rows: Iterable[tuple[str, Setting, str]]) -> str:
    """Of (options that alone have it, setting, type)."""
    lines = ["| setting | default | type | |", "|---|---|---|---|"]
    for options, setting, kind in rows:
        meaning = f"*{options}:* {_linked(setting.text)}" if options else _linked(setting.text)
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(f"| `{setting.name}` | {default} | {kind} | {meaning.strip()} |")
    return "\n".join(lines) + "\n"


def _first_comment(file: Path) -> str:
    return file.read_text("utf-8").partition("\n")[0].removeprefix("# ")


def _linked(text: str) -> str:
    """For a table: pages named in it as links, a bar as itself."""
    return re.sub(r"[dD]ocs/([\w-]+\.md)", r"[\1](\1)", text).replace("|", "\\|")


def _type(schema: type[Any], setting: Setting) -> str:
    """What may be given; "" for what only has settings below it."""
    if not setting.default:
        return ""
    hint = get_type_hints(schema)[setting.name.rpartition(".")[2]]
    if hint in _TYPES:
        return _TYPES[hint]
    return " or ".join(_TYPES[part] for part in hint.__args__ if part in _TYPES) + " or null"


if __name__ == "__main__":
    print(reference(), end="")
