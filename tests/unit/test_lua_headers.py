"""Every Lua script says what it takes and gives, and calls its arguments by names."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from ray_ingest.resources import resource_dir

SECTIONS = ["Purpose", "KEYS", "ARGV", "Returns", "Errors"]
SCRIPTS = sorted(resource_dir("lua").glob("*.lua"))
UNITS = {
    "_ms": "ms",
    "_bytes": "bytes",
    "_minutes": "minutes",
}  # suffix of a local → what its header must say

GOOD = """-- Purpose: add to a counter that
--   ends by itself.
-- KEYS: 1 the counter
-- ARGV: 1 increment (ticks); 2 expiry (epoch ms)
-- Returns: the sum
-- Errors: none

local counter = KEYS[1]
local increment, expire_at_ms = ARGV[1], tonumber(ARGV[2])
local sum = redis.call('INCRBY', counter, increment)
redis.call('PEXPIREAT', counter, expire_at_ms)
return sum
"""


def header_of(source: str) -> dict[str, str]:
    """Section → its text, in the order written, from the comment that the script opens with."""
    comment = [
        line.removeprefix("--") for line in takewhile(lambda x: x.startswith("--"), source.splitlines())
    ]
    parts = re.split(r"^ (\w+):", "\n".join(comment), flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def problems(source: str) -> list[str]:
    """What a reader of the script would miss, one line each; empty for a good one."""
    header = header_of(source)
    if list(header) != SECTIONS:
        return [f"sections are {list(header)}, not {SECTIONS}"]
    found = [f"{name} says nothing" for name, text in header.items() if not text]
    code = [line.split("--")[0] for line in source.splitlines()]
    named: dict[str, int] = {}
    for line in code:
        for array, index in re.findall(r"\b(KEYS|ARGV)\[(\d+)\]", line):
            argument = f"{array}[{index}]"
            named[argument] = named.get(argument, 0) + 1
            if not line.startswith("local "):
                found.append(f"{argument} is used without a name")
            if not re.search(rf"\b{index}\b", header[array]):
                found.append(f"{argument} is not in the header")
            if array == "ARGV":
                locals_ = line.partition("=")[0]
                found += [
                    f"{array} gives no unit for …{suffix}"
                    for suffix, unit in UNITS.items()
                    if re.search(rf"{suffix}\b", locals_) and not re.search(rf"\b{unit}\b", header[array])
                ]
    found += [f"{argument} is used {times} times" for argument, times in named.items() if times > 1]
    found += [
        f"{a} is none, yet used" for a in ("KEYS", "ARGV") if header[a] == "none" and a in "".join(code)
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_header_and_names(script: Path) -> None:
    """A script opens with its contract and names each KEYS[n] and ARGV[n] once, as a local."""
    assert problems(script.read_text()) == []


def test_there_are_scripts() -> None:
    """The test above has something to look at."""
    assert {"commit.lua", "force_close.lua", "range.lua"} <= {script.name for script in SCRIPTS}


@pytest.mark.parametrize(
    ("text", "instead", "found"),
    [
        ("", "", []),
        ("-- Errors: none\n", "", ["sections are"]),
        ("-- Purpose", "\n-- Purpose", ["sections are"]),
        ("-- Returns: the sum", "-- Returns:", ["Returns says nothing"]),
        ("; 2 expiry (epoch ms)", "", ["ARGV gives no unit", "ARGV[2] is not in"]),
        ("(epoch ms)", "", ["ARGV gives no unit"]),
        ("counter, expire_at_ms)", "counter, ARGV[2])", ["ARGV[2] is used without", "ARGV[2] is used 2"]),
        ("-- KEYS: 1 the counter", "-- KEYS: none", ["KEYS[1] is not in", "KEYS is none"]),
    ],
)
def test_a_poor_script_is_caught(text: str, instead: str, found: list[str]) -> None:
    """Negative control: each fault put into a good script is noticed, and nothing in the good one itself."""
    noticed = problems(GOOD.replace(text, instead, 1) if text else GOOD)
    assert len(noticed) == len(found)
    assert all(line.startswith(start) for line, start in zip(noticed, found, strict=True)), noticed
