"""What goes over the wire: answers compressed, and files that a browser keeps instead of asking for them again.

Files are compressed once in each process. Pages are not compressed: the log-in form has a secret in it, and what is
compressed beside something that a reader chose gives secrets away by its length (BREACH, 2013). Callbacks and the API
answer only to requests of our own origin.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from flask import Flask, Request, Response, request
from flask_compress import Compress

_KEPT_FILES = 100
_FILES = ("/assets/", "/_dash-component-suites/")
_YEAR = "private, max-age=31536000, immutable"
_DAY = "private, max-age=86400"
_LEVELS = {
    "COMPRESS_REGISTER": False,
    "COMPRESS_MIMETYPES": [
        "application/json",
        "application/javascript",
        "text/javascript",
        "text/css",
        "image/svg+xml",
    ],
    "COMPRESS_ALGORITHM": ["zstd", "br", "gzip"],
    "COMPRESS_LEVEL": 4,
    "COMPRESS_STREAMS": False,
    "COMPRESS_MIN_SIZE": 1_000,
}


class _Files:
    """Compressed files by address; the latest few."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return self._kept.get(key)

    def set(self, key: str, value: bytes) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT_FILES:
                self._kept.popitem(last=False)


def register(server: Flask) -> None:
    """Have answers compressed where the reader takes it, and tell browsers what to keep."""
    server.config.update(_LEVELS)
    answers, files = Compress(), Compress()
    answers.init_app(server)
    files.init_app(server)
    files.cache, files.cache_key = _Files(), _address

    @server.after_request
    def _send(response: Response) -> Response:
        if not request.path.startswith(_FILES):
            return answers.after_request(response)
        if response.status_code == 200:
            _keep(response)
            if request.method == "GET":
                # Files come as streams; they are small enough to be had whole.
                response.direct_passthrough = False
                response.get_data()
                return files.after_request(response)
        return response


def _address(asked: Request) -> str:
    return str(asked.full_path)


def _keep(response: Response) -> None:
    """Addresses with a version in them never change what they mean; pictures and plotly, which stands by itself,
    seldom do; the rest is asked about again, which costs no transfer where nothing changed."""
    if request.path.startswith("/assets/"):
        if request.args.get("m"):
            response.headers["Cache-Control"] = _YEAR
        elif request.path.endswith(".svg"):
            response.headers["Cache-Control"] = _DAY
    elif request.path.endswith("/plotly.min.js"):
        response.headers["Cache-Control"] = _DAY
    elif "max-age=31536000" in response.headers.get("Cache-Control", ""):
        response.headers["Cache-Control"] = _YEAR
