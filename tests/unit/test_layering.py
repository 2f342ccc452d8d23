"""Who may import what: the core is pure, and each library is known in one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ray_ingest"

# The pure modules may import one another and these, so that what is pure stays so transitively. Everything
# here computes: no socket, file, clock, thread, process, environment, Ray, Redis or Hydra. `datetime` is for
# dates as values; its clocks are among IMPURE_CALLS.
PURE = ["core", "model.py", "errors.py"]
PURE_IMPORTS = [
    "ray_ingest.core", "ray_ingest.model", "ray_ingest.errors", "numpy",
    "__future__", "bisect", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "heapq",
    "itertools", "math", "operator", "re", "struct", "typing",
]  # fmt: skip
IMPURE_CALLS = {
    "now", "today", "utcnow",  # of datetime and date
    "open", "input", "print", "eval", "exec", "__import__",
    "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "save", "savetxt", "savez", "tofile",  # of numpy
    "default_rng", "rand", "randn",
}  # fmt: skip

KNOWN_IN = {
    "ray": ["actors", "main.py", "pipeline.py"],
    "redis": ["store", "candles", "candles.py"],
    "hydra": ["main.py", "config.py"],
    "omegaconf": ["main.py", "config.py"],
}


def modules(*places: str) -> list[Path]:
    """The Python files of the package at these files or folders below it; all of them if none is named."""
    paths = [PACKAGE / place for place in places or (".",)]
    return sorted(module for path in paths for module in ([path] if path.is_file() else path.rglob("*.py")))


def imports(source: str) -> Iterator[str]:
    """Full dotted names that the source imports, those inside functions and TYPE_CHECKING blocks included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def calls(source: str) -> Iterator[str]:
    """Last part of the name of everything the source calls: "now" of `datetime.now()`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def is_in(name: str, allowed: list[str]) -> bool:
    """Whether a dotted name is one of the allowed ones or below it."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)


def impurities(source: str) -> list[str]:
    """What the source imports and calls that a pure module must not."""
    return [
        *(f"imports {name}" for name in imports(source) if not is_in(name, PURE_IMPORTS)),
        *(f"calls {name}()" for name in calls(source) if name in IMPURE_CALLS),
    ]


def strangers(library: str, module: Path) -> list[str]:
    """Imports of the library in a module that shouldn't know it."""
    homes = [PACKAGE / place for place in KNOWN_IN[library]]
    if any(home == module or home in module.parents for home in homes):
        return []
    return [name for name in imports(module.read_text()) if is_in(name, [library])]


@pytest.mark.parametrize("module", modules(*PURE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_is_pure(module: Path) -> None:
    """Core, model and errors import one another, numpy and computing parts of the standard library only."""
    assert impurities(module.read_text()) == []


@pytest.mark.parametrize("library", KNOWN_IN)
def test_each_library_is_known_in_its_place_only(library: str) -> None:
    """Ray, Redis and Hydra are imported by their own layer and by no other."""
    assert {str(module): found for module in modules() if (found := strangers(library, module))} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", "imports time"),
        ("import numpy, socket", "imports socket"),
        ("from os import path", "imports os.path"),
        ("def f():\n    from redis.asyncio import Redis", "imports redis.asyncio.Redis"),
        ("from ray_ingest import store", "imports ray_ingest.store"),
        ("from ray_ingest.store.keys import Keys", "imports ray_ingest.store.keys.Keys"),
        ("from . import partition", "imports ..partition"),
        ("import raytracer", "imports raytracer"),
        ("from datetime import datetime as d\nd.now()", "calls now()"),
        ("open('x')", "calls open()"),
    ],
)
def test_an_impure_module_is_caught(source: str, found: str) -> None:
    """Negative control: each way of getting at the world outside is noticed, and named."""
    assert impurities(source) == [found]


def test_a_library_out_of_place_is_caught(tmp_path: Path) -> None:
    """Negative control: ray outside its layer is noticed; a name that only begins like it is not."""
    module = tmp_path / "feed.py"
    module.write_text("import ray_ingest.model\nfrom ray.util import metrics\n")
    assert strangers("ray", module) == ["ray.util.metrics"]
