"""The dashboard: a Flask server with the Dash app inside, the log-in in front, the JSON API beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dash
import yaml
from dash.exceptions import DependencyException
from flask import Flask, request

from barometer.errors import SettingsError
from barometer.settings import Settings
from barometer.store.engine import Store
from dashboard import api, pages
from dashboard.api import label_export
from dashboard.components import shell
from dashboard.components.broken import guard_pages
from dashboard.context import KEY, Context, context, view
from dashboard.exports import document_export
from dashboard.i18n.texts import add_topics, t
from dashboard.security import auth, inputs, payloads
from dashboard.web import compression, operations, prefix

CACHE_MB = 8
"""Of an SQLite file, for each of the connections of many threads: the system keeps the file for all of them."""
_INDEX = """<!DOCTYPE html>
<html >
    <head>
        {%metas%}
        <title>{%title%}</title>
        <link rel="icon" type="image/svg+xml" href="{prefix}/assets/favicon.svg">
        {%css%}
    </head>
    <body>
        {%app_entry%}
        <footer>{%config%}{%scripts%}{%renderer%}</footer>
    </body>
</html>"""


_PLOTLY = "/_dash-component-suites/plotly/package_data/plotly.min.js"
_GRAPH = "/_dash-component-suites/dash/dcc/async-graph.js"
_GRID = "/_dash-component-suites/dash_ag_grid/async-community.js"


def _ahead(path: str, under: str) -> str:
    """What a page will ask for once it is drawn, asked for at once: three quarters of what a chart waits for is the
    library that draws it. Elsewhere the browser fetches it when it has nothing else to do."""
    if path.startswith(("/series/", "/alerts/")):
        return f'<script async src="{under}{_PLOTLY}"></script><link rel="preload" as="script" href="{under}{_GRAPH}">'
    if path == "/overview":
        return f'<link rel="preload" as="script" href="{under}{_GRID}">'
    return f'<link rel="prefetch" as="script" href="{under}{_PLOTLY}">'


class _App(dash.Dash):
    """Dash that sends the page in the reader's language and theme from the first byte, so that nothing flashes."""

    def interpolate_index(self, *args: Any, **parts: Any) -> str:
        how = view()
        lang = "zh-CN" if how.lang == "zh" else "en"
        under = prefix.prefix_of(context().settings)
        attributes = f'lang="{lang}" data-mantine-color-scheme="{how.theme}"'
        attributes += f' data-prefix="{under}"' if under else ""
        page: str = super().interpolate_index(*args, **parts)
        page = page.replace("</head>", f"{_ahead(request.path, under)}</head>", 1)
        page = page.replace('href="{prefix}/', f'href="{under}/', 1)
        return page.replace("<html >", f"<html {attributes}>", 1)


def _topics(path: Path) -> list[dict[str, str]]:
    """Entries of the topics file.

    Raises:
        SettingsError: it cannot be read, or an entry lacks id, zh or en.
    """
    try:
        topics = yaml.safe_load(path.read_text("utf-8"))
        return [{name: str(topic[name]) for name in ("id", "zh", "en")} for topic in topics]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as e:
        raise SettingsError(f"topics_file {path}: expected a list of topics with id, zh and en: {e!r}") from None


def _no_such_file(_error: Exception) -> tuple[str, int]:
    """A file of a version that is no more, or an address that somebody made up: Dash raises, as if we had erred."""
    return "no such file", 404


def create_app(settings: Settings, store: Store) -> Flask:
    """The WSGI application.

    Args:
        settings: dashboard settings, time zone, bucket width.
        store: open, at the present revision; used from several threads.
    """
    if settings.topics_file:
        add_topics(_topics(settings.topics_file))
    server = Flask("dashboard", static_folder=None, template_folder="templates")
    server.extensions[KEY] = Context(store, settings)
    operations.measure(server)
    inputs.register(server)
    auth.protect(server, settings, store)
    compression.register(server)
    under = prefix.prefix_of(settings)
    prefix.register(server, under)
    server.extensions["barometer_contract"] = api.register(server)
    server.register_blueprint(label_export.blueprint)
    server.register_blueprint(document_export.blueprint)
    app = _App(
        "dashboard",
        server=server,  # type: ignore[arg-type]  # a Flask app is what it documents
        use_pages=True,
        pages_folder="",
        title=t("zh", "product"),
        update_title="",
        serve_locally=True,
        assets_ignore=r"(login|api)\.css",
        suppress_callback_exceptions=True,
        routing_callback_inputs={"ui": dash.Input("ui", "data")},
        include_pages_meta=False,
        routes_pathname_prefix="/",
        requests_pathname_prefix=f"{under}/",
        index_string=_INDEX,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        enable_mcp=False,
    )
    server.register_error_handler(DependencyException, _no_such_file)
    server.extensions["barometer_inline_scripts"] = app.csp_hashes
    app.layout = shell.layout
    payloads.register(server, app)
    shell.register(app)
    pages.register(app)
    guard_pages()
    return server
