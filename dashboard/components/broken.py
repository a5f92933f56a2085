"""What stands in place of a page that could not be made. Without it the browser goes on showing the page before,
under the new page's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import dash
import structlog
from dash import html
from dash.exceptions import PreventUpdate
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from dashboard.components.parts import icon
from dashboard.context import view

log = structlog.get_logger(__name__)


def guard_pages() -> None:
    """Wrap the layouts of all registered pages."""
    for page in dash.page_registry.values():
        if callable(page["layout"]):
            page["layout"] = _guarded(page["layout"], str(page["module"]))


def _guarded(layout: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(layout)
    def made(*args: Any, **kwargs: Any) -> Any:
        try:
            return layout(*args, **kwargs)
        except (PreventUpdate, HTTPException):
            raise
        except Exception as e:  # whatever it was: the reader is told, and the log has it
            log.exception("page_failed", page=name)
            return broken(isinstance(e, SQLAlchemyError), kwargs.get("ui"))

    return made


def broken(database: bool, ui: Any = None) -> Any:
    """The page that says so, with a link that loads this address anew."""
    v = view(ui)
    return html.Div(
        [
            html.H1(v.t("broken.title")),
            html.Div(
                [icon("lost"), html.P(v.t("broken.database" if database else "broken.other"), className="empty-hint")],
                className="empty",
                role="alert",
            ),
            html.A(v.t("broken.again"), href="", className="button again"),
        ],
        className="lost",
    )
