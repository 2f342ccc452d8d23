"""Logs of every process: each line says who speaks and holds no secret; for a person, or as JSON.

All code logs with the standard library. Here is decided what comes of it, in the driver and in every actor.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor

from ray_ingest.clock import IST
from ray_ingest.errors import ConfigError
from ray_ingest.redact import install, redact
from ray_ingest.schema import LogConfig

log = logging.getLogger(__name__)

DRIVER = "driver"
OURS = "ray_ingest"
KEPT_FILES = 5
"""Full files that are kept beside the one being written: FILE.1 is the newest of them."""

_IN_ACTOR = ("partition", "broker")  # the actor's name says these to a person
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`log` of the configuration, as actors are told: `file` is absolute, and full at `file_bytes`."""

    level: str = "warning"
    format: str = "auto"
    file: Path | None = None
    file_bytes: int = 20 << 20


def settings_of(config: LogConfig) -> LogSettings:
    """What the configuration says, a relative file being below the folder of now."""
    file = Path(config.file).expanduser().absolute() if config.file else None
    return LogSettings(config.level, config.format, file, int(config.file_mb * (1 << 20)))


def set_up(settings: LogSettings, actor: str, **who: object) -> None:
    """Log like this in this process from now on; doing so again replaces it.

    Every line names `actor`; `who` (partition, broker) is in JSON lines where it isn't None. Messages of
    libraries are shown from warnings on. Secrets are redacted from now on in whatever this process logs or
    prints. Raises ConfigError when the file can't be written.
    """
    install()
    fields = {"actor": actor} | {name: value for name, value in who.items() if value is not None}
    handlers: list[_Stderr | SharedFile] = [_Stderr()]
    handlers[0].setFormatter(_formatter(settings.format == "json", fields, _shows_colour()))
    if settings.file is not None:
        file = _opened(settings.file, settings.file_bytes)
        file.setFormatter(_formatter(settings.format != "text", fields, colour=False))
        handlers.append(file)
    root, level = logging.getLogger(), logging.getLevelNamesMapping()[settings.level.upper()]
    for before in [handler for handler in root.handlers if isinstance(handler, _Stderr | SharedFile)]:
        root.removeHandler(before)
        before.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(OURS).setLevel(level if level < logging.WARNING else logging.NOTSET)


def set_up_actor(settings: LogSettings | None, actor: str, **who: object) -> None:
    """`set_up` in an actor's process: one that can't write the file on its machine says so and goes on
    without. None changes nothing: the process isn't the actor's own."""
    if settings is None:
        return
    try:
        set_up(settings, actor, **who)
    except ConfigError as error:
        set_up(LogSettings(settings.level, settings.format), actor, **who)
        log.warning("%s", error)
    log.info("begins in process %d", os.getpid())


class SharedFile(WatchedFileHandler):
    """A file that all processes of a machine append to, a line at a time; who finds it full renames it.

    The lock that renaming takes is the file itself, so nothing is left behind by a process that is killed.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._has_failed = False
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> Any:
        # With room for a long line: one write each, and lines of several processes don't mix.
        return open(self.baseFilename, "a", 1 << 16, self.encoding, self.errors)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a file that was renamed is opened anew."""
        try:
            if self.stream is None:  # opening it anew failed, the last time
                self.stream = self._open()
                self._statstream()
            self.reopenIfNeeded()
            stream: TextIO = self.stream
            if os.fstat(stream.fileno()).st_size >= self._most_bytes:
                self._rotate(stream.fileno())
            super(WatchedFileHandler, self).emit(record)
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """What a full disk didn't take is gone."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — the name is logging's
        """A full disk is told once, on stderr, and ends nothing."""
        if not self._has_failed:
            self._has_failed = True
            print(f"ray-ingest: log.file={self.baseFilename}: {sys.exc_info()[1]}", file=sys.stderr)

    def _rotate(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # let go when the file is closed
        if self._is_current(descriptor):  # nobody else was quicker
            names = [self.baseFilename, *(f"{self.baseFilename}.{n + 1}" for n in range(KEPT_FILES))]
            for newer, older in reversed(list(pairwise(names))):
                if os.path.exists(newer):
                    os.replace(newer, older)
        self.reopenIfNeeded()

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(descriptor))
        except FileNotFoundError:  # renamed, and not opened anew yet
            return False


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever stderr is
    """Writes to what stderr is at the moment: while a live line is shown, that is above the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def _opened(path: Path, most_bytes: int) -> SharedFile:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return SharedFile(path, most_bytes)
    except OSError as error:
        raise ConfigError(f"log.file={path}: can't be written: {error.strerror}") from None


def _formatter(as_json: bool, who: dict[str, object], colour: bool) -> ProcessorFormatter:
    line: Processor = structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else _Text(colour)
    return ProcessorFormatter(
        processors=[
            ExtraAdder(),
            structlog.processors.format_exc_info,
            _Fields(who),
            _redacted_values,  # before JSON escapes what is in them
            line,
            _redacted_line,
        ]
    )


class _Fields:
    """Puts a line's fields in order: when, how grave, who, and what."""

    def __init__(self, who: dict[str, object]) -> None:
        self._who = who

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        return {
            "time": datetime.fromtimestamp(record.created, IST).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._who,
            "logger": record.name,
            "message": event.pop("event"),
            **{key: value for key, value in event.items() if not self._is_left_behind(key)},
        }

    @staticmethod
    def _is_left_behind(key: str) -> bool:
        """By Ray, or by another handler that has formatted the record before."""
        return key.startswith("_") or key == "asctime"


class _Text:
    """2026-11-20 09:15:04.123 WARNING ohlc[0/1]: message key=value; a traceback on lines after it."""

    def __init__(self, colour: bool) -> None:
        self._colours = _COLOURS if colour else {}

    def __call__(self, logger: object, method: str, event: EventDict) -> str:
        moment, level, name = (str(event.pop(key)) for key in ("time", "level", "logger"))
        actor, message, trace = event.pop("actor"), event.pop("message"), event.pop("exception", None)
        rest = {key: value for key, value in event.items() if key not in _IN_ACTOR and value is not None}
        if name.partition(".")[0] != OURS:
            rest["logger"] = name
        pairs = "".join(f" {key}={_one_line(value)}" for key, value in rest.items())
        colour = self._colours.get(level, "")
        word = f"{colour}{level.upper()}\x1b[0m" if colour else level.upper()
        day, clock = moment[:10], moment[11:23]
        line = f"{day} {clock} {word} {actor}: {_one_line(message)}{pairs}"
        return f"{line}\n{trace}" if trace else line


def _one_line(value: object) -> str:
    """As text that can't be mistaken for another line, nor speak to the terminal."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(value))


def _redacted_values(logger: object, method: str, event: EventDict) -> EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _redacted_line(logger: object, method: str, line: Any) -> str:
    return redact(line)


def _shows_colour() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and "NO_COLOR" not in os.environ
