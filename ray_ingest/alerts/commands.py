"""What people can type when an alert tells them to look."""

from __future__ import annotations

import shlex
from pathlib import Path

from ray_ingest.schema import RedisConfig
from ray_ingest.store.redis import redact_url


def gaps_command(redis: RedisConfig) -> str:
    """Lists the gaps of the run's store. An address with a log-in isn't told: the reader is to put it in."""
    command, told = "python -m ray_ingest.candles", ""
    if redis.kind == "url":
        url = str(redis.url)
        secret = redact_url(url) != url
        command += " --url URL" if secret else f" --url {shlex.quote(url)}"
        told = "  (URL: the run's redis.url)" if secret else ""
    elif redis.data_dir:
        command += f" --data-dir {shlex.quote(str(Path(redis.data_dir).expanduser().absolute()))}"
    if redis.prefix:
        command += f" --prefix {shlex.quote(redis.prefix)}"
    return f"{command} gaps{told}"
