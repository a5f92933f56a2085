"""Behind a path (``public_url: https://host/barometer``): what comes in loses it, what goes out gets it.

Pages, scripts and answers are written as if the dashboard stood at the root; only here is known that it does not. A
proxy may pass the path on or take it off: both are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Flask, Response, request

from barometer.settings import Settings

LINKS = ("href", "action", "src")
"""Properties of components that hold addresses."""
_TREES = ("/_dash-update-component", "/_dash-layout")


def prefix_of(settings: Settings) -> str:
    """The path under which browsers find the dashboard, without a slash at its end; empty at the root."""
    return urlsplit(settings.public_url).path.rstrip("/")


class Beneath:
    """WSGI: takes the path off what is asked for."""

    def __init__(self, app: Callable[..., Iterable[bytes]], prefix: str) -> None:
        self._app, self._prefix = app, prefix

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == self._prefix or path.startswith(self._prefix + "/"):
            environ = {**environ, "PATH_INFO": path[len(self._prefix) :] or "/"}
        return self._app({**environ, "SCRIPT_NAME": self._prefix}, start_response)


def register(server: Flask, prefix: str) -> None:
    """Serve beneath a path; nothing to do at the root."""
    server.jinja_env.globals["prefix"] = prefix
    if not prefix:
        return
    server.config.update(APPLICATION_ROOT=prefix, SESSION_COOKIE_PATH=prefix)
    server.wsgi_app = Beneath(server.wsgi_app, prefix)  # type: ignore[method-assign]

    @server.after_request
    def _lead(response: Response) -> Response:
        to = response.headers.get("Location", "")
        if to.startswith("/") and not to.startswith("//"):
            response.headers["Location"] = prefix + to
        if request.path in _TREES and response.is_json and response.status_code == 200:
            response.set_data(orjson.dumps(beneath(orjson.loads(response.get_data()), prefix)))
        return response


def beneath(tree: Any, prefix: str) -> Any:
    """A tree of components with its links led beneath a path, in place.

    >>> beneath({"props": {"href": "/alerts", "children": [{"props": {"href": "https://x.example"}}]}}, "/b")
    {'props': {'href': '/b/alerts', 'children': [{'props': {'href': 'https://x.example'}}]}}
    """
    if isinstance(tree, list):
        for x in tree:
            beneath(x, prefix)
    elif isinstance(tree, dict):
        for key, x in tree.items():
            if key in LINKS and isinstance(x, str):
                if x.startswith("/") and not x.startswith("//"):
                    tree[key] = prefix + x
            else:
                beneath(x, prefix)
    return tree
