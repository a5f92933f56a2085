"""What the Documents page is asked: the search box, filters as links, what is chosen as tags to take away, export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import dash_mantine_components as dmc
from dash import dcc, html
from flask_login import current_user

from barometer.vocabulary import STATED_KINDS
from dashboard.components.date_fields import day
from dashboard.components.parts import aria, chips, href, language_name
from dashboard.context import View, context
from dashboard.exports.document_export import FORMATS
from dashboard.format import number
from dashboard.i18n.texts import has, series_name
from dashboard.services.document_query import CONFIDENCES, FIELDS, FLAGS, SENTIMENT_FILTERS, SPANS, time_words

PATH = "/documents"
MORE = ("lang", "source", "confidence", "flag", "from", "to")
"""Filters that are folded away."""
BOXES = ("series", "lang", "source", "confidence", "flag", "from", "to")
"""Filters that are fields rather than links."""
_FORM_NAMES = {"csv": "CSV", "xlsx": "Excel", "parquet": "Parquet"}
Query = Mapping[str, str | None]


def search_box(v: View, query: Query) -> Any:
    return html.Div(
        [
            dmc.TextInput(
                id="documents-q",
                value=query.get("q") or "",
                debounce=True,
                size="md",
                className="search",
                placeholder=v.t("documents.search_hint"),
                **aria(label=v.t("documents.search")),
                attributes={"input": {"maxLength": 500, "autoComplete": "off", "spellCheck": "false"}},
            ),
            html.Button(v.t("documents.go"), id="documents-go", className="button primary", type="button"),
        ],
        className="search-row",
        role="search",
    )


def search_help(v: View) -> Any:
    """Four lines that say how to ask, with examples to press."""
    lines = []
    for name in ("words", "phrase", "not", "prefix"):
        example = v.t(f"documents.help_{name}_example")
        lines.append(
            html.Div(
                [
                    dcc.Link(html.Code(example), href=href(PATH, {"q": example})),
                    html.Span(v.t(f"documents.help_{name}")),
                ],
                className="help-line",
            )
        )
    return html.Details(
        [html.Summary(v.t("documents.help")), html.Div([*lines, html.P(v.t("documents.help_more"))])],
        className="search-help",
    )


def filters(v: View, query: Query, series: Iterable[str], sources: Sequence[str], langs: Sequence[str]) -> Any:
    """Links for what is asked often, fields for the rest; the rest is open while something of it is chosen."""
    kept = {k: x for k, x in query.items() if k != "before"}
    n = sum(bool(query.get(f)) for f in MORE)
    main = [
        _select(v, "series", query, [(s, series_name(v.lang, s)) for s in series], v.t("documents.series"), 190),
        chips(
            v.t("sentiment.label"),
            [("", v.t("kind.all")), *((f, v.t(f"sentiment.{f}")) for f in SENTIMENT_FILTERS)],
            query.get("sentiment") or "",
            PATH,
            kept,
            "sentiment",
        ),
        chips(
            v.t("kind.label"),
            [("", v.t("kind.all")), *((k, v.t(f"kind.{k}")) for k in STATED_KINDS)],
            query.get("kind") or "",
            PATH,
            kept,
            "kind",
        ),
        chips(
            v.t("range.label"),
            [("", v.t("documents.any")), *((r, v.t(f"range.{r}")) for r in SPANS)],
            query.get("range") or "",
            PATH,
            {**kept, "from": None, "to": None},
            "range",
        ),
    ]
    more = [
        _select(v, "source", query, [(s, s) for s in sources], v.t("documents.source"), 170),
        _select(v, "lang", query, [(x, language_name(v, x)) for x in langs], v.t("documents.lang"), 140),
        _select(
            v,
            "confidence",
            query,
            [(p, v.t("documents.at_least", p=p)) for p in CONFIDENCES],
            v.t("documents.confidence"),
            140,
        ),
        _select(v, "flag", query, [(f, v.t(f"flag.{f}")) for f in FLAGS], v.t("documents.flag"), 190),
        _day(v, "from", query),
        _day(v, "to", query),
    ]
    summary = html.Summary(v.t("documents.more_on", n=n) if n else v.t("documents.more"))
    return html.Div(
        [
            html.Div(main, className="filters"),
            html.Details([summary, html.Div(more, className="filters")], className="more-filters", open=n > 0),
        ],
        className="document-filters",
    )


def chosen_tags(v: View, query: Query) -> Any:
    """What narrows the list, each with a way to take it away."""
    tags = []
    for name in FIELDS:
        value = query.get(name)
        if not value:
            continue
        said = f"{v.t(f'export.field_{name}')}{'：' if v.lang == 'zh' else ': '}{value_words(v, name, value)}"
        without = href(PATH, {**query, name: None, "before": None})
        cross = html.Span(" ✕", **aria(hidden="true"))
        tags.append(dcc.Link([said, cross], href=without, className="chosen", title=v.t("documents.remove", what=said)))
    if not tags:
        return None
    clear = dcc.Link(v.t("documents.clear"), href=PATH, className="clear-all") if len(tags) > 1 else None
    return html.Nav([*tags, clear], className="chosen-row", **aria(label=v.t("documents.chosen")))


def value_words(v: View, name: str, value: str) -> str:
    """A value of the address line as people call it."""
    if name == "series":
        return series_name(v.lang, value)
    if name == "lang":
        return language_name(v, value)
    if name in ("from", "to"):
        return time_words(value, context().zone)
    key = f"{name}.{value}"
    return v.t(key) if name in ("kind", "sentiment", "range", "flag") and has(key) else value


def export_links(v: View, query: Query) -> Any:
    """What is asked as files; for those who may."""
    if not current_user.may_act:
        return None
    asked = urlencode({name: query[name] for name in FIELDS if query.get(name)})
    links = [
        html.A(
            _FORM_NAMES[form],
            href=f"/export/documents.{form}" + (f"?{asked}" if asked else ""),
            download="",
            className="chip",
        )
        for form in ("csv", "xlsx", "parquet")
    ]
    hint = v.t("export.hint", n=number(v.lang, context().settings.export_rows))
    return html.Nav(
        [html.Span(v.t("export.title"), className="note"), html.Div(links, className="chips")],
        className="export",
        title=hint,
        **aria(label=f"{v.t('export.title')}: {hint}"),
    )


assert set(_FORM_NAMES) == set(FORMATS)


def _select(v: View, name: str, query: Query, options: Sequence[tuple[str, str]], label: str, width: int) -> Any:
    value = query.get(name) or ""
    known = [{"value": "", "label": f"{label}: {v.t('documents.any')}"}]
    known += [{"value": code, "label": text} for code, text in options]
    if value and value not in {o["value"] for o in known}:
        known.append({"value": value, "label": value_words(v, name, value)})
    return dmc.Select(
        id=f"documents-{name}",
        value=value,
        data=known,
        searchable=name in ("series", "source"),
        w=width,
        size="xs",
        allowDeselect=False,
        className="filter",
        **aria(label=label),
    )


def day_of(value: str | None, zone: ZoneInfo) -> str | None:
    """The day of ``from`` or ``to``, for a field that holds days; None where it is none.

    >>> [day_of(x, ZoneInfo("Asia/Shanghai")) for x in ("1795478400000", "2026-11-24", "2026-11-24 08:00", "x", "")]
    ['2026-11-24', '2026-11-24', '2026-11-24', None, None]
    """
    try:
        return date.fromisoformat(time_words(value or "", zone)[:10]).isoformat()
    except (ValueError, OverflowError):
        return None


def _day(v: View, name: str, query: Query) -> Any:
    label = v.t(f"documents.{name}")
    field = day(v, f"documents-{name}", label, day_of(query.get(name), context().zone))
    return html.Div([html.Span(label), field], className="day")
