"""The model folder on this server, as far as there is one: versions of the store are known by name, but cards, figures
and thresholds stand in files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dashboard.context import context

_MOST_CARD = 100_000
"""Characters of a card that are shown."""


@dataclass(frozen=True, slots=True)
class Files:
    """What the files of a model say; what is missing or unreadable is empty."""

    folder: Any
    """:class:`models.folder.ModelFolder`."""
    metrics: dict[str, Any]
    card: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of figures: of a set, a language or a kind."""

    split: str
    name: str
    sentiment: dict[str, Any]
    topics: dict[str, Any]


def files() -> Files | str:
    """The model of ``model_path``, or that of the package; or why there is none."""
    path = context().settings.model_path
    try:
        from models.folder import DEFAULT_MODEL
    except ImportError as e:
        return str(e)
    folder = path or DEFAULT_MODEL
    return _read(folder, _age(folder))


@lru_cache(maxsize=4)
def _read(path: Path, _age: tuple[int, ...]) -> Files | str:
    from models.errors import ModelError
    from models.folder import CARD, METRICS, read_folder

    try:
        folder = read_folder(path)
    except (ModelError, OSError) as e:
        return str(e)
    try:
        metrics = json.loads((path / METRICS).read_text("utf-8"))
    except (OSError, ValueError):
        metrics = {}
    try:
        card = (path / CARD).read_text("utf-8", "replace")[:_MOST_CARD]
    except OSError:
        card = ""
    return Files(folder, metrics if isinstance(metrics, dict) else {}, card)


def _age(path: Path) -> tuple[int, ...]:
    """Changes when a file does: a folder may be replaced while we run."""
    try:
        return tuple(sorted(f.stat().st_mtime_ns for f in path.iterdir()))
    except OSError:
        return ()


def figures(metrics: dict[str, Any]) -> list[Figure]:
    """All that looks like figures of a set, wherever it stands; fields that we do not know are left alone.

    >>> figures({"dev": {"a": {"sentiment": {"n": 3}}, "note": 1}, "x": 2, "float32_dev": {"a": {"sentiment": {}}}})
    [Figure(split='dev', name='a', sentiment={'n': 3}, topics={})]
    """
    out: list[Figure] = []
    for split, found in metrics.items():
        if isinstance(found, dict) and not split.startswith("float32"):
            _figures(split, "", found, out, 3)
    return out


def _figures(split: str, name: str, found: dict[str, Any], out: list[Figure], depth: int) -> None:
    parts = {key: found[key] for key in ("sentiment", "topics") if isinstance(found.get(key), dict)}
    if parts:
        out.append(Figure(split, name, parts.get("sentiment", {}), parts.get("topics", {})))
    if depth:
        for key, value in found.items():
            if isinstance(value, dict) and key not in parts and key not in ("classes",):
                _figures(split, f"{name} · {key}" if name else str(key), value, out, depth - 1)


def number(found: dict[str, Any], *path: str) -> float | None:
    """A figure by its path; None where it is missing or none.

    >>> number({"a": {"b": 2}}, "a", "b"), number({"a": 1}, "a", "b")
    (2.0, None)
    """
    value: Any = found
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
