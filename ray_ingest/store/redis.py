"""A connection to the store and the proof that its server is fit for candles.

Candles must not be evicted, written to a replica, or sent twice: `connect` never repeats a command by itself
and `check_server` refuses what would lose data. No message carries a password.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from ray_ingest.errors import ConfigError, StoreError, StoreUnreachableError
from ray_ingest.redact import register

OLDEST = {"redis": "7.0", "valkey": "7.2"}
"""The first version of each server that has all that the scripts use."""

PASSWORD_VARIABLE = "RAY_INGEST_REDIS_PASSWORD"  # noqa: S105 — the name of one, not one

LOADING_POLL_S = 0.05

_OPTIONS = {"db", "username", "password", "client_name"}
_TLS_OPTIONS = {
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a fit server says of itself; `run_id` changes with every start of its process."""

    name: Literal["redis", "valkey"]
    version: str
    run_id: str
    aof: bool
    maxmemory_policy: str
    role: str


def connect(
    url: str, *, pool_size: int = 20, health_check_interval_s: int = 30, timeout_s: float = 5.0
) -> redis.Redis:
    """A client of the server at `url`; nothing is sent before its first command.

    `url` is redis://[[user]:password@]host[:port][/db], rediss://… (TLS) or unix:///path[?db=0]. Replies are
    bytes. At most `pool_size` connections; one more caller waits up to `timeout_s` for one to become free.
    `timeout_s` bounds connecting and every reply, so a blocking read must block for less. Connections
    idle for `health_check_interval_s` are pinged before use.

    No command is ever sent again: whether a command whose reply was lost has run is for the caller to find
    out (the committed offset says so). Raises ConfigError when `url` can't be one of a store.
    """
    _check_url(url)
    _hide_password(url)
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        health_check_interval=health_check_interval_s,
        decode_responses=False,
        retry=Retry(NoBackoff(), 0),  # redis-py would resend by itself, ten times
        protocol=2,  # the same replies from every version, and no notifications nobody asked for
    )
    return redis.Redis.from_pool(pool)


def with_password(url: str, environment: Mapping[str, str]) -> str:
    """`url` with the password of RAY_INGEST_REDIS_PASSWORD, unless it has one or the variable isn't set."""
    password = environment.get(PASSWORD_VARIABLE, "")
    parts = urlsplit(url)
    if not password or parts.password is not None or "password" in dict(parse_qsl(parts.query)):
        return url
    if parts.scheme == "unix":
        return f"{url}{'&' if parts.query else '?'}{urlencode({'password': password})}"
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user if at else ''}:{quote(password, safe='')}@{host}").geturl()


def check_server(client: redis.Redis, *, timeout_s: float = 60.0) -> ServerInfo:
    """Ask the server who it is and refuse one that would lose candles; waits while it loads its data.

    Raises StoreUnreachableError when it doesn't answer, wants another password, or still loads after
    `timeout_s`; StoreError when it is too old, evicts keys, is a replica, a sentinel or part of a cluster.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            info = client.info()
            if not int(info.get("loading", 0)):
                return judge(info, address(client))
        except BusyLoadingError:
            pass  # the health check's PING is refused while INFO would be answered
        except RedisError as error:
            raise store_error(client, error) from None
        if time.monotonic() >= deadline:
            raise StoreUnreachableError(
                f"the store at {address(client)} is still loading its data after {timeout_s:g} s: "
                "try again later"
            )
        time.sleep(LOADING_POLL_S)


def judge(info: Mapping[str, Any], where: str) -> ServerInfo:
    """Turn the fields of INFO into a `ServerInfo`; raises StoreError as `check_server` does.

    INFO rather than CONFIG GET: managed servers forbid the latter.
    """
    name: Literal["redis", "valkey"] = "valkey" if info.get("server_name") == "valkey" else "redis"
    version = str(info.get(f"{name}_version", "unknown"))
    policy = str(info.get("maxmemory_policy", "unknown"))
    role = str(info.get("role", "unknown"))
    server = f"the server at {where}"
    if _numbers(version) < _numbers(OLDEST[name]):
        raise StoreError(
            f"{server} is {name.capitalize()} {version}, too old: Redis {OLDEST['redis']} or "
            f"Valkey {OLDEST['valkey']} is the oldest that works"
        )
    if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):
        raise StoreError(f"{server} is a sentinel, which holds no data: give the address of the primary")
    if int(info.get("cluster_enabled", 0)):
        raise StoreError(f"{server} runs in cluster mode, which is not supported: use a single server")
    if role != "master":
        raise StoreError(
            f"{server} is a read-only replica (its role is {role}): give the address of its primary"
        )
    if policy != "noeviction":
        raise StoreError(
            f"{server} may evict candles (its maxmemory-policy is {policy}): "
            "set maxmemory-policy to noeviction"
        )
    return ServerInfo(
        name=name,
        version=version,
        run_id=str(info.get("run_id", "")),
        aof=bool(int(info.get("aof_enabled", 0))),
        maxmemory_policy=policy,
        role=role,
    )


def store_error(client: redis.Redis, error: RedisError) -> StoreError:
    """The error to raise to a person in place of the library's, in one line and without a password."""
    where = address(client)
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, redis.AuthenticationError) or reason.startswith("WRONGPASS"):
        return StoreUnreachableError(
            f"the store at {where} refuses the user or password of redis.url: correct it ({reason})"
        )
    if isinstance(error, BusyLoadingError):
        return StoreUnreachableError(f"the store at {where} is still loading its data: try again later")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return StoreUnreachableError(
            f"the store at {where} can't be reached: start its server or correct redis.url ({reason})"
        )
    if isinstance(error, redis.exceptions.NoPermissionError):
        return StoreError(f"the user of redis.url lacks a permission on the store at {where} ({reason})")
    if isinstance(error, redis.ReadOnlyError):
        return StoreError(f"the server at {where} is a read-only replica: give the address of its primary")
    return StoreError(f"the store at {where} refused a command ({reason})")


def address(client: redis.Redis) -> str:
    """Where a client connects to, without user, password or options: "redis://localhost:6379/0"."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return f"unix://{options['path']}"
    scheme = "rediss" if issubclass(client.connection_pool.connection_class, redis.SSLConnection) else "redis"
    host, port, db = options.get("host", "localhost"), options.get("port", 6379), options.get("db", 0)
    return f"{scheme}://{host}:{port}/{db}"


def redact_url(url: str) -> str:
    """`url` with its passwords replaced by ***; made for broken URLs too, so it hides rather too much."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    place, mark, query = rest.partition("?")
    if "@" in query:  # an unescaped ? in a password, or an unescaped @ in an option: no telling which
        return f"{scheme}{separator}***"
    if "@" in place and not place.startswith("/"):
        # An unescaped @ or / in a password must not end it: the user part runs to the last @.
        user, _, host = place.rpartition("@")
        name, colon, _ = user.partition(":")
        place = f"{name + ':' if colon else ''}***@{host}"
    query = re.sub(r"(^|&)(?!(?:db|client_name)=)([^=&]*=)[^&]*", r"\1\2***", query)
    return f"{scheme}{separator}{place}{mark}{query}"


def _check_url(url: str) -> None:
    """Refuse what redis-py would ignore or meet with a traceback, such as a misspelt option or database."""
    shown = redact_url(url)
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme, parts.port  # asking for the port is what checks it
    except ValueError:
        raise ConfigError(f"redis.url {shown!r} has a bad host or port, or an unescaped password") from None
    if scheme not in ("redis", "rediss", "unix"):
        raise ConfigError(f"redis.url {shown!r} must begin with redis://, rediss:// or unix://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = _OPTIONS | (_TLS_OPTIONS if scheme == "rediss" else set())
    if not known.issuperset(options):
        # The odd one isn't named: it may be the rest of a password with a bare "?" in it.
        raise ConfigError(f"redis.url {shown!r} has an option other than {', '.join(sorted(known))}")
    if scheme == "unix" and (parts.hostname or port or not unquote(parts.path).strip("/")):
        raise ConfigError(f"redis.url {shown!r} must name its socket with three slashes: unix:///path")
    db = options.get("db", "0" if scheme == "unix" else parts.path.strip("/") or "0")
    if not re.fullmatch(r"[0-9]{1,4}", db):
        raise ConfigError(f"redis.url {shown!r} must end in the number of a database, such as /0")


def _hide_password(url: str) -> None:
    """Whatever this process writes from now on shows *** in its place."""
    parts = urlsplit(url)
    options = [value for name, value in parse_qsl(parts.query) if "password" in name]
    for password in (parts.password, *options):
        if password:
            register(password)
            register(unquote(password))


def _numbers(version: str) -> tuple[int, ...]:
    """ "6.2.14" as (6, 2, 14); what isn't a version is the oldest of all."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
