"""The page `/status` beside the metrics: the supervisor's `Status` as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from ray_ingest.actors.status import Status

PATH = "/status"


def with_page(app: Any, status: Callable[[], Status]) -> WSGIApplication:
    """The WSGI application `app` with that page besides its own."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            pages: Iterable[bytes] = app(environ, start_response)
            return pages
        body = msgspec.json.encode(status())
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return serve
