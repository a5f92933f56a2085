"""A loopback HTTP server that keeps what it is sent and answers as the test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class PostBox:
    """What came in; ``answers`` are given one by one, the last for ever."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    said: bytes = b"said by the test"
    """The body of each answer."""
    hangs_up: bool = False
    """Ends the connection without an answer."""
    delay: float = 0.0
    received: list[dict[str, Any]] = field(default_factory=list)
    on_post: Callable[[], None] = lambda: None
    """Called for each message before it is answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def keys(self) -> list[str]:
        """Idempotency keys in the order of arrival."""
        return [r["headers"]["Idempotency-Key"] for r in self.received]

    def bodies(self) -> list[Any]:
        return [json.loads(r["body"]) for r in self.received]


@contextmanager
def post_box(host: str = "127.0.0.1") -> Iterator[PostBox]:
    box = PostBox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with box.lock:
                box.received.append({"path": self.path, "headers": dict(self.headers), "body": body})
                status, headers = box.answers.pop(0) if len(box.answers) > 1 else box.answers[0]
            box.on_post()
            time.sleep(box.delay)
            if box.hangs_up:
                self.close_connection = True
                return
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(box.said)
            except OSError:
                pass  # the sender did not wait

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    box.url = f"http://{host}:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
