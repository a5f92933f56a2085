"""Access tokens for OAUTHBEARER: client id and secret are given to a token server (RFC 6749, client credentials)."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import structlog
from kafka.net.sasl.oauth import AbstractTokenProvider

from barometer import outbound
from barometer.broker.access import Access
from barometer.broker.errors import BrokerUnreachable, LoginFailed
from barometer.broker.logins import logins
from barometer.settings import PREFIX, Settings

log = structlog.get_logger(__name__)

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 5.0
"""Within the time that a connection to a broker may take: the token is asked for in the middle of its login."""
FRESH_SHARE = 0.75
"""A token is replaced when so much of its life is over; kafka-python logs in anew at 85 to 95 % of it."""
LIFE_SECONDS = 300.0
"""Of a token whose server does not say it."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """The process's token for one client id; kafka-python asks for it at every login.

    A thread replaces it before it ends, as long as it is asked for, so that a login seldom waits for the token server.
    """

    def __init__(self, url: str, client_id: str, scope: str, cafile: Path | None) -> None:
        self._url, self._client_id, self._scope, self._cafile = url, client_id, scope, cafile
        self._lock = threading.Lock()
        self._token, self._until, self._proof = "", 0.0, ""
        self._asked = False
        self.access: Access | None = None
        """Where the client secret is found as it is now."""

    def token(self) -> str:
        """A token that is valid now.

        Raises:
            LoginFailed: the token server refuses us.
            BrokerUnreachable: it does not answer, or not with a token.
        """
        with self._lock:
            assert self.access is not None
            self._asked = True
            if time.monotonic() < self._until and self._proof == self.access.proof:
                return self._token
            return self._fetch()

    def _fetch(self) -> str:
        assert self.access is not None
        proof = self.access.proof
        record = logins(self._url, self._client_id)
        if record.pause(proof) > 0:
            raise LoginFailed(self._refused(record.why))
        life = LIFE_SECONDS
        try:
            answer = self._ask(self.access.secret)
        except httpx.HTTPError as e:
            raise BrokerUnreachable(f"{self._server()} does not answer: {_plain(str(e) or type(e).__name__)}") from e
        except outbound.OutboundError as e:
            what = f"kafka_oauth_cafile ({PREFIX}KAFKA_OAUTH_CAFILE): " if str(self._cafile) in str(e) else ""
            raise BrokerUnreachable(f"{self._server()} cannot be asked: {what}{e}") from e
        if answer.status_code in (400, 401, 403):
            why = _reason(answer)
            record.failed(proof, why)
            raise LoginFailed(self._refused(why))
        body = _body(answer)
        token = body.get("access_token")
        if answer.status_code != 200 or not isinstance(token, str) or not token:
            raise BrokerUnreachable(
                f"{self._server()} gave no token: HTTP {answer.status_code} {_reason(answer)}".strip()
            )
        record.succeeded()
        said = body.get("expires_in")
        if isinstance(said, int | float | str):
            try:
                life = float(said)
            except ValueError:
                pass
        self._token, self._until, self._proof = token, time.monotonic() + life * 0.95, proof
        self._asked = False
        timer = threading.Timer(life * FRESH_SHARE, self._replace, [token])
        timer.daemon = True
        timer.start()
        return token

    def _replace(self, token: str) -> None:
        """Get the next one, unless nobody asked for this one any more."""
        with self._lock:
            if self._token != token or not self._asked:
                return
            try:
                self._fetch()
            except (LoginFailed, BrokerUnreachable) as e:
                log.warning("no new token: the present one is used while it lasts", error=str(e))

    def _ask(self, secret: str) -> httpx.Response:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        limits = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        cafile = None if self._cafile is None else str(self._cafile)
        with outbound.client(self._url, limits, cafile=cafile) as client:
            return client.post(self._url, data=form, auth=(self._client_id, secret))

    def _server(self) -> str:
        return f"the token server at {self._url} (kafka_oauth_token_url, {PREFIX}KAFKA_OAUTH_TOKEN_URL)"

    def _refused(self, why: str) -> str:
        return (
            f"{self._server()} refuses the client {self._client_id}: {why}: see kafka_oauth_client_id and "
            f"kafka_oauth_client_secret ({PREFIX}KAFKA_OAUTH_CLIENT_SECRET), and kafka_oauth_scope; tried again with "
            "growing pauses, at once with another secret"
        )


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(answer: httpx.Response) -> str:
    """What the server says of its refusal: its text, on one line and cut; never what it gave."""
    body = _body(answer)
    said = [body[name] for name in ("error", "error_description") if isinstance(body.get(name), str)]
    return _plain(": ".join(said)) or f"HTTP {answer.status_code}"


def _plain(text: str) -> str:
    return " ".join(text.split())[:200]


_known: dict[tuple[str, ...], Tokens] = {}
_known_lock = threading.Lock()


def tokens(settings: Settings, access: Access) -> Tokens:
    """The process's one provider for these settings."""
    s = settings
    key = (s.kafka_oauth_token_url, s.kafka_oauth_client_id, s.kafka_oauth_scope, str(s.kafka_oauth_cafile))
    with _known_lock:
        found = _known.get(key)
        if found is None:
            found = _known[key] = Tokens(*key[:3], s.kafka_oauth_cafile)
        found.access = access
        return found
