"""What bad input is answered with."""

from collections.abc import Callable

from ray_ingest.errors import ConfigError


def refusal(call: Callable[[], object]) -> str:
    """What the call was refused with as bad input; "" when it wasn't."""
    try:
        call()
    except ConfigError as error:
        return str(error)
    return ""
