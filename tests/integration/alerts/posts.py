"""A real HTTP server on the loopback that keeps what is posted to it, as if it were Slack or another."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Posts:
    """`status` and `body` are its answer to whatever comes; each post is (path with query, JSON)."""

    port: int = 0
    status: int = 200
    body: bytes = b"ok"
    _posts: queue.Queue[tuple[str, Any, str]] = field(default_factory=queue.Queue)

    def next(self) -> tuple[str, Any, str]:
        """Path, JSON and Authorization header of the next one."""
        return self._posts.get(timeout=30)


@contextmanager
def posts() -> Iterator[Posts]:
    """A running one."""
    kept = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            kept._posts.put((self.path, json.loads(content), self.headers.get("Authorization", "")))
            self.send_response(kept.status)
            self.send_header("Content-Length", str(len(kept.body)))
            self.end_headers()
            self.wfile.write(kept.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
