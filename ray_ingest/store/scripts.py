"""The Lua scripts: their texts, and running them on a server that may forget them at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha1

import redis
from redis.exceptions import NoScriptError, ResponseError

from ray_ingest.errors import FencedError, OffsetError, OwnerLostError, StoreError
from ray_ingest.resources import resource_dir

PRELUDE = "record"
_ERRORS = {
    "FENCED": FencedError,
    "LOST": OwnerLostError,
    "OFFSET": OffsetError,
    "BADKEY": StoreError,
    "BADROW": StoreError,
}


def script_texts() -> dict[str, str]:
    """Each script's name and text, the shared prelude in front; read once, then handed to actors."""
    texts = {path.stem: path.read_text("utf-8") for path in sorted(resource_dir("lua").glob("*.lua"))}
    prelude = texts.pop(PRELUDE)
    return {name: prelude + "\n" + text for name, text in texts.items()}


def translate(error: ResponseError) -> Exception:
    """Our error for one that a script raised on purpose; otherwise the given one."""
    word, _, rest = str(error).partition(" ")
    kind = _ERRORS.get(word)
    return kind(rest) if kind else error


class Scripts:
    """Runs scripts by name over a client, loading them when the server doesn't know them."""

    def __init__(self, client: redis.Redis, texts: Mapping[str, str]) -> None:
        self._client = client
        self._texts = texts
        self.digests = {
            name: sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest()
            for name, text in texts.items()
        }

    def load(self) -> None:
        """Make the server know all scripts."""
        for text in self._texts.values():
            self._client.script_load(text)

    def run(self, name: str, keys: Sequence[str | bytes], args: Sequence[str | bytes | int]) -> object:
        """The script's reply. Raises StoreError, or one of its kinds, for what the script refuses.

        NOSCRIPT means that nothing ran, so loading and sending again is safe.
        """
        try:
            return self._evalsha(name, keys, args)
        except NoScriptError:
            self.load()
            return self._evalsha(name, keys, args)

    def _evalsha(self, name: str, keys: Sequence[str | bytes], args: Sequence[str | bytes | int]) -> object:
        try:
            return self._client.evalsha(self.digests[name], len(keys), *keys, *args)
        except NoScriptError:
            raise
        except ResponseError as error:
            raise translate(error) from None
