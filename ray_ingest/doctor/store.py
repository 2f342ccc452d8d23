"""The store of the configuration: it is there, keeps what it is given, and can be written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ray_ingest.config import AppConfig
from ray_ingest.doctor.finding import Finding, ok, refused, warning, wrong
from ray_ingest.errors import StoreError
from ray_ingest.store.embedded import EmbeddedServer, default_data_dir
from ray_ingest.store.keys import Keys
from ray_ingest.store.probe import Answers, ask, try_to_write
from ray_ingest.store.redis import address, connect, judge, with_password

FULL = 0.8
OFF_S = 0.5
"""Clocks further apart than this are worth a word: owners and lifetimes of keys go by both."""


def store(config: AppConfig) -> Iterator[Finding]:
    """Connect, or start the embedded one, and look at it from all sides."""
    redis = config.redis
    with ExitStack() as stack:
        if redis.kind == "embedded":
            folder = Path(redis.data_dir).expanduser() if redis.data_dir else default_data_dir()
            try:
                server = EmbeddedServer.attach(folder, appendfsync=redis.appendfsync)
            except StoreError as error:
                yield refused("store", str(error))
                return
            url = stack.enter_context(server).url
        else:
            url = with_password(str(redis.url), os.environ)
        client = stack.enter_context(connect(url, pool_size=1, timeout_s=redis.timeout_s))
        try:
            answers = ask(client)
        except StoreError as error:
            yield refused("store", str(error))
            return
        where = address(client)
        command = _command(where)
        yield _fit(answers.info, where, command)
        yield from _kept(answers.info, command)
        yield _clock(answers)
        try:
            try_to_write(client, Keys(redis.prefix))
            yield ok("store writes", "scripts run, and keys can be written")
        except StoreError as error:
            yield wrong("store writes", str(error), f"{command} ACL WHOAMI; {command} INFO persistence")


def _fit(info: Mapping[str, Any], where: str, command: str) -> Finding:
    policy = info.get("maxmemory_policy")
    try:
        server = judge(info, where)
        return ok("store", f"{server.name.capitalize()} {server.version} at {where}, {policy}")
    except StoreError as error:
        if policy not in (None, "noeviction"):
            set_it = f"{command} CONFIG SET maxmemory-policy noeviction; {command} CONFIG REWRITE"
            return wrong("store", str(error).partition(": ")[0], set_it)
        return refused("store", str(error))


def _kept(info: Mapping[str, Any], command: str) -> Iterator[Finding]:
    """Does it survive its own death, and has it room."""
    if info.get("aof_last_write_status", "ok") != "ok":
        yield wrong(
            "store persistence", "the server can't write its AOF", f"make room: {command} INFO persistence"
        )
    elif not int(info.get("aof_enabled", 0)):
        yield warning(
            "store persistence",
            "no AOF: what the server hasn't saved is lost when it dies",
            f"{command} CONFIG SET appendonly yes; {command} CONFIG REWRITE",
        )
    else:
        yield ok("store persistence", "AOF is on")
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    text = f"{used / (1 << 20):,.0f} MB used"
    if most and used > FULL * most:
        yield warning(
            "store memory", f"{text} of {most / (1 << 20):,.0f}", f"{command} CONFIG SET maxmemory {2 * most}"
        )
    else:
        yield ok("store memory", f"{text}, {f'at most {most / (1 << 20):,.0f} MB' if most else 'no limit'}")


def _clock(answers: Answers) -> Finding:
    ahead_s, within_s = answers.ahead_s, answers.within_s
    text = f"{abs(ahead_s) * 1000:,.0f} ms {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    if abs(ahead_s) - within_s > OFF_S:
        return warning("store clock", text, "sudo timedatectl set-ntp true, on both machines")
    return ok("store clock", text)


def _command(where: str) -> str:
    """redis-cli for that address; a password is the user's to give."""
    if where.startswith("unix://"):
        return f"redis-cli -s {shlex.quote(where.removeprefix('unix://'))}"
    return f"redis-cli -u {where}"
