"""Reads the project's pages: links, code blocks, transcripts of a shell, and commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"""python -m (ray_ingest[\w.]*)((?:'[^'\n]*'|"[^"\n]*"|[^`\n#&|>'"])*)""")


@dataclass(frozen=True)
class Block:
    """A fenced block: `language` as it is marked, and why it isn't run ("": it is)."""

    line: int
    language: str
    text: str
    reason: str


@dataclass(frozen=True)
class Exchange:
    """A command of a transcript, and what is shown below it; `more`: the output goes on."""

    command: str
    shown: list[str]
    more: bool


def blocks(page: Path) -> list[Block]:
    """All fenced blocks, in order."""
    text = page.read_text("utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found["language"], found["text"], found["reason"] or "")
        for found in _BLOCK.finditer(text)
    ]


def links(page: Path) -> list[str]:
    """Where links lead that don't leave the project, code left out."""
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text("utf-8")))
    return [target for target in _LINK.findall(text) if not re.match(r"\w+:", target)]


def anchors(page: Path) -> set[str]:
    """What a link may name after #: headings as GitHub does it, and named places."""
    text = _BLOCK.sub("", page.read_text("utf-8"))
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def paths(page: Path) -> set[str]:
    """Files and folders of the project that the page names as code."""
    named = re.findall(r"`([\w./*-]+)`", page.read_text("utf-8"))
    folders = ("tests/", "ray_ingest/", "conf/", "docs/", "lua/", "notebooks/", "monitoring/", "benchmarks/")
    return {name for name in named if name.startswith(folders) or re.fullmatch(r"test_\w+\.py", name)}


def commands(page: Path) -> list[tuple[str, str]]:
    """(module, arguments) of every `python -m ray_ingest…`; those of several lines joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    return [(module, arguments.strip()) for module, arguments in _COMMAND.findall(text)]


def transcript(page: Path) -> list[Exchange]:
    """Indented lines that begin with "$ ", each with the lines below it; `…` stands for the rest."""
    found: list[Exchange] = []
    for block in re.findall(r"(?:^    .*\n)+", page.read_text("utf-8"), re.M):
        for part in re.split(r"^    \$ ", block, flags=re.M)[1:]:
            command, *shown = [line.removeprefix("    ").rstrip() for line in part.splitlines()]
            more = bool(shown) and shown[-1].strip() == "…"
            found.append(
                Exchange(command.partition("     #")[0].strip(), shown[: -1 if more else None], more)
            )
    return found
