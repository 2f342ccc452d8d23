"""The brokers: a file each, with what only that broker does; everything else is shared.

A broker's module offers `ADAPTER`, an `Adapter`. Adding one is adding its module here; docs/add-a-broker.md.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ray_ingest.errors import ConfigError

if TYPE_CHECKING:
    from ray_ingest.feeds.brokers.adapter import Adapter

_SHARED = {
    "adapter", "attempt", "ending", "frame_log", "inbox", "link", "outage", "session", "settings",
    "source", "tokens",
}  # fmt: skip


def names() -> tuple[str, ...]:
    """The brokers there are: modules that are not shared, and no broker's second file ("…_frames")."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem not in _SHARED)
    return tuple(name for name in found if "_" not in name)


def adapter_of(name: str) -> Adapter:
    """The broker's adapter. Raises ConfigError for a name that is none."""
    if name not in names():
        raise ConfigError(f"there is no broker {name!r}; there are: {', '.join(names())}")
    return cast("Adapter", import_module(f"{__name__}.{name}").ADAPTER)
