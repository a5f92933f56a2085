"""Who may come in: the check before every request, by a session's cookie or, for the API, by a token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Flask, Request, Response, current_app, g, jsonify, redirect, request
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.exc import DBAPIError
from werkzeug.middleware.proxy_fix import ProxyFix

from barometer.settings import Settings
from barometer.store.accounts import sessions, tokens, users
from barometer.store.engine import Store
from dashboard.context import context
from dashboard.security import login
from dashboard.security.headers import harden
from dashboard.security.limits import Limit
from dashboard.security.principals import SessionUser, TokenUser

OPEN_ENDPOINTS = frozenset(
    {"login.login", "login.logout", "login.oidc", "login.oidc_back", "operations.health", "operations.metrics"}
)
OPEN_ASSETS = ("login.css", "favicon.svg")
"""What the log-in page itself needs; every other path asks for a session."""
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_UPDATE = "/_dash-update-component"
_BY_ITSELF = "tick."
"""What a screen sends when nobody touched it."""


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
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=n, x_proto=n, x_host=0)  # type: ignore[method-assign]
    manager = LoginManager(server)
    manager.user_loader(_by_cookie)
    manager.request_loader(_by_token)
    manager.session_protection = None  # bound to the address otherwise, which changes behind mobile networks
    server.extensions["barometer_csrf"] = CSRFProtect(server)
    server.extensions["barometer_api_limit"] = Limit(settings.api_limit, "api")
    server.before_request(_gate)
    server.after_request(harden)
    login.register(server, settings, store)


def _secret_of(asked: Request) -> str | None:
    """The token that a request to the API carries."""
    scheme, _, secret = asked.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and asked.path.startswith("/api/") else None


def _by_cookie(secret: str) -> SessionUser | None:
    if _secret_of(request) is not None:
        return None  # a token speaks for itself, and alone
    ctx = context()
    minutes = ctx.settings.session_idle_minutes
    with ctx.store.read() as c:
        g.now = ctx.store.now_ms(c)
        found = sessions.find_session(c, secret, g.now, int(minutes * 60_000) if minutes else None)
        user = users.get_user(c, found.user_id) if found else None
    return SessionUser(user, secret, found) if user else None


def _by_token(asked: Request) -> TokenUser | None:
    secret = _secret_of(asked)
    if not secret:
        return None
    store = context().store
    with store.read() as c:
        g.now = store.now_ms(c)
        found = tokens.find_bearer(c, secret, g.now)
    return TokenUser(found) if found else None


def _gate() -> Any:
    """Before every request: same origin for what changes things, somebody known for all but a few paths."""
    if request.method in UNSAFE and not _same_origin():
        return _refusal("cross_site", "cross-site request refused", 403)
    if request.endpoint in OPEN_ENDPOINTS or request.path in _open_assets():
        return None
    to_api = request.path.startswith("/api/")
    known = current_user.is_authenticated
    if to_api:
        wait = _api_limit().wait(f"user {current_user.user.id}" if known else f"address {request.remote_addr}")
        if wait:
            answer, code = _refusal("throttled", f"too many requests: try again in {wait} s", 429)
            answer.headers["Retry-After"] = str(wait)
            return answer, code
    if known:
        _note_use()
        return None
    if to_api and _secret_of(request) is not None:
        answer, code = _refusal("token", "the token is unknown, expired or revoked", 401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="barometer", error="invalid_token"'
        return answer, code
    for_people = request.method == "GET" and request.endpoint == "api.docs"
    if not for_people and (request.method != "GET" or request.path.startswith(("/_", "/api/", "/export/"))):
        answer, code = _refusal("log_in", "log in first, or send a token: Authorization: Bearer ...", 401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="barometer"'
        return answer, code
    if request.path.startswith("/assets/"):
        return Response("log in first\n", 401, mimetype="text/plain")
    target = request.full_path.rstrip("?") if request.path != "/" or request.query_string else ""
    return redirect(f"/login?next={quote(target, safe='/')}" if target else "/login")


def _api_limit() -> Limit:
    """How often the API may be called; counted by user, and by address where nobody is known."""
    found: Limit = current_app.extensions["barometer_api_limit"]
    return found


def _refusal(code: str, message: str, status: int) -> tuple[Response, int]:
    return jsonify(error=message, code=code), status


def _note_use() -> None:
    """Remember that a session or a token is in use, once a minute at most. A store that takes no writes just now still
    shows what it has."""
    user = current_user
    store = context().store
    try:
        if user.token is not None:
            if g.now - (user.token.last_used_at or 0) >= tokens.USED_MS:
                with store.write() as c:
                    tokens.use_token(c, user.token.token_id, g.now)
        elif g.now - user.session.seen_at >= sessions.SEEN_MS and _by_hand():
            with store.write() as c:
                sessions.see_session(c, user.session.digest, g.now)
    except DBAPIError:
        pass


def _by_hand() -> bool:
    """Whether a person asked for this, not a screen that refreshes by itself."""
    if request.path != _UPDATE:
        return True
    data = request.get_json(silent=True)
    changed = data.get("changedPropIds") if isinstance(data, dict) else None
    return not (isinstance(changed, list) and changed and all(str(x).startswith(_BY_ITSELF) for x in changed))


def _open_assets() -> tuple[str, ...]:
    return tuple(f"/assets/{name}" for name in OPEN_ASSETS)


def _same_origin() -> bool:
    """Browsers say where a request comes from; a program that says nothing has no browser's cookies to abuse. What a
    form of another site could send (its kinds of content are few) is refused all the same where JSON is expected."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is not None:
        return urlsplit(origin).netloc in (request.host, urlsplit(context().settings.public_url).netloc)
    return request.is_json or not request.path.startswith(("/api/", "/_")) or not request.content_length
