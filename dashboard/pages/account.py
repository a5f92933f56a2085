"""One's own account: the password, and tokens for programs."""

from __future__ import annotations

from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ALL, Input, Output, State, ctx, html, no_update
from flask_login import current_user

from barometer.errors import StoreError
from barometer.store.accounts import tokens, users
from dashboard.components.parts import aria, data, section, table
from dashboard.context import View, context, view
from dashboard.format import stamp
from dashboard.navigation import Screen, add
from dashboard.security.login import attempts

SCREEN = add(Screen("account", "/account"))

DAYS = 90


def layout(ui: dict[str, Any] | None = None, **_query: str) -> Any:
    v = view(ui)
    return html.Div(
        [
            html.Div(
                [
                    html.H1(v.t("account.title")),
                    html.Span(f"{current_user.name} · {v.t(f'role.{current_user.role}')}", className="note"),
                ],
                className="page-head",
            ),
            section(v.t("account.tokens"), html.Div(_tokens(v))),
            section(v.t("account.password"), html.Div(_password(v))),
        ]
    )


def register(app: dash.Dash) -> None:

    @app.callback(
        Output("account-password-said", "children"),
        Output("account-old", "value"),
        Output("account-new", "value"),
        Output("account-again", "value"),
        Input("account-change", "n_clicks"),
        State("account-old", "value"),
        State("account-new", "value"),
        State("account-again", "value"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def change(clicks: int | None, old: object, new: object, again: object, ui: dict[str, Any]) -> Any:
        if not clicks:
            return no_update
        v = view(ui)
        wrong = _change(v, *(x if isinstance(x, str) else "" for x in (old, new, again)))
        return (_said(wrong), *([no_update] * 3)) if wrong else (_said(v.t("account.changed"), True), "", "", "")

    @app.callback(
        Output("account-token-list", "children"),
        Output("account-token-said", "children"),
        Output("account-token-name", "value"),
        Input("account-token-make", "n_clicks"),
        Input({"type": "token-revoke", "id": ALL}, "n_clicks"),
        State("account-token-name", "value"),
        State("account-token-scope", "value"),
        State("account-token-days", "value"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def manage(
        make: int | None, revoke: list[int | None], name: object, scope: object, days: object, ui: dict[str, Any]
    ) -> Any:
        v, asked = view(ui), ctx.triggered_id
        if isinstance(asked, dict) and any(revoke):
            _revoke(asked.get("id"))
            return _list(v), "", no_update
        if asked != "account-token-make" or not make:
            return no_update
        said = _make(v, name if isinstance(name, str) else "", scope, days)
        if isinstance(said, str):
            return no_update, _said(said), no_update
        return _list(v), said, ""


def _password(v: View) -> list[Any]:
    if current_user.user.oidc_subject and not _has_password():
        return [html.P(v.t("account.password_none"), className="note")]
    field: dict[str, Any] = {"size": "sm", "w": 320}
    return [
        html.P(v.t("account.password_hint", least=users.MIN_PASSWORD), className="note"),
        html.Div(
            [
                dmc.PasswordInput(id="account-old", label=v.t("account.old"), autoComplete="current-password", **field),
                dmc.PasswordInput(id="account-new", label=v.t("account.new"), autoComplete="new-password", **field),
                dmc.PasswordInput(id="account-again", label=v.t("account.again"), autoComplete="new-password", **field),
                html.Div(html.Button(v.t("account.change"), id="account-change", className="button primary")),
                html.Div(id="account-password-said", role="status", **aria(live="polite")),
            ],
            className="form",
        ),
    ]


def _tokens(v: View) -> list[Any]:
    scopes = [s for s in tokens.SCOPES if s == "read" or current_user.may_act]
    return [
        html.P([v.t("account.tokens_hint"), " ", html.A(v.t("account.docs"), href="/api/v1/docs")], className="note"),
        html.Div(_list(v), id="account-token-list"),
        html.Div(
            [
                dmc.TextInput(id="account-token-name", label=v.t("account.name"), size="sm", w=240),
                dmc.Select(
                    id="account-token-scope",
                    label=v.t("account.scope"),
                    value="read",
                    allowDeselect=False,
                    data=[{"value": s, "label": v.t(f"account.scope_{s}")} for s in scopes],
                    size="sm",
                    w=220,
                ),
                dmc.NumberInput(
                    id="account-token-days",
                    label=v.t("account.days"),
                    value=DAYS,
                    min=1,
                    max=tokens.MAX_DAYS,
                    size="sm",
                    w=110,
                ),
                html.Button(v.t("account.make"), id="account-token-make", className="button primary"),
            ],
            className="account-row",
        ),
        html.Div(id="account-token-said", role="status", **aria(live="polite")),
    ]


def _list(v: View) -> Any:
    app = context()
    with app.store.read() as c:
        now = app.store.now_ms(c)
        mine = tokens.list_tokens(c, current_user.name)
    if not mine:
        return html.P(v.t("account.tokens_none"), className="note")
    rows = []
    for token in mine:
        state = token.state(now)
        button = html.Button(
            v.t("account.revoke"),
            id={"type": "token-revoke", "id": token.id},
            className="link-button",
            type="button",
            **aria(label=v.t("account.revoke_one", name=token.name)),
        )
        rows.append(
            [
                token.name,
                v.t(f"account.scope_{token.scope}"),
                v.t(f"account.{state}"),
                stamp(token.created_at, app.zone),
                stamp(token.expires_at, app.zone),
                stamp(token.last_used_at, app.zone) if token.last_used_at else v.t("account.never"),
                button if state == "valid" else "",
            ]
        )
    heads = [(v.t(f"account.{h}"), "") for h in ("name", "scope", "state", "created", "expires", "used")]
    return table([*heads, ("", "")], rows)


def _change(v: View, old: str, new: str, again: str) -> str | None:
    """What is wrong; None: the password is changed."""
    if not users.MIN_PASSWORD <= len(new) <= users.MAX_PASSWORD:
        return v.t("account.length", least=users.MIN_PASSWORD, most=users.MAX_PASSWORD)
    if new != again:
        return v.t("account.differ")
    if attempts().wait(current_user.name):  # a screen left open is no place to guess from
        return v.t("account.throttled")
    store = context().store
    if users.verify(store, current_user.name, old) is None:
        return v.t("account.wrong")
    users.set_password(store, current_user.name, new, actor=current_user.name, keep=current_user.session.digest)
    return None


def _make(v: View, name: str, scope: object, days: object) -> Any:
    """The new token, to be shown once; or what is wrong, as text."""
    if not 0 < len(name.strip()) <= 64:
        return v.t("account.no_name")
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= tokens.MAX_DAYS:
        return v.t("account.bad_days", most=tokens.MAX_DAYS)
    store, me = context().store, current_user.name
    try:
        with store.write() as c:
            _, secret = tokens.add_token(c, me, name, str(scope), days, store.now_ms(c), actor=me)
    except StoreError as e:
        return v.t("account.refused", why=str(e))
    return html.Div(
        [
            html.P(v.t("account.made")),
            html.Code(secret, id="account-token", className="token"),
            html.Button(
                v.t("account.copy"),
                className="button",
                type="button",
                **data(copy="account-token", copied=v.t("account.copied")),
            ),
        ],
        className="token-box",
    )


def _revoke(token_id: object) -> None:
    store, me = context().store, current_user.name
    if isinstance(token_id, bool) or not isinstance(token_id, int):
        return
    try:
        with store.write() as c:
            tokens.revoke_token(c, token_id, store.now_ms(c), actor=me, user=me)
    except StoreError:
        return  # not one of theirs


def _has_password() -> bool:
    with context().store.read() as c:
        return users.has_password(c, current_user.user.id)


def _said(text: str, good: bool = False) -> Any:
    return html.P(text, className="note" if good else "bad")
