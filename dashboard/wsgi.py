"""For a WSGI server of your own: ``gunicorn 'dashboard.wsgi:app()'``."""

from __future__ import annotations

from flask import Flask

from barometer.settings import settings
from barometer.store.migrate import open_store
from dashboard.app import CACHE_MB, create_app


def app() -> Flask:
    """The application by the process's settings."""
    return create_app(settings(), open_store(settings(), cache_mb=CACHE_MB))
