"""The screens. A module says what it is in ``SCREEN`` (:mod:`dashboard.navigation`), makes it in ``layout`` and
puts its callbacks into an app by ``register(app)``; a new module is found by itself."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from dash import Dash, register_page

from dashboard.i18n.texts import t

MODULES = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]


def register(app: Dash) -> None:
    """Put all screens into an app."""
    for module in MODULES:
        screen = module.SCREEN
        where = {"path_template" if "<" in screen.path else "path": screen.path}
        register_page(screen.name, layout=module.layout, title=t("zh", "product"), **where)
        module.register(app)
