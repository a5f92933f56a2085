"""Who may come in: log-in, sessions, the check before every request, and what the browser is told to forbid."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Response, current_app, jsonify, redirect, render_template, request, session
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf

from barometer.settings import Settings
from barometer.store import users
from barometer.store.engine import Store
from dashboard.context import context, view
from dashboard.i18n import LANGS, THEMES, t

OPEN_ENDPOINTS = frozenset({"auth.login", "auth.logout", "operations.health", "operations.metrics"})
OPEN_ASSETS = ("login.css", "favicon.svg")
"""What the log-in page itself needs; every other path asks for a session."""
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")

blueprint = Blueprint("auth", __name__)


class SessionUser(UserMixin):
    """A user of the store as Flask-Login wants one. The session names the user's session key too: a changed password
    or role gives a new key and so ends all sessions."""

    def __init__(self, user: users.User) -> None:
        self.user = user
        self.name, self.role, self.preferences = user.name, user.role, user.preferences
        self.may_act = user.may_act

    def get_id(self) -> str:
        return f"{self.user.id}:{self.user.session_key}"

    @property
    def is_active(self) -> bool:
        return self.user.active


def _load(session_id: str) -> SessionUser | None:
    number, _, key = session_id.partition(":")
    if not number.isdigit():
        return None
    with context().store.read() as c:
        user = users.get_user(c, int(number))
    return SessionUser(user) if user and user.active and user.session_key == key else None


def protect(server: Flask, settings: Settings, store: Store) -> None:
    """Put the log-in in front of everything and harden the answers."""
    key = settings.secret_key.get_secret_value() if settings.secret_key else users.secret_key(store)
    server.config.update(
        SECRET_KEY=key,
        SESSION_COOKIE_NAME="barometer_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours),
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_CHECK_DEFAULT=False,  # the log-in form has a token; everything else is checked by origin
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        MAX_CONTENT_LENGTH=2 * 1024 * 1024,
    )
    manager = LoginManager(server)
    manager.user_loader(_load)
    manager.session_protection = None  # bound to the address otherwise, which changes behind mobile networks
    csrf = CSRFProtect(server)
    # Counted in each server process by itself: with N processes a guesser gets at most N times the limit.
    limiter = Limiter(_who_tries, app=server, storage_uri="memory://", headers_enabled=False)
    server.register_blueprint(blueprint)
    limited: Any = limiter.limit(settings.login_limit, methods=["POST"])(server.view_functions["auth.login"])
    server.view_functions["auth.login"] = limited
    server.extensions["barometer_csrf"] = csrf
    server.before_request(_gate)
    server.after_request(_harden)
    server.register_error_handler(RateLimitExceeded, _throttled)
    server.register_error_handler(CSRFError, _stale_form)


def _who_tries() -> str:
    return f"{request.remote_addr}|{request.form.get('name', '').strip().casefold()[:64]}"


def _gate() -> Any:
    """Before every request: same origin for what changes things, a living session for all but a few paths."""
    if request.method in UNSAFE and not _same_origin():
        return jsonify(error="cross-site request refused"), 403
    if request.endpoint in OPEN_ENDPOINTS or request.path in _open_assets():
        return None
    if current_user.is_authenticated and time.time() < session.get("until", 0):
        return None
    if current_user.is_authenticated:
        logout_user()
    if request.path.startswith(("/_", "/api/")) or request.method != "GET":
        return jsonify(error="log in first"), 401
    if request.path.startswith("/assets/"):
        return Response("log in first\n", 401, mimetype="text/plain")
    target = request.full_path.rstrip("?") if request.path != "/" or request.query_string else ""
    return redirect(f"/login?next={quote(target, safe='/')}" if target else "/login")


def _open_assets() -> tuple[str, ...]:
    return tuple(f"/assets/{name}" for name in OPEN_ASSETS)


def _same_origin() -> bool:
    """Browsers say where a request comes from; a program that says nothing has no browser's cookies to abuse."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    return urlsplit(origin).netloc in (request.host, urlsplit(context().settings.public_url).netloc)


def _back(target: str | None) -> str:
    """Only to a path of our own."""
    if target and target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target:
        parts = urlsplit(target)
        if not parts.scheme and not parts.netloc:
            return target
    return "/"


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """The form, and what comes of it."""
    if request.method != "POST":
        if current_user.is_authenticated and time.time() < session.get("until", 0):
            return redirect(_back(request.args.get("next")))
        return _form("login.expired" if request.args.get("expired") else None)
    current_app.extensions["barometer_csrf"].protect()
    c = context()
    user = users.verify(c.store, request.form.get("name", "").strip(), request.form.get("password", ""))
    if user is None:
        return _form("login.wrong", 401)
    chosen = {name: request.cookies[f"barometer_{name}"] for name in ("lang", "theme")
              if f"barometer_{name}" in request.cookies}  # fmt: skip
    if chosen and not user.preferences:
        users.set_preferences(c.store, user.id, chosen)
    session.clear()
    session.permanent = True
    session["until"] = time.time() + c.settings.session_hours * 3600
    login_user(SessionUser(user))
    return redirect(_back(request.form.get("next")))


@blueprint.post("/logout")
def logout() -> Any:
    logout_user()
    session.clear()
    return redirect("/login")


def _form(problem: str | None, code: int = 200) -> Any:
    how = view({name: request.args.get(name) for name in ("lang", "theme")})
    other_lang = LANGS[1 - LANGS.index(how.lang)]
    other_theme = THEMES[1 - THEMES.index(how.theme)]
    target = _back(request.values.get("next"))
    body = render_template(
        "login.html",
        t=lambda key: t(how.lang, key),
        lang=how.lang,
        theme=how.theme,
        other_lang=other_lang,
        other_theme=other_theme,
        problem=problem,
        name=request.form.get("name", "")[:64],
        next=target,
        csrf_token=generate_csrf(),
    )
    response = Response(body, code)
    for name, value in (("lang", how.lang), ("theme", how.theme)):
        response.set_cookie(f"barometer_{name}", value, max_age=31_536_000, samesite="Lax",
                            httponly=True, secure=context().settings.secure_cookies)  # fmt: skip
    return response


def _throttled(_error: RateLimitExceeded) -> Any:
    return _form("login.throttled", 429)


def _stale_form(_error: CSRFError) -> Any:
    return _form("login.csrf", 400)


def _harden(response: Response) -> Response:
    scripts = " ".join(current_app.extensions["barometer_inline_scripts"]())
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; "
        f"script-src 'self' {scripts}; "
        # Mantine and plotly set styles from scripts; a style cannot run anything.
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if context().settings.secure_cookies:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if not request.path.startswith(("/assets/", "/_dash-component-suites/")):
        response.headers["Cache-Control"] = "no-store"
    return response
