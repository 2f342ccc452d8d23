"""Instrument names: checked once, then ids. A table is append-only; its ids travel instead of strings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOKEN_BYTES = 64
_FORBIDDEN = frozenset(":|{}")
_INDEX_ENDS = ("_INDEX", "IDX_I")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One table entry: the exchange in upper case, the token as its feed names it, and the feed's source."""

    exchange: str
    token: str
    source: str

    @property
    def name(self) -> str:
        """The instrument as users write it: "NSE_FO|8765"."""
        return f"{self.exchange}|{self.token}"


def sanitise(token: str) -> str:
    """The token as keys carry it: spaces become "_"."""
    return token.replace(" ", "_")


def name_fault(exchange: str, token: str) -> str:
    """Why a name can't be used: "exchange", "token", or "" for a good one.

    An exchange is 1–16 ASCII letters, digits and underscores; a token is 1–64 bytes of printable ASCII or
    other printable UTF-8 without ``: | { }`` or control characters.
    """
    if not (0 < len(exchange) <= 16 and exchange.isascii() and exchange.replace("_", "").isalnum()):
        return "exchange"
    if not token or not token.strip() or len(token.encode("utf-8", "surrogatepass")) > TOKEN_BYTES:
        return "token"
    if not token.isprintable() or not _FORBIDDEN.isdisjoint(token):
        return "token"
    return ""


def split_name(name: str) -> tuple[str, str]:
    """("NSE_FO", "8765") of "NSE_FO|8765"; raises ValueError when it isn't exchange|token with good parts."""
    exchange, bar, token = name.partition("|")
    fault = name_fault(exchange, token) if bar else "exchange"
    if fault:
        raise ValueError(f"{name!r} is not EXCHANGE|TOKEN (such as NSE_FO|8765): bad {fault}")
    return exchange.upper(), token


class InstrumentTable:
    """Append-only map between (exchange, token, source) and u32 ids, in order of first sight.

    Names that can't be used get an id too, so that their ticks can be rejected by the vectorised path:
    `faults()[id]` is a reason code, an index of `FAULTS`. A second token of one exchange that sanitises to
    the same name as an earlier one has the fault "token_collision".
    """

    FAULTS = ("", "exchange", "token", "token_collision")

    def __init__(self) -> None:
        self.entries: list[Instrument] = []
        self._ids: dict[tuple[str, str, str], int] = {}
        self._token_of: dict[tuple[str, str], str] = {}
        self._faults: list[int] = []
        self._fault_array: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._index_array: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.entries)

    def intern(self, exchange: str, token: str, source: str) -> int:
        """The id of the name, new if it wasn't seen before. Never raises: see `faults`."""
        key = (exchange, token, source)
        found = self._ids.get(key)
        if found is None:
            found = self._append(exchange, token, source)
            self._ids[key] = found
        return found

    def _append(self, exchange: str, token: str, source: str) -> int:
        fault = name_fault(exchange, token)
        upper = exchange.upper()
        if not fault and self._token_of.setdefault((upper, sanitise(token)), token) != token:
            fault = "token_collision"
        if fault:  # an unusable name may hold what no message and no hash can encode
            upper, token = (text.encode("utf-8", "backslashreplace").decode() for text in (upper, token))
        self.entries.append(Instrument(upper, token, source))
        self._faults.append(self.FAULTS.index(fault))
        return len(self.entries) - 1

    def faults(self) -> npt.NDArray[np.uint8]:
        """One reason code an id, an index of `FAULTS`; 0 is good."""
        if len(self._fault_array) != len(self._faults):
            self._fault_array = np.array(self._faults, np.uint8)
        return self._fault_array

    def is_index(self) -> npt.NDArray[np.bool_]:
        """One flag an id: True for an index, which trades on `…_INDEX` or `IDX_I` and has no volume."""
        if len(self._index_array) != len(self.entries):
            self._index_array = np.array([e.exchange.endswith(_INDEX_ENDS) for e in self.entries], np.bool_)
        return self._index_array
