"""The pages tell the truth: links lead somewhere, commands exist, examples run and show what is shown."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import polars as pl
import pytest

from ray_ingest.config import compose
from ray_ingest.errors import ConfigError
from ray_ingest.store.embedded import EmbeddedServer
from tests.conftest import skip_or_fail
from tests.integration.markdown import (
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks,
    commands,
    links,
    paths,
    transcript,
)

README, STORE, READING = ROOT / "README.md", ROOT / "docs" / "store.md", ROOT / "docs" / "reading-candles.md"
QUIET = "metrics.port=null ray.dashboard=false"
LONGEST_S = 240
OD_END = re.compile(r"\d{7}")  # the last line of od has nothing but a place
BASH = which("bash") or "bash"

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `make run` was just called; what it printed is in the file `printed`."""
    folder = tmp_path_factory.mktemp("home")
    demo = folder / ".local" / "state" / "ray-ingest" / "demo"
    command = [sys.executable, "-m", "ray_ingest.main", f"redis.data_dir={demo}", "redis.fresh=true"]
    done = subprocess.run(
        [*command, *QUIET.split()], cwd=ROOT, env=at_home(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


@pytest.fixture
def socket(home: Path) -> Iterator[str]:
    """Path of the socket of that run's store."""
    server = EmbeddedServer.attach(home / ".local" / "state" / "ray-ingest" / "demo")
    yield server.url.removeprefix("unix://").partition("?")[0]
    server.close()


def at_home(folder: Path) -> dict[str, str]:
    """The environment of somebody whose home is `folder`, with this Python as `python`."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (tools / "python").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    return kept | {"HOME": str(folder), "PATH": path, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}


def run(block: Block, cwd: Path, environment: dict[str, str]) -> str:
    """What the block prints; runs of the main job open no port. Fails where it does."""
    text = block.text
    if block.language == "bash":
        text = re.sub(r"^python -m ray_ingest\.main (?!--help)[^#\n]*", rf"\g<0> {QUIET} ", text, flags=re.M)
    command = [BASH, "-euc", text] if block.language == "bash" else [sys.executable, "-c", text]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LONGEST_S
    )
    assert done.returncode == 0, f"block at line {block.line}: {done.stderr or done.stdout}"
    return done.stdout


def complaint(settings: list[str]) -> str:
    """What the program has against them, other than that more must be given."""
    try:
        compose(settings)
    except ConfigError as error:
        return "" if "must be given" in str(error) else f"{settings}: {error}"
    return ""


def runnable(page: Path, *languages: str) -> list[Block]:
    """Blocks of these languages that aren't excepted."""
    return [block for block in blocks(page) if block.language in languages and not block.reason]


@page_by_page
def test_links_lead_somewhere(page: Path) -> None:
    """No link of a page is dead, neither its file nor its place in it."""
    for link in links(page):
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not place or place in anchors(target), link


@page_by_page
def test_files_that_are_named_exist(page: Path) -> None:
    """A page that sends people to a file or a test sends them to one there is; history may name what was."""
    if page.name == "CHANGELOG.md":
        return
    for path in paths(page):
        found = ROOT.glob(path.rstrip("/")) if "/" in path else ROOT.glob(f"tests/**/{path}")
        assert any(found), path


@page_by_page
def test_commands_that_are_named_exist(page: Path) -> None:
    """Every program a page calls is there, and main job and doctor know the settings they are given."""
    for module, arguments in commands(page):
        assert find_spec(module), module
        if module in ("ray_ingest.main", "ray_ingest.doctor"):
            assert (
                complaint([word for word in shlex.split(arguments) if "=" in word and "…" not in word]) == ""
            )


def test_a_command_with_a_wrong_setting_is_found(tmp_path: Path) -> None:
    """Control: misspelt settings, dead links and absent files are seen by the tests above."""
    page = tmp_path / "page.md"
    page.write_text("`python -m ray_ingest.main feed.pth=x`, [a](b.md), `tests/nowhere.py`\n")
    for test in (test_links_lead_somewhere, test_files_that_are_named_exist):
        with pytest.raises(AssertionError):
            test(page)
    with pytest.raises(AssertionError, match=r"feed\.pth"):
        test_commands_that_are_named_exist(page)


def test_make_run_shows_what_the_readme_shows(home: Path) -> None:
    """The output a newcomer compares with is the program's own, but for how it went and how fast."""

    def lasting(text: str) -> list[str]:
        text = re.sub(r"[\d,]+ amended,|in\s+[\d.]+\s+s\s+\([\d,]+\s+ticks/s\)|\S*bin/python", "", text)
        text = text.replace(str(home), "~").replace("~/.local/state/ray-ingest/demo", "DEMO")
        return [line.rstrip() for line in text.splitlines() if not line.startswith("sim ")]

    (shown,) = [block for block in blocks(README) if block.text.startswith("starting the store")]
    assert lasting((home / "printed").read_text()) == lasting(shown.text)


def test_the_readmes_examples_run(tmp_path: Path) -> None:
    """Everything a newcomer may type works in an empty home: runs, replays, reading, Python."""
    start_ms = 1_765_770_300_000  # Monday 15 December 2025, 09:15 in India
    ticks = pl.DataFrame(
        {
            "exchange": "NSE_EQ",
            "token": "2885",
            "event_time_ms": range(start_ms, start_ms + 120_000, 1_000),
            "last_price": 1_500.0,
            "last_qty": None,
            "day_volume": range(100, 220),
            "oi": None,
        }
    ).cast({"last_qty": pl.Int64, "oi": pl.Int64})
    ticks.write_parquet(tmp_path / "ticks.parquet")
    (tmp_path / "ticks").mkdir()
    ticks.with_columns(pl.lit("1594").alias("token")).write_parquet(tmp_path / "ticks" / "a.parquet")
    (home := tmp_path / "home").mkdir()
    printed = "".join(run(block, tmp_path, at_home(home)) for block in runnable(README, "bash", "python"))
    assert printed.count("120 ticks in = 120 applied") == 2
    assert "Candle(instrument='NSE_INDEX|Nifty 50'" in printed
    assert "feed: sim" in printed


@pytest.mark.parametrize("page", [STORE, READING], ids=lambda page: page.name)
def test_python_examples_run_on_the_store_of_make_run(
    page: Path, home: Path, socket: str, tmp_path: Path
) -> None:
    """They read what they say they read: a comment `prints:` is in what they print."""
    examples = runnable(page, "python")
    assert examples
    demo = home / ".local" / "state" / "ray-ingest" / "demo"
    for example in examples:
        text = example.text.replace("Candles()", f"Candles(data_dir={str(demo)!r})")
        example = Block(example.line, example.language, text, "")
        printed = run(example, tmp_path, at_home(home) | {"S": socket})
        for expected in re.findall(r"# prints: (.+)$", example.text, re.M):
            assert expected in printed


def test_redis_cli_answers_as_shown(socket: str, tmp_path: Path) -> None:
    """Keys, records and entries are read by hand as docs/store.md says, but for times, owners, lifetimes."""
    if which("redis-cli") is None:
        skip_or_fail("redis-cli is not installed")

    def lasting(command: str, lines: list[str]) -> list[str]:
        lifetime = r"[1-9]\d*" if " TTL " in command else r"[1-9]\d{3,}"
        text = re.sub(r"[0-9a-f]{32}|(?<=sim-)[0-9a-f]{16}", "WHO", "\n".join(lines))
        text = re.sub(r"\d{13}(-\d+)?", "TIME", text)
        text = re.sub(r"^\w+:\w+:$", "ANY", text, flags=re.M)  # candles of one commit come in any order
        return re.sub(rf"^\(integer\) {lifetime}$", "LIFETIME", text, flags=re.M).splitlines()

    tried = 0
    for exchange in transcript(STORE):
        if not exchange.command.startswith(("redis-cli", "od ")):
            continue  # how the store is started
        tried += 1
        command = exchange.command
        if not set("|>") & set(command):
            command = command.replace("redis-cli", "redis-cli --no-raw")  # as it does on a terminal
        done = subprocess.run(
            [BASH, "-euc", command],
            cwd=tmp_path,
            env=os.environ | {"S": socket},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        printed = [line.rstrip() for line in done.stdout.splitlines() if not OD_END.fullmatch(line)]
        end = len(exchange.shown) if exchange.more else None
        assert lasting(command, printed)[:end] == lasting(command, exchange.shown)
    assert tried >= 10


def test_what_is_not_run_says_why() -> None:
    """A block of the pages whose examples run is either run or excepted with a reason in words."""
    for page in (README, STORE, READING):
        for block in blocks(page):
            assert block.language in ("bash", "python", "mermaid") or not block.reason
            assert not block.reason or len(block.reason.split()) > 2, block
