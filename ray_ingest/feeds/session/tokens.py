"""A broker's token: read from a file or the environment, and read again when it may have been renewed."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ray_ingest.clock import IST
from ray_ingest.errors import TokenError
from ray_ingest.feeds.session.adapter import Credentials
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS
from ray_ingest.redact import register

log = logging.getLogger(__name__)

LARGEST_FILE = 64 << 10
DAY_MS = DAY_MINUTES * MINUTE_MS


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Where a broker's token is: in `token_file`, or else in the second of the variables of `environment`.
    The client id is `client_id`, or in the file, or in the first variable; "" where a broker has none.

    Seconds: the file is looked at every `look_s`, a refused token is tried again every `retry_s`, its end is
    told `warn_s` before. Just before `rollover`, the IST time at which tokens die, it is read in any case.
    """

    broker: str
    client_id: str
    token_file: Path | None
    environment: tuple[str, str]
    look_s: float = 1.0
    retry_s: float = 60.0
    warn_s: float = 1_800.0
    rollover: str = "03:00"


def read_credentials(settings: TokenSettings, environ: Mapping[str, str] = os.environ) -> Credentials:
    """What the broker is shown; from now on it is redacted in whatever this process writes.

    The file holds the token, or JSON with "access_token" and perhaps "client_id". Raises TokenError.
    """
    id_variable, token_variable = settings.environment
    client_id = settings.client_id or (environ.get(id_variable, "").strip() if id_variable else "")
    if settings.token_file is not None:
        place = f"token file {settings.token_file}"
        token, id_there = _from_file(settings.broker, settings.token_file)
        client_id = settings.client_id or id_there or client_id
    else:
        place, token = token_variable, environ.get(token_variable, "").strip()
        if not token:
            raise TokenError(
                f"{settings.broker} has no access token: set {token_variable}, "
                f"or brokers.{settings.broker}.token_file to a file that holds it"
            )
    if token:
        register(token)
        register(token.rpartition(":")[2])
    if not token or any(character.isspace() or not character.isprintable() for character in token):
        raise TokenError(f"{settings.broker}: {place} should hold the access token and nothing else")
    if id_variable and not client_id:
        raise TokenError(
            f"{settings.broker} has no client id: set {id_variable}, or brokers.{settings.broker}.client_id"
        )
    return Credentials(client_id, token)


def _from_file(broker: str, path: Path) -> tuple[str, str]:
    """(token, client id or "")."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE).decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise TokenError(f"{broker}: token file {path} can't be read: {why}") from None
    if not text.startswith("{"):
        return text, ""
    try:
        found = json.loads(text)
        token, client_id = found["access_token"], found.get("client_id") or ""
        if not isinstance(token, str):
            raise TypeError
        return token.strip(), str(client_id).strip()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TokenError(f'{broker}: token file {path} is not JSON with "access_token"') from None


def expiry_ms(token: str) -> int | None:
    """Epoch ms at which a JWT ends by its own words, which nobody verifies; None for any other token."""
    parts = token.rpartition(":")[2].split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        expiry = int(claims["exp"]) * 1000
        datetime.fromtimestamp(expiry / 1000, UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
    return expiry


class TokenKeeper:
    """The token of now, for all connections of a feed; `version` is raised with every other one.

    `credentials` is None while there is none, and `error` says why.
    """

    def __init__(
        self, settings: TokenSettings, renewal: str, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.settings = settings
        self.credentials: Credentials | None = None
        self.error = ""
        self.version = 0
        self.warning = ""
        self._renewal = renewal
        self._environ = environ
        self._stamp: tuple[int, ...] = ()
        self._looked_s = -settings.look_s
        self._rollover_ms = 0
        self._told: set[object] = set()

    def look(self, now_s: float, now_ms: int) -> None:
        """Read it again when the file was written, or the rollover begins; `now_s` is of any steady clock."""
        if now_s - self._looked_s < self.settings.look_s:
            return
        self._looked_s = now_s
        rollover_ms = _last_rollover_ms(self.settings.rollover, now_ms)
        if self._file_stamp() != self._stamp or rollover_ms != self._rollover_ms:
            self._rollover_ms = rollover_ms
            self.read()
        self._warn(now_ms)

    def read(self) -> None:
        """Read it again now."""
        before = self.credentials
        self._stamp = self._file_stamp()
        try:
            self.credentials, self.error = read_credentials(self.settings, self._environ), ""
        except TokenError as error:
            if before is None or not self.error:
                log.warning("%s", error)
            self.error = str(error)
            return
        if self.credentials != before:
            self.version += 1
            self.warning = ""
            self._warn_of_readers()

    def refused(self) -> None:
        """Say what to do, once a token."""
        if self.version not in self._told:
            self._told.add(self.version)
            log.error("%s refuses the token: %s", self.settings.broker, self._renewal)

    def _warn(self, now_ms: int) -> None:
        expiry = expiry_ms(self.credentials.access_token) if self.credentials else None
        if expiry is None or now_ms < expiry - self.settings.warn_s * 1000:
            return
        at = datetime.fromtimestamp(expiry / 1000, IST).strftime("%d %b %H:%M IST")
        self.warning = f"the token {'ends' if now_ms < expiry else 'ended'} at {at}"
        if ("end", self.version) not in self._told:
            self._told.add(("end", self.version))
            log.warning("%s: %s: %s", self.settings.broker, self.warning, self._renewal)

    def _warn_of_readers(self) -> None:
        path = self.settings.token_file
        try:
            if path is not None and path.stat().st_mode & 0o077 and path not in self._told:
                self._told.add(path)
                log.warning("%s can be read by others: chmod 600 %s", path, path)
        except OSError:
            pass  # gone again since it was read

    def _file_stamp(self) -> tuple[int, ...]:
        if self.settings.token_file is None:
            return ()
        try:
            found = self.settings.token_file.stat()
        except OSError:
            return (0,)
        return found.st_mtime_ns, found.st_size, found.st_ino


def _last_rollover_ms(rollover: str, now_ms: int) -> int:
    hours, minutes = (int(part) for part in rollover.split(":"))
    since_midnight_ms = (hours * 60 + minutes) * MINUTE_MS - IST_OFFSET_MS
    return (now_ms - since_midnight_ms) // DAY_MS * DAY_MS + since_midnight_ms
