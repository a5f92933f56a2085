"""A token server of OAuth 2.0 client credentials on loopback, which gives tokens that nobody signed."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class TokenServer:
    """Between entering and leaving the context.

    Args:
        subject: whom the tokens are for.
        life: seconds that a token is valid for.
    """

    def __init__(self, subject: str, secret: str, life: float = 3600.0) -> None:
        self.subject, self.secret, self.life = subject, secret, life
        self.asked: list[dict[str, str]] = []
        """The forms that were sent, with the client that sent each."""
        self.given = 0
        self.broken = False
        """Answer with an error of its own."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, answer = outer._answer(
                    self.headers.get("Authorization", ""), self.rfile.read(int(self.headers["Content-Length"])).decode()
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def __enter__(self) -> TokenServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, authorization: str, form: str) -> tuple[int, dict[str, object]]:
        client, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        self.asked.append({"client": client, **{k: v[0] for k, v in parse_qs(form).items()}})
        if self.broken:
            return 503, {}
        if secret != self.secret:
            return 401, {"error": "invalid_client", "error_description": "no such client, or a wrong secret"}
        self.given += 1
        now = int(time.time())
        claims = {"sub": self.subject, "iat": now, "exp": now + int(self.life), "jti": str(self.given)}
        parts = [_part({"alg": "none", "typ": "JWT"}), _part(claims), ""]
        return 200, {"access_token": ".".join(parts), "token_type": "Bearer", "expires_in": self.life}


def _part(what: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(what).encode()).decode().rstrip("=")
