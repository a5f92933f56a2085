"""What machines ask without a log-in: whether the dashboard lives, and its metrics."""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Blueprint, Flask, Response, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.exc import DBAPIError

from barometer.store.engine import ping
from dashboard.context import context

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""A client may make up any other, and each would be a series of its own for ever."""
REQUESTS = Counter("barometer_dashboard_requests_total", "HTTP requests answered", ["method", "endpoint", "status"])
SECONDS = Histogram(
    "barometer_dashboard_request_seconds",
    "Time to answer a request",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10),
)

blueprint = Blueprint("operations", __name__)


@blueprint.get("/health")
def health() -> Any:
    """200 while the store answers, 503 while it does not."""
    try:
        with context().store.read() as c:
            ping(c)
    except DBAPIError:
        return jsonify(status="store away"), 503
    return jsonify(status="ok")


@blueprint.get("/metrics")
def metrics() -> Response:
    """All processes of this server together where they share a folder for it, else this one."""
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def measure(server: Flask) -> None:
    """Count and time every request."""
    server.register_blueprint(blueprint)

    @server.before_request
    def _begin() -> None:
        g.began = time.perf_counter()

    @server.after_request
    def _end(response: Response) -> Response:
        endpoint = request.endpoint or "none"
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, endpoint, str(response.status_code)).inc()
        if "began" in g:
            SECONDS.labels(endpoint).observe(time.perf_counter() - g.began)
        return response
