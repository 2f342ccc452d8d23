"""Ask a running system how it is."""

from __future__ import annotations

import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec

from ray_ingest.actors.status import Status
from ray_ingest.clock import epoch_ms
from ray_ingest.errors import RayIngestError
from ray_ingest.status.glance import Seen
from ray_ingest.status.page import PATH

ANSWER_S = 5.0
HOW_TO_START = "start one with python -m ray_ingest.main, or give --port"


class NotRunningError(RayIngestError):
    """No running system answers there."""

    exit_code = 3


def look(url: str) -> Seen:
    """The status as of now. Raises NotRunningError when nothing of ours answers."""
    address = url.removesuffix("/metrics").rstrip("/") + PATH
    try:
        with urlopen(address, timeout=ANSWER_S) as answer:  # noqa: S310 — the user's own address
            body = answer.read()
        status = msgspec.json.decode(body, type=Status)
    except (HTTPError, HTTPException, msgspec.MsgspecError):
        raise NotRunningError(f"another program answers at {url}: {HOW_TO_START}") from None
    except OSError:
        raise NotRunningError(f"nothing runs at {url}: {HOW_TO_START}") from None
    except ValueError:
        raise NotRunningError(f"{url} is no address: give one such as http://127.0.0.1:9464") from None
    return Seen(status, epoch_ms(), time.monotonic())
