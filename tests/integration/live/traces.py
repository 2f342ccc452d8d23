"""Everything a run has written, searched for secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from tests.integration.run.processes import still_alive
from tests.venues.brokers import ISSUED, MARK

SHORT_OF_TOKEN = 32
"""Of a token so many bytes in a row are as good as all of it."""


def ray_session_of(mark: str) -> Path:
    """The folder that the Ray of the run with this mark writes to; the run must be under way."""
    for process in still_alive(mark, patience_s=0):
        try:
            found = re.search(r"(/\S*?/session_\d[\w-]+)", " ".join(process.cmdline()))
        except psutil.Error:
            continue
        if found:
            return Path(found.group(1))
    raise AssertionError("no process of the run has a Ray session in its command line")


def command_lines_of(mark: str) -> str:
    """What `ps` shows of the run now."""
    lines = []
    for process in still_alive(mark, patience_s=0):
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)


def files_below(folders: Iterable[Path], without: Iterable[Path]) -> Iterator[Path]:
    """Every regular file, but those below `without`."""
    spared = tuple(without)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(s) for s in spared):
                yield path


def secrets_in(content: bytes) -> list[str]:
    """What of the tokens made in this process is in it: whole, their beginnings and ends, what they hold."""
    needles = {MARK}
    for token in ISSUED:
        secret = token.rpartition(":")[2]
        parts = [secret, *(part for part in secret.split(".") if len(part) >= SHORT_OF_TOKEN)]
        needles |= {end for part in parts for end in (part[:SHORT_OF_TOKEN], part[-SHORT_OF_TOKEN:])}
    return sorted(needle for needle in needles if needle.encode() in content)
