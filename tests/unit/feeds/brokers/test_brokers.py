"""Finding brokers: a module is enough."""

import pytest

from ray_ingest.errors import ConfigError
from ray_ingest.feeds.brokers import adapter_of, names


def test_every_module_that_is_not_shared_is_a_broker() -> None:
    """The three there are, and whichever file is added."""
    assert {"dhan", "fyers", "upstox"} <= set(names())
    for name in names():
        assert adapter_of(name).name == name


def test_a_name_that_is_none_is_refused_with_those_there_are() -> None:
    """In one line."""
    with pytest.raises(ConfigError, match=r"there is no broker 'session'; there are: dhan, fyers, upstox"):
        adapter_of("session")
