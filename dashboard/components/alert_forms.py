"""The dialogs in which people act on alerts, for one alert and for several: what is asked, and what becomes of it.

One callback a page takes all acts, so that a page says once what was done. Buttons are locked while an act runs, and
a second request of the same would change nothing (``dashboard/services/acts.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, html, no_update

from barometer.errors import BarometerError
from barometer.vocabulary import FALSE_ALARM_REASONS, LEVELS, RESOLUTIONS, SEVERITIES, STEPS
from dashboard.components.parts import aria
from dashboard.context import DAY, HOUR, MINUTE, View, context, view
from dashboard.format import duration, local, stamp
from dashboard.services.acts import SCOPES, Malformed, Refused, act, act_on_all

FIELDS: Mapping[str, Mapping[str, str]] = {
    "assign": {"to": "value"},
    "level": {"level": "value", "comment": "value"},
    "step": {"step": "value", "note": "value", "waive": "checked"},
    "snooze": {"until": "value", "comment": "value"},
    "silence": {
        "scope": "value",
        "value": "value",
        "until": "value",
        "severity": "value",
        "hours": "value",
        "comment": "value",
    },
    "resolve": {"resolution": "value", "comment": "value", "incident": "checked"},
    "false-alarm": {"reason": "value", "comment": "value", "incident": "checked"},
}
"""Of each dialog, its fields and which property of the component holds them."""
EMPTY: Mapping[str, Any] = {"comment": "", "note": "", "value": "", "waive": False, "step": "", "reason": ""}
"""Fields that are empty again once an act is done."""
SNOOZES = (30 * MINUTE, 2 * HOUR, 4 * HOUR, DAY, 3 * DAY)
SILENCES = (HOUR, 4 * HOUR, DAY, 7 * DAY, 30 * DAY)
TOMORROW = "tomorrow"


def opener(v: View, page: str, what: str, class_name: str = "") -> Any:
    """The button that opens a dialog."""
    return html.Button(
        v.t(f"act.{what}") + "…",
        id=f"{page}-{what}-open",
        className=f"button {class_name}".strip(),
        **aria(haspopup="dialog"),
    )


def dialog(
    v: View,
    page: str,
    what: str,
    *,
    people: Sequence[str] = (),
    sources: Iterable[str] = (),
    others: int = 0,
    level: str | None = None,
    hint: str | None = None,
) -> Any:
    """One dialog.

    Args:
        page: prefix of ids.
        people: whom an alert may be given to.
        sources: names to offer where a silence is by source.
        others: open alerts of the same incident.
        level: the alert's, which is the one chosen at first.
    """
    parts = _parts(v, page, what, people, list(sources), others, level)
    hints = [v.t(f"hint.{what}")] + ([hint] if hint else [])
    tone = "button primary danger" if what == "false-alarm" else "button primary"
    return dmc.Modal(
        [
            html.P(" ".join(hints), className="note"),
            *parts,
            html.Div(id=f"{page}-{what}-error", className="bad", role="alert"),
            html.Div(
                [
                    html.Button(v.t("act.cancel"), id=f"{page}-{what}-cancel", className="button"),
                    html.Button(v.t(f"act.{what}"), id=f"{page}-{what}-do", className=tone),
                ],
                className="dialog-foot",
            ),
        ],
        id=f"{page}-{what}-modal",
        title=v.t(f"act.{what}"),
        opened=False,
        centered=True,
        size="md",
        classNames={"body": "dialog", "content": "dialog-box", "header": "dialog-head"},
        closeButtonProps=aria(label=v.t("act.close")),
    )


def _parts(
    v: View, page: str, what: str, people: Sequence[str], sources: list[str], others: int, level: str | None
) -> list[Any]:
    def named(field: str) -> str:
        return f"{page}-{what}-{field}"

    comment = dmc.Textarea(
        id=named("comment"),
        label=v.t("alert.comment"),
        placeholder=v.t("alert.comment_hint"),
        autosize=True,
        minRows=2,
        value="",
    )
    whole = html.Div(
        dmc.Checkbox(id=named("incident"), label=v.t("field.incident", n=others), checked=False), hidden=not others
    )
    if what == "assign":
        nobody = {"value": "", "label": v.t("field.nobody")}
        return [
            dmc.Select(
                id=named("to"),
                label=v.t("field.person"),
                value="",
                allowDeselect=False,
                searchable=True,
                data=[nobody, *({"value": p, "label": p} for p in people)],
            )
        ]
    if what == "level":
        return [
            _radio(
                named("level"), v.t("alerts.level"), level, [(x, v.t(f"level.{x}"), deadlines(v, x)) for x in LEVELS]
            ),
            comment,
        ]
    if what == "step":
        return [
            _radio(
                named("step"), v.t("field.step"), None, [(s, v.t(f"step.{s}"), v.t(f"step.{s}_hint")) for s in STEPS]
            ),
            dmc.Textarea(
                id=named("note"),
                label=v.t("field.note"),
                placeholder=v.t("field.note_hint"),
                autosize=True,
                minRows=2,
                value="",
            ),
            dmc.Checkbox(id=named("waive"), label=v.t("field.waive"), checked=False),
        ]
    if what == "snooze":
        offered = [*spans(v, SNOOZES[:3]), {"value": TOMORROW, "label": v.t("field.tomorrow")}, *spans(v, SNOOZES[3:])]
        return [_select(named("until"), v.t("field.for"), offered, "2h"), comment]
    if what == "silence":
        return _silence(v, page, sources)
    if what == "resolve":
        outcomes = [(r, v.t(f"resolution.{r}"), None) for r in RESOLUTIONS if r != "false_alarm"]
        return [_radio(named("resolution"), v.t("alert.resolution"), "real", outcomes), comment, whole]
    reasons = [(r, v.t(f"false.{r}"), None) for r in FALSE_ALARM_REASONS]
    return [_radio(named("reason"), v.t("field.reason"), None, reasons), comment, whole]


def _silence(v: View, page: str, sources: list[str]) -> list[Any]:
    def named(field: str) -> str:
        return f"{page}-silence-{field}"

    upto = [{"value": "", "label": v.t("field.severity_any")}]
    upto += [{"value": s, "label": v.t("field.severity_up_to", name=v.t(f"severity.{s}"))} for s in SEVERITIES[:2]]
    return [
        _select(
            named("scope"),
            v.t("field.scope"),
            [{"value": s, "label": v.t(f"field.scope_{s}")} for s in SCOPES],
            "series",
        ),
        html.Div(
            dmc.Autocomplete(id=named("value"), label=v.t("field.value"), data=sources, value=""),
            id=named("value-box"),
            hidden=True,
        ),
        _select(named("until"), v.t("field.for"), spans(v, SILENCES), "4h"),
        dmc.Textarea(
            id=named("comment"),
            label=v.t("field.why"),
            placeholder=v.t("field.why_hint"),
            autosize=True,
            minRows=2,
            value="",
        ),
        html.Details(
            [
                html.Summary(v.t("field.more")),
                html.Div(
                    [
                        _select(named("severity"), v.t("field.severity"), upto, ""),
                        dmc.TextInput(
                            id=named("hours"), label=v.t("field.hours"), placeholder="workday 22:00-08:00", value=""
                        ),
                    ],
                    className="dialog",
                ),
            ]
        ),
    ]


def _radio(id_: str, label: str, value: str | None, options: Iterable[tuple[str, str, str | None]]) -> Any:
    given = {"value": value} if value else {}
    return dmc.RadioGroup(
        html.Div(
            [
                dmc.Radio(label=text, value=code, **({"description": more} if more else {}))
                for code, text, more in options
            ],
            className="options",
        ),
        id=id_,
        label=label,
        **given,
    )


def _select(id_: str, label: str, data: list[Any], value: str) -> Any:
    return dmc.Select(id=id_, label=label, data=data, value=value, allowDeselect=False)


def spans(v: View, offered: Iterable[int]) -> list[dict[str, str]]:
    """Stretches of time to choose from; a value is what people would type: ``4h``."""
    found = []
    for ms in offered:
        code = f"{ms // DAY}d" if ms % DAY == 0 else f"{ms // HOUR}h" if ms % HOUR == 0 else f"{ms // MINUTE}m"
        found.append({"value": code, "label": duration(v.lang, ms) if ms != DAY else v.t("unit.hours", n=24)})
    return found


def deadlines(v: View, level: str) -> str:
    """What a level asks for: 研判 1 小时 · 处置 4 小时 ..."""
    asked = context().settings.level_steps.get(level, {})
    return " · ".join(f"{v.t(f'step.{s}')} {duration(v.lang, asked[s] * MINUTE)}" for s in STEPS if s in asked)


# --- what becomes of it ----------------------------------------------------------------------------------------------


def register_acts(
    app: Dash, page: str, plain: Mapping[str, Mapping[str, Any]], dialogs: Sequence[str], picked: State
) -> None:
    """The callback of a page's acts.

    Args:
        plain: buttons that need no dialog, by the end of their ids: the act, and fixed fields; a field that is a
            ``State`` is read.
        picked: an alert's number, or a list of them.
    """
    buttons = [*plain, *(f"{d}-do" for d in dialogs)]
    spent = {d: [k for k in FIELDS[d] if k in EMPTY] for d in dialogs}
    read = {name: {k: x for k, x in fields.items() if isinstance(x, State)} for name, fields in plain.items()}
    for d in dialogs:
        read[f"{d}-do"] = {k: State(f"{page}-{d}-{k}", holds) for k, holds in FIELDS[d].items()}

    @app.callback(
        output={
            "done": Output(f"{page}-done", "children"),
            "errors": {d: Output(f"{page}-{d}-error", "children") for d in dialogs},
            "opened": {d: Output(f"{page}-{d}-modal", "opened", allow_duplicate=True) for d in dialogs},
            "fields": {d: [Output(f"{page}-{d}-{k}", FIELDS[d][k]) for k in spent[d]] for d in dialogs},
        },
        inputs={
            "clicks": {b: Input(f"{page}-{b}", "n_clicks") for b in buttons},
            "fields": read,
            "picked": picked,
            "ui": State("ui", "data"),
        },
        running=[(Output(f"{page}-{b}", "disabled"), True, False) for b in buttons],
        prevent_initial_call=True,
    )
    def do(clicks: dict[str, int | None], fields: dict[str, Any], picked: Any, ui: dict[str, Any]) -> Any:
        answer: dict[str, Any] = {
            "done": no_update,
            "errors": dict.fromkeys(dialogs, no_update),
            "opened": dict.fromkeys(dialogs, no_update),
            "fields": {d: [no_update] * len(spent[d]) for d in dialogs},
        }
        button = str(ctx.triggered_id).removeprefix(f"{page}-")
        if not clicks.get(button):
            return answer
        v, in_dialog = view(ui), button.removesuffix("-do")
        if button in plain:
            fixed = {k: x for k, x in plain[button].items() if not isinstance(x, State)}
            what, given = fixed.pop("act"), {**fixed, **fields[button]}
        else:
            what, given = in_dialog, fields[button]
        try:
            answer["done"] = _carry_out(v, what, picked, _cleaned(given))
        except BarometerError as e:
            said = words(v, e)
            if button in plain:
                answer["done"] = html.Span(said, className="bad")
            else:
                answer["errors"][in_dialog] = said
            return answer
        if button not in plain:
            answer["errors"][in_dialog], answer["opened"][in_dialog] = "", False
            answer["fields"][in_dialog] = [EMPTY[k] for k in spent[in_dialog]]
        return answer

    for d in dialogs:
        _opens(app, page, d)
    if "silence" in dialogs:
        app.clientside_callback(
            ClientsideFunction("barometer_alerts", "hide_value"),
            Output(f"{page}-silence-value-box", "hidden"),
            Input(f"{page}-silence-scope", "value"),
        )


def _opens(app: Dash, page: str, what: str) -> None:
    app.clientside_callback(
        ClientsideFunction("barometer_alerts", "open"),
        Output(f"{page}-{what}-modal", "opened"),
        Output(f"{page}-{what}-error", "children", allow_duplicate=True),
        Input(f"{page}-{what}-open", "n_clicks"),
        Input(f"{page}-{what}-cancel", "n_clicks"),
        prevent_initial_call=True,
    )


def _cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {k: (None if x == "" else x) for k, x in fields.items()}
    if found.get("level", "") is None:
        del found["level"]  # nothing chosen; a level is not taken away by that
    if found.get("until") == TOMORROW:
        store, zone = context().store, context().zone
        with store.read() as c:
            day = local(store.now_ms(c) + DAY, zone)
        found["until"] = day.strftime("%Y-%m-%d 09:00")
    return found


def _carry_out(v: View, what: str, picked: Any, fields: dict[str, Any]) -> Any:
    """Raises:
    BarometerError: nothing was done.
    """
    did = v.t(f"did.{what}")
    if not isinstance(picked, list):
        note = act(what, int(picked), fields)
        store = context().store
        with store.read() as c:
            at = stamp(store.now_ms(c), context().zone)
        if note is not None:
            return html.Span(v.t(f"alert_note.{note}"), className="warn")
        return html.Span(f"✓ {did} · {at}", className="good")
    if not picked:
        raise Malformed("nothing_picked")
    found = act_on_all(what, [int(i) for i in picked[:200]], fields)
    refused = [words(v, e) for e in found.values() if e is not None]
    done = len(found) - len(refused)
    said: list[Any] = []
    if done:
        said.append(html.Span("✓ " + v.t("alerts.done_all", what=did, n=done), className="good"))
    if refused:
        why = ("；" if v.lang == "zh" else "; ").join(refused[:3]) + ("…" if len(refused) > 3 else "")
        said.append(html.Span(v.t("alerts.left", n=len(refused), why=why), className="bad"))
    return said


def words(v: View, error: BarometerError) -> str:
    """An error for the reader."""
    return error.text(v.lang) if isinstance(error, Refused) else str(error)
