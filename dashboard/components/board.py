"""The rows of the overview: what the grid in the browser draws, as small JSON."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from zlib import crc32

import orjson

from barometer.standing import stand
from barometer.store.series.totals import SeriesRow, Totals
from dashboard.components.series_cells import change
from dashboard.context import View, context
from dashboard.format import clock, duration, number, percent
from dashboard.i18n.texts import series_name
from dashboard.services.figures import Figures
from dashboard.services.measure import FEW, group_of, shown_share, standing


def board_rows(
    v: View,
    found: Figures,
    *,
    heat: bool,
    watched: Collection[str],
    group: str | None = None,
    find: str = "",
    link: str = "",
) -> list[dict[str, Any]]:
    """One row a series, those with running alerts first, then what is furthest above expectation.

    Args:
        heat: cells for the heat map instead of those for trends.
        group: only series of this kind (``topic``, ``symbol``, ``watch``).
        find: only series whose name, in either language, has this in it.
        link: the query that the links to series carry.
    """
    alerting = found.alerting
    wanted = find.strip().casefold()

    def fits(s: SeriesRow) -> bool:
        if s.name == "all" or (group is not None and group_of(s.name) != group):
            return False
        names = (s.name, series_name("zh", s.name), series_name("en", s.name))
        return not wanted or any(wanted in name.casefold() for name in names)

    def order(s: SeriesRow) -> tuple[bool, bool, float, int]:
        item = found.of(s)
        return (s.id not in alerting, not item.total, -round(standing(item).far, 1), -item.total)

    rows = []
    for s in sorted(filter(fits, found.series), key=order):
        item, alert = found.of(s), alerting.get(s.id)
        text, note, tone, hint = change(v, item)
        share = shown_share(item)
        row: dict[str, Any] = {
            "id": s.name,
            "name": series_name(v.lang, s.name),
            "star": s.name in watched,
            "n": item.total,
            "volume": number(v.lang, item.total),
            "neg": item.negative,
            "negative": number(v.lang, item.negative),
            "s": None if share is None else round(share * 100, 1),
            "share": percent(share),
            "p": round(standing(item).far, 1),
            "change": text,
            "note": note,
            "tone": tone,
            "hint": hint,
            "alert": None if alert is None else v.t(f"severity.{alert.severity}"),
            "severity": None if alert is None else alert.severity,
            "trial": s.trial,
            "link": link,
        }
        row.update(_heat(item, found.steps) if heat else _trend(item, found.steps))
        rows.append(row)
    return rows


def _trend(item: Totals, steps: int) -> dict[str, Any]:
    points = [item.points.get(i) for i in range(steps)]
    seen = [int(p[0]) if p else 0 for p in points]
    usual = [round(p[2], 1) if p else 0 for p in points] if item.expected_negative is not None else None
    return {"k": seen, "x": usual}


def _heat(item: Totals, steps: int) -> dict[str, Any]:
    shares: list[float | None] = []
    texts: list[int] = []
    odd: list[int] = []
    for i in range(steps):
        negative, _, expected, scored = item.points.get(i) or (0, 0, 0, 0)
        texts.append(int(scored))
        shares.append(round(negative / scored * 100) if scored >= FEW else None)
        if expected and stand(int(negative), expected).way == "above":
            odd.append(i)
    return {"h": shares, "t": texts, "o": odd}


def board_words(v: View, found: Figures) -> dict[str, Any]:
    """What the grid says, and when its cells begin."""
    ctx = context()
    starts = [found.start + i * found.step for i in range(found.steps)]
    return {
        "times": [clock(at, ctx.zone, found.span.now) for at in starts],
        "starts": starts,
        "trial": v.t("overview.trial"),
        "trialHint": v.t("overview.trial_hint"),
        "watch": v.t("star.watch", name="{name}"),
        "unwatch": v.t("star.unwatch", name="{name}"),
        "trend": v.t("overview.trend_of", name="{name}"),
        "heat": v.t("overview.heat_of", name="{name}", share="{share}", time="{time}"),
        "cell": v.t("overview.heat_cell", time="{time}", share="{share}", n="{n}"),
        "few": v.t("overview.heat_few", n=FEW),
        "each": v.t("overview.heat_key", time=duration(v.lang, found.step)),
    }


def version(*parts: Any) -> str:
    """Changes when what is shown does."""
    return f"{crc32(orjson.dumps(parts)):08x}"
