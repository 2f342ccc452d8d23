"""The brokers' public addresses, and what is there brought into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ray_ingest.errors import RayIngestError
from ray_ingest.instruments.errors import MastersError

UPSTOX = "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz"
FYERS = "https://public.fyers.in/sym_details/{}.csv"
FYERS_FILES = ("NSE_CM", "NSE_FO", "NSE_CD", "BSE_CM", "BSE_FO", "MCX_COM")
DHAN = "https://images.dhan.co/api-data/api-scrip-master-detailed.csv"
DHAN_COMPACT = "https://images.dhan.co/api-data/api-scrip-master.csv"
"""The same instruments without ISIN: read from a file, not fetched."""

URLS = {
    "upstox": (UPSTOX,),
    "fyers": tuple(FYERS.format(name) for name in FYERS_FILES),
    "dhan": (DHAN,),
}


class FetchError(MastersError):
    """A master can't be had now; the same call may succeed later."""

    exit_code = RayIngestError.exit_code


def download(urls: Iterable[str], folder: Path, timeout_s: float = 60.0) -> list[Path]:
    """Each address's file in `folder`, under the last part of its path. `timeout_s` is how long a server may
    say nothing. Raises FetchError, naming the address."""
    files = []
    for url in urls:
        path = folder / url.rpartition("/")[2]
        request = Request(url, headers={"User-Agent": "ray-ingest"})  # noqa: S310 — the constants above
        try:
            with urlopen(request, timeout=timeout_s) as answer, path.open("wb") as file:  # noqa: S310
                shutil.copyfileobj(answer, file)
                expected = answer.headers.get("Content-Length")
        except HTTPError as error:
            raise FetchError(f"{url}: HTTP {error.code} {error.reason}") from None
        except (URLError, HTTPException, OSError) as error:
            raise FetchError(
                f"{url}: {getattr(error, 'reason', None) or error or type(error).__name__}"
            ) from None
        if expected is not None and path.stat().st_size != int(expected):
            raise FetchError(f"{url}: {path.stat().st_size} of {expected} bytes came: try again")
        files.append(path)
    return files
