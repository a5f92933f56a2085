"""Where the demo's notifications go: a mail server and the robot of a group chat, on loopback, and a page that shows
what they were sent.

The product sends as it would to anybody: by SMTP with a log-in, and by HTTP. Every message is a file as well, for who
wants to see it byte by byte. Other people of the same machine reach loopback, too: the page and the robot's address
hold a token of this run, mail wants the run's password, and what is kept is bounded.
"""

from __future__ import annotations

import email
import email.policy
import logging
import os
import secrets
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import orjson
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.serving import WSGIRequestHandler, make_server

# It warns of log-ins without TLS, each time: nothing of this leaves the machine.
logging.getLogger("mail.log").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS", UserWarning)

HOST = "127.0.0.1"
KEPT = 200
"""Messages that the page shows, and files that are written."""
MOST_BYTES = 1_000_000
"""Of one message."""
COLOURS = ("red", "orange", "green", "grey", "blue")
"""Of the head of a card; other names are shown as blue."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message as it came: ``way`` is mail, card or webhook; ``text`` is all that it says, decoded."""

    number: int
    at: float
    way: str
    to: str
    title: str
    text: str
    html: str = ""
    card: dict[str, Any] | None = None


class Inbox:
    """Takes mail and posts until it is closed.

    Args:
        folder: gets a file for each message; made if it is not there.
        mail_port: a free port on 127.0.0.1.
        on_arrival: called with each message, from the thread that took it.
    """

    def __init__(
        self, folder: Path, mail_port: int, on_arrival: Callable[[ReceivedMessage], None] = lambda _m: None
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder, self.mail_port, self._on_arrival = folder, mail_port, on_arrival
        self.zone: tzinfo = UTC
        """Of the times on the page: those of the messages, once the settings are known."""
        self.user, self.password = "barometer", secrets.token_urlsafe(12)
        self._token = secrets.token_urlsafe(12)
        self._kept: deque[ReceivedMessage] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._number = 0
        self._mail = Controller(
            _Mailbox(self),
            hostname=HOST,
            port=mail_port,
            authenticator=self._authenticated,
            auth_required=True,
            auth_require_tls=False,
            data_size_limit=MOST_BYTES,
        )
        self._web = make_server(HOST, 0, _web(self, self._token), threaded=True, request_handler=_Silent)
        self.url = f"http://{HOST}:{self._web.server_port}/{self._token}"
        """Of the page; below it are the addresses to post to."""

    def __enter__(self) -> Inbox:
        self._mail.start()
        threading.Thread(target=self._web.serve_forever, name="inbox", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._web.shutdown()
        self._web.server_close()
        self._mail.stop()

    @property
    def messages(self) -> list[ReceivedMessage]:
        """What has come, the newest first."""
        with self._lock:
            return list(reversed(self._kept))

    def take(self, way: str, to: str, title: str, text: str, raw: bytes, **more: Any) -> None:
        """Keep a message and write its file, readable by this user only."""
        with self._lock:
            self._number += 1
            message = ReceivedMessage(self._number, time.time(), way, to, title, text, **more)
            if self._number <= KEPT:
                ending = "eml" if way == "mail" else "json"
                file = self.folder / f"{message.number:03d}-{way}.{ending}"
                with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                    f.write(raw)
            self._kept.append(message)
        self._on_arrival(message)

    def _authenticated(self, _s: SMTP, _session: Session, _e: Envelope, _how: str, given: Any) -> AuthResult:
        right = (
            isinstance(given, LoginPassword)
            and secrets.compare_digest(given.login, self.user.encode())
            and secrets.compare_digest(given.password, self.password.encode())
        )
        return AuthResult(success=right, handled=False)  # it says so itself


class _Mailbox:
    """What the mail server does with a mail."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        raw = envelope.original_content or b""
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        html, text = mail.get_body(("html",)), mail.get_body(("plain",))
        self._inbox.take(
            "mail",
            ", ".join(envelope.rcpt_tos),
            str(mail["Subject"] or ""),
            text.get_content() if text else "",
            raw,
            html=html.get_content() if html else "",
        )
        return "250 kept"


def _web(inbox: Inbox, token: str) -> Flask:
    app = Flask("app.demo", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES

    @app.before_request
    def _only_with_the_token() -> None:
        given = request.path.split("/")[1]
        if not secrets.compare_digest(given.encode(), token.encode()):
            abort(404)

    @app.post("/<_token>/card/<to>")
    def card(_token: str, to: str) -> Response:
        body = _object(request.get_data())
        shown = body.get("card")
        if not isinstance(shown, dict):
            return jsonify(code=9499, msg="no card")
        title = shown.get("header", {}).get("title", {}).get("content", "")
        text = orjson.dumps(body, option=orjson.OPT_INDENT_2)
        inbox.take("card", to, str(title), text.decode(), text, card=shown)
        return jsonify(code=0)

    @app.post("/<_token>/webhook/<to>")
    def webhook(_token: str, to: str) -> Response:
        body = _object(request.get_data())
        text = orjson.dumps(body, option=orjson.OPT_INDENT_2)
        inbox.take("webhook", to, str(body.get("commonAnnotations", {}).get("summary", "")), text.decode(), text)
        return jsonify(taken=True)

    @app.get("/<_token>/newest")
    def newest(_token: str) -> Response:
        return jsonify(number=max((m.number for m in inbox.messages), default=0))

    @app.get("/<_token>/")
    @app.get("/<_token>")
    def page(_token: str) -> Response:
        nonce = secrets.token_urlsafe(12)
        shown = render_template(
            "inbox.html",
            messages=inbox.messages,
            base=f"/{token}",
            nonce=nonce,
            colours=COLOURS,
            clock=lambda at: f"{datetime.fromtimestamp(at, inbox.zone):%H:%M:%S %z}",
            folder=inbox.folder,
        )
        answer = Response(shown)
        # The mails are pages of their own in frames without scripts; nothing is loaded from anywhere.
        answer.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return app


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        abort(400)
    return found


class _Silent(WSGIRequestHandler):
    """The terminal belongs to the demo."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass
