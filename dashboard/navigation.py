"""Which screens there are. A module of :mod:`dashboard.pages` says so once, and the bar, the keys, the links between
neighbours and the tests read it here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen. In the bar it is called by the text ``nav.NAME`` and has the icon of its name."""

    name: str
    path: str
    """Its address; ``/series/<name>`` for one of many."""
    order: int | None = None
    """Its place in the bar, or among its neighbours; None: links lead to it, the bar does not."""
    key: str = ""
    """The letter that leads to it, after ``g``."""
    under: str = ""
    """The screen of the bar that it belongs to; neighbours are linked to each other."""


_SCREENS: dict[str, Screen] = {}


def add(screen: Screen) -> Screen:
    """Make a screen known; called once by its module.

    Raises:
        ValueError: its name, address or key is another's.
    """
    for other in _SCREENS.values():
        if other.name != screen.name and (other.path == screen.path or (screen.key and other.key == screen.key)):
            raise ValueError(f"screen {screen.name}: {screen.path} or the key {screen.key!r} is that of {other.name}")
    _SCREENS[screen.name] = screen
    return screen


def screens() -> list[Screen]:
    """All of them, in the order of the bar; those without a place last."""
    return sorted(_SCREENS.values(), key=lambda s: (s.order is None, s.order or 0, s.name))


def bar() -> list[Screen]:
    """What the bar shows."""
    return [s for s in screens() if s.order is not None and not s.under]


def neighbours(name: str) -> list[Screen]:
    """A screen of the bar and those that belong to it and have a place."""
    return [s for s in screens() if s.order is not None and name in (s.name, s.under)]


def keys() -> dict[str, str]:
    """Address by key."""
    return {s.key: s.path for s in screens() if s.key}


def marks() -> dict[str, list[str]]:
    """By the address of a screen of the bar: the beginnings of addresses that belong to it."""
    return {s.path: [s.path, *(x.path.partition("<")[0] for x in screens() if x.under == s.name)] for s in bar()}
