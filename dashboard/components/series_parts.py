"""Parts of the series page below the chart: the texts behind a point, what changed, the alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from barometer.store.documents.listing import Text, latest_of, texts_behind
from barometer.store.labels.annotations import labels_of_copies
from barometer.store.series.context import FirstCopy, first_copies
from barometer.telling import company_phrase
from dashboard.components.alert_parts import alert_href, sentence
from dashboard.components.parts import empty, href, section, severity_pill, state_pill
from dashboard.components.series_view import Shown
from dashboard.components.texts import reach_words, text_card, text_list
from dashboard.context import View, context
from dashboard.format import clock, duration, number, period
from dashboard.services.changes import Lift, changes

TEXTS = 20
LOOKED_AT = 20_000
"""The most negative texts are looked for among so many: the latest."""


def texts_title(v: View, shown: Shown, point: int | None) -> str:
    """Which texts: of a point, or of all that is on the screen."""
    if point is None and not shown.zoomed:
        return v.t("series.texts_all", range=v.t(f"range.{shown.span.name}"))
    return v.t("series.texts_of", **period(*_reach(shown, point), context().zone, shown.span.now))


def _reach(shown: Shown, point: int | None) -> tuple[int, int]:
    return (point, point + shown.width) if point is not None else (shown.begin, shown.end)


def texts_part(v: View, shown: Shown, point: int | None) -> Any:
    """The most negative texts of a point, or of all that is on the screen."""
    ctx, now = context(), shown.span.now
    begin, end = _reach(shown, point)
    title = texts_title(v, shown, point)
    if shown.row.name == "all":
        link = dcc.Link(v.t("series.search_texts"), href=_search(shown, begin, end))
        return section(title, empty(v.t("series.no_texts_all"), None, "texts"), link)
    with ctx.store.read() as c:
        since = latest_of(c, shown.row.id, begin, end, shown.kinds, LOOKED_AT)
        found = texts_behind(c, shown.row.id, since, end, shown.kinds, TEXTS)
        known = first_copies(c, shown.row.id, found, since)
        people = labels_of_copies(c, [x.fingerprint for x in found])
    if not found:
        return section(title, empty(v.t("series.no_texts"), None, "texts"))
    more = v.t("series.more", n=TEXTS) if len(found) == TEXTS else None
    if since > begin:
        said = v.t("series.latest", n=number(v.lang, LOOKED_AT), time=clock(since, ctx.zone, now))
        more = f"{more} · {said}" if more else said
    cards = [
        text_card(v, x, now, topics=False, extra=_facts(v, x, known[x.key], now), people=people.get(x.fingerprint, ()))
        for x in found
    ]
    total = reach_words(v, _summed([x.engagement for x in found]))
    link = dcc.Link(v.t("series.search_texts"), href=_search(shown, begin, end))
    said = " · ".join(x for x in (total, more) if x)
    return section(title, text_list(cards), html.Span([said, " · " if said else None, link]))


def _search(shown: Shown, begin: int, end: int) -> str:
    """The same texts on the Documents page, where they can be searched and exported."""
    kind = shown.way if shown.way in ("news", "comment") else None
    series = shown.row.name if shown.row.name != "all" else None
    return href("/documents", {"series": series, "kind": kind, "from": str(begin), "to": str(end)})


def _facts(v: View, text: Text, known: FirstCopy, now: int) -> list[Any]:
    """Who was first, where there are copies; and how far it went."""
    said: list[Any] = []
    if text.copies + known.earlier > 1:
        first = clock(known.first_at, context().zone, now)
        said.append(html.Span(v.t("series.first", source=known.first_source or v.t("series.nobody"), time=first)))
        if known.earlier:
            said.append(html.Span(v.t("series.earlier", n=number(v.lang, known.earlier))))
    reach = reach_words(v, text.engagement)
    if reach:
        said.append(html.Span(reach, className="num"))
    return said


def _summed(all_of_them: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for one in all_of_them:
        for name, n in one.items():
            if isinstance(n, int):
                out[name] = out.get(name, 0) + n
    return out


def changes_part(v: View, shown: Shown, point: int | None) -> Any:
    """Terms, sources and companies that negatives of the period have more of than those before it."""
    ctx, now = context(), shown.span.now
    begin, end = _reach(shown, point)
    title = v.t("changes.title")
    if shown.row.name == "all":
        return section(title, empty(v.t("changes.none_all")))
    found = changes(ctx, shown.row.id, begin, end, shown.kinds)
    words = v.t("changes.against", **period(begin, end, ctx.zone, now), base=duration(v.lang, found.baseline_ms))
    if not found.texts:
        return section(title, empty(v.t("changes.no_texts"), words))
    if not found.before:
        return section(title, empty(v.t("changes.no_baseline"), words))
    asked = {"series": shown.row.name, "sentiment": "negative", "from": str(begin), "to": str(end)}
    parts: list[Any] = [html.P(words, className="note")]
    for key, risen in (("terms", found.terms), ("sources", found.sources), ("companies", found.companies)):
        if risen:
            parts += [html.H3(v.t(f"changes.{key}"), className="change-title"), _bars(v, risen, key, found, asked)]
    if len(parts) == 1:
        parts.append(empty(v.t("changes.none")))
    return section(title, html.Div(parts))


def _bars(v: View, risen: Sequence[Lift], key: str, found: Any, asked: Mapping[str, str]) -> Any:
    """One bar each; a name leads to its texts."""
    top = max(r.now for r in risen)
    rows = []
    for r in risen:
        usual = r.before / max(1, found.before) * found.texts
        more = {
            "terms": {"q": f'"{r.name}"'},
            "sources": {"source": r.name},
            "companies": {"q": company_phrase({"company": r.name})},
        }
        name = dcc.Link(r.name, href=href("/documents", {**asked, **more[key]}))
        rows.append(
            html.Div(
                [
                    html.Span(name, className="rise-name"),
                    html.Span(
                        [
                            html.I(style={"width": f"{r.now / top * 100:.0f}%"}),
                            html.B(style={"left": f"{min(1.0, usual / top) * 100:.0f}%"}),
                        ],
                        className="rise-bar",
                    ),
                    html.Span(
                        v.t("changes.from_to", now=number(v.lang, r.now), usual=number(v.lang, round(usual, 1))),
                        className="num muted",
                    ),
                ],
                className="rise",
            )
        )
    return html.Div(rows, className="rises")


def alerts_part(v: View, shown: Shown) -> Any:
    if not shown.alerts:
        return section(v.t("series.alerts"), empty(v.t("series.no_alerts")))
    items = [
        dcc.Link(
            [
                html.Div([severity_pill(v, a.severity), state_pill(v, a.state)], className="marks"),
                html.Div(sentence(v, a)),
                html.Small(clock(a.started_at, context().zone, shown.span.now), className="muted num"),
            ],
            href=alert_href(a),
            className="alert-item",
        )
        for a in shown.alerts[:20]
    ]
    return section(v.t("series.alerts"), html.Div(items, className="alert-items"))
