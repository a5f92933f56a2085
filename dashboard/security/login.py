"""Logging in and out: the form, the provider's way, limits on attempts, and what the audit log keeps of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, session
from flask_login import current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, generate_csrf
from prometheus_client import Counter

from barometer.settings import Settings
from barometer.store.accounts import sessions, users
from barometer.store.accounts.audit_log import note
from barometer.store.engine import Store
from barometer.vocabulary import LANGUAGES
from dashboard.context import context, view
from dashboard.i18n.texts import THEMES, t
from dashboard.security.limits import Limit
from dashboard.security.oidc import Oidc, Refused
from dashboard.security.principals import SessionUser

LOGINS = Counter("barometer_dashboard_logins_total", "Attempts to log in, by way and outcome", ["way", "outcome"])
NOBODY = "(unknown)"
"""In the audit log for names that no user has: people type passwords into the wrong field."""
_KEY = "barometer_login"

blueprint = Blueprint("login", __name__)


class Attempts:
    """How often somebody may try a password."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.of_name = Limit(settings.login_limit, "login", store)
        self.of_address = Limit(settings.login_limit_address, "login address", store)

    def wait(self, name: str) -> int:
        """Seconds to wait before this name may be tried from this address; 0: go on."""
        address = request.remote_addr or ""
        return self.of_address.wait(address) or self.of_name.wait(f"{address}|{name.casefold()[:64]}")


def attempts() -> Attempts:
    """Those of the application that serves this request."""
    found: Attempts = current_app.extensions[_KEY]
    return found


def register(server: Flask, settings: Settings, store: Store) -> None:
    """Put the log-in's pages into a server."""
    server.extensions[_KEY] = Attempts(settings, store)
    server.extensions["barometer_oidc"] = Oidc(server, settings) if settings.oidc_issuer else None
    server.register_blueprint(blueprint)
    server.register_error_handler(CSRFError, _stale_form)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """The form, and what comes of it."""
    ctx = context()
    if request.method != "POST":
        if current_user.is_authenticated:
            return redirect(back(request.args.get("next")))
        return _form("login.expired" if request.args.get("expired") else None)
    if not ctx.settings.password_login:
        return _form("login.no_passwords", 403)
    current_app.extensions["barometer_csrf"].protect()
    name = request.form.get("name", "").strip()
    wait = attempts().wait(name)
    if wait:
        LOGINS.labels("password", "throttled").inc()
        answer = _form("login.throttled", 429)
        answer.headers["Retry-After"] = str(wait)
        return answer
    user = users.verify(ctx.store, name, request.form.get("password", ""))
    if user is None:
        _failed(name)
        return _form("login.wrong", 401)
    _enter(user, "password")
    return redirect(back(request.form.get("next")))


@blueprint.post("/logout")
def logout() -> Any:
    """End the session, here and in the store."""
    if current_user.is_authenticated:
        store = context().store
        with store.write() as c:
            sessions.end_session(c, current_user.get_id())
            note(c, store.now_ms(c), current_user.name, "logout", current_user.name, {"address": request.remote_addr})
        logout_user()
    session.clear()
    return redirect("/login")


@blueprint.get("/login/oidc")
def oidc() -> Any:
    """Off to the provider."""
    provider = _provider()
    if provider is None:
        return redirect("/login")
    if attempts().of_address.wait(request.remote_addr or ""):
        return _form("login.throttled", 429)
    target = back(request.args.get("next"))
    try:
        answer = provider.leave()
    except Refused as e:
        return _form(f"login.{e.key}", 502)
    session["next"] = target
    return answer


@blueprint.get("/login/oidc/callback")
def oidc_back() -> Any:
    """Back from the provider."""
    provider, ctx = _provider(), context()
    if provider is None:
        return redirect("/login")
    target = session.pop("next", None)
    try:
        user = provider.arrive(ctx.store)
    except Refused as e:
        LOGINS.labels("oidc", "refused").inc()
        with ctx.store.write() as c:
            data = {"address": request.remote_addr, "way": "oidc", "why": str(e)}
            note(c, ctx.store.now_ms(c), e.name or NOBODY, "login.failed", e.name or NOBODY, data)
        return _form(f"login.{e.key}", 403)
    _enter(user, "oidc")
    return redirect(back(target))


def _provider() -> Oidc | None:
    found: Oidc | None = current_app.extensions["barometer_oidc"]
    return found


def _enter(user: users.User, way: str) -> None:
    """Begin a session under a new name, whatever the browser brought along."""
    ctx = context()
    chosen = {
        name: request.cookies[f"barometer_{name}"]
        for name in ("lang", "theme")
        if f"barometer_{name}" in request.cookies
    }
    if chosen and not user.preferences:
        users.set_preferences(ctx.store, user.id, chosen)
    address = request.remote_addr or ""
    with ctx.store.write() as c:
        now = ctx.store.now_ms(c)
        if current_user.is_authenticated:
            sessions.end_session(c, current_user.get_id())
        secret = sessions.begin_session(c, user.id, now, int(ctx.settings.session_hours * 3_600_000), address)
        note(c, now, user.name, "login", user.name, {"address": address, "way": way})
    session.clear()
    session.permanent = True
    login_user(SessionUser(user, secret))
    LOGINS.labels(way, "ok").inc()


def _failed(name: str) -> None:
    LOGINS.labels("password", "wrong").inc()
    store = context().store
    with store.write() as c:
        known = users.known_name(c, name) or NOBODY
        data = {"address": request.remote_addr, "way": "password"}
        note(c, store.now_ms(c), known, "login.failed", known, data)


def back(target: str | None) -> str:
    """Only to a path of our own."""
    if target and target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target:
        parts = urlsplit(target)
        if target.isprintable() and not parts.scheme and not parts.netloc:
            return target
    return "/"


def _form(problem: str | None, code: int = 200) -> Response:
    how = view({name: request.args.get(name) for name in ("lang", "theme")})
    settings = context().settings
    body = render_template(
        "login.html",
        t=lambda key: t(how.lang, key),
        lang=how.lang,
        theme=how.theme,
        other_lang=LANGUAGES[1 - LANGUAGES.index(how.lang)],
        other_theme=THEMES[1 - THEMES.index(how.theme)],
        problem=problem,
        name=request.form.get("name", "")[:64],
        next=back(request.values.get("next")),
        csrf_token=generate_csrf(),
        passwords=settings.password_login,
        oidc=settings.oidc_label if settings.oidc_issuer else None,
    )
    response = Response(body, code)
    root = current_app.config["APPLICATION_ROOT"]
    for name, value in (("lang", how.lang), ("theme", how.theme)):
        response.set_cookie(
            f"barometer_{name}",
            value,
            max_age=31_536_000,
            samesite="Lax",
            path=root,
            httponly=True,
            secure=settings.secure_cookies,
        )
    return response


def _stale_form(_error: CSRFError) -> Any:
    return _form("login.csrf", 400)
