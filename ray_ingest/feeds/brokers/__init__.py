"""The brokers: a file each, with what only that broker does; what they share is in `session/`.

A broker's module offers `ADAPTER`, an `Adapter`. Adding one is adding its module here; docs/add-a-broker.md.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ray_ingest.errors import ConfigError

if TYPE_CHECKING:
    from ray_ingest.feeds.session.adapter import Adapter


def names() -> tuple[str, ...]:
    """The brokers there are: the modules here but for a broker's second files ("…_frames", "…_sdk")."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    return tuple(name for name in found if "_" not in name)


def adapter_of(name: str) -> Adapter:
    """The broker's adapter. Raises ConfigError for a name that is none."""
    if name not in names():
        raise ConfigError(f"there is no broker {name!r}; there are: {', '.join(names())}")
    return cast("Adapter", import_module(f"{__name__}.{name}").ADAPTER)
