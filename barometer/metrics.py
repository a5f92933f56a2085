"""``/metrics`` for Prometheus and ``/health`` for whatever restarts processes, served from a thread."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from prometheus_client import make_wsgi_app

from barometer.errors import SettingsError
from barometer.http_server import ThreadedServer

log = structlog.get_logger(__name__)

Health = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the process does its work or rightly waits, and what to say of it."""


def serve(host: str, port: int, health: Health | None = None, *, fall_back: bool = False) -> ThreadedServer:
    """Serve the process's metrics and health from a thread.

    Args:
        port: 0 takes any free port.
        health: without one the process is healthy as long as it answers.
        fall_back: where the port is taken, take a free one and say so: several workers on one machine share a setting.

    Raises:
        SettingsError: the port cannot be had.
    """
    metrics = make_wsgi_app()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if path != "/health":
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"/metrics or /health\n"]
        ok, detail = health() if health is not None else (True, {})
        status = "200 OK" if ok else "503 Service Unavailable"
        start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps({"ok": ok, **detail}, ensure_ascii=False).encode()]

    try:
        running = ThreadedServer(app, host, port, "metrics", ("/health",))
    except OSError as e:
        if not (fall_back and port and e.errno == errno.EADDRINUSE):
            raise SettingsError(
                f"metrics cannot be served on {host}:{port}: {e.strerror}; "
                "choose another metrics_host or metrics_port_worker / metrics_port_monitor (0 takes any free port)"
            ) from e
        log.warning("metrics port taken, using a free one", host=host, port=port)
        running = ThreadedServer(app, host, 0, "metrics", ("/health",))
    log.info("metrics", url=f"http://{host}:{running.port}/metrics")
    return running
