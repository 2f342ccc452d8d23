"""Secrets never leave the process as text: not in a log, not in a print of an SDK, not in a traceback."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import Any, TextIO, cast
from urllib.parse import quote

HIDDEN = "***"
SHORTEST = 6  # what is shorter would blot out innocent text, and is no secret worth the name

_SHAPES = re.compile(r"""(?i)(\b(?:access_?|auth_?)?token=|\bbearer\s+)[^\s&"'<>,;)}\]]+""")
_secrets: set[str] = set()
_known: re.Pattern[str] | None = None


def register(secret: str) -> None:
    """From now on hide this text, also as it is written in URLs, in JSON, and by repr."""
    global _known
    written = (secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1])
    found = {
        text for text in (*written, json.dumps(secret, ensure_ascii=False)[1:-1]) if len(text) >= SHORTEST
    }
    if not found <= _secrets:
        _secrets.update(found)
        _known = re.compile("|".join(re.escape(text) for text in sorted(_secrets, key=len, reverse=True)))


def redact(text: str) -> str:
    """The text with *** for every secret, and for whatever follows `token=` and `Bearer`."""
    if _known is not None:
        text = _known.sub(HIDDEN, text)
    return _SHAPES.sub(rf"\1{HIDDEN}", text)


def install() -> None:
    """Redact whatever this process logs, by any logger and handler, and writes to stdout and stderr. Doing
    so again is harmless."""
    if not hasattr(logging.Handler.format, "redacts"):
        logging.Handler.format = _redacting(logging.Handler.format)  # type: ignore[method-assign]
        logging.setLogRecordFactory(_RedactedRecords(logging.getLogRecordFactory()))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, RedactedStream):
            setattr(sys, name, cast(TextIO, RedactedStream(stream)))


class RedactedStream(io.TextIOBase):
    """A text stream that writes to another, without the secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Returns the number of characters taken, which is all of them."""
        self._stream.write(redact(text))
        return len(text)

    def flush(self) -> None:
        """Flush the other stream."""
        if not self._stream.closed:
            self._stream.flush()

    def close(self) -> None:
        """The other stream isn't this one's to close."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("write", "writelines", "flush", "close", "__class__", "_stream"):
            return super().__getattribute__(name)
        return getattr(super().__getattribute__("_stream"), name)


class _RedactedRecords:
    """A log record factory: handlers that take a record's parts find no secret either."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = cast(logging.LogRecord, self._make(*args, **kwargs))
        try:
            whole = record.getMessage()
        except Exception:  # arguments that don't fit: logging says so on stderr, which is redacted
            return record
        redacted = redact(whole)
        if redacted != whole:
            record.msg, record.args = redacted, None
        return record


def _redacting(original: Any) -> Any:
    def format(handler: logging.Handler, record: logging.LogRecord) -> str:
        return redact(original(handler, record))

    format.redacts = True  # type: ignore[attr-defined]
    return format
