"""An OpenID provider for tests, on loopback, of authlib's server parts: discovery, keys, authorization code with PKCE,
signed ID tokens, userinfo. It can be told to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "barometer", "a secret of the two"


@dataclass
class Person:
    sub: str
    name: str
    groups: Any = field(default_factory=list)


@dataclass
class Provider:
    """``person`` is who sits in front of the provider; ``claims`` replaces claims of ID tokens; ``flaws`` says what it
    does wrong."""

    issuer: str = ""
    redirect_uri: str = ""
    person: Person = field(default_factory=lambda: Person("1001", "zhou", ["risk"]))
    claims: dict[str, Any] = field(default_factory=dict)
    flaws: set[str] = field(default_factory=set)
    groups_in_userinfo: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)


class _Client:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.client_id = CLIENT

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return self.provider.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, uri: str) -> bool:
        return uri == self.provider.redirect_uri

    def check_client_secret(self, secret: str) -> bool:
        return secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, kind: str) -> bool:
        return kind == "code"

    def check_grant_type(self, kind: str) -> bool:
        return kind == "authorization_code"


class _Code(SimpleNamespace):
    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class _Token(SimpleNamespace):
    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False

    def get_scope(self) -> str:
        return "openid profile"


def _app(provider: Provider, key: RSAKey) -> Flask:
    app = Flask("provider")
    codes: dict[str, _Code] = {}
    issued: dict[str, Person] = {}

    def keep(token: dict[str, Any], asked: Any) -> None:
        issued[token["access_token"]] = asked.user

    server = AuthorizationServer(app, query_client=lambda _id: _Client(provider) if _id == CLIENT else None,
                                 save_token=keep)  # fmt: skip

    class Grant(AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

        def save_authorization_code(self, code: str, asked: Any) -> None:
            data = asked.payload.data
            codes[code] = _Code(
                code=code, redirect_uri=asked.payload.redirect_uri, scope=asked.payload.scope, user=asked.user,
                nonce=data.get("nonce"), code_challenge=data.get("code_challenge"),
                code_challenge_method=data.get("code_challenge_method"),
            )  # fmt: skip

        def query_authorization_code(self, code: str, client: Any) -> Any:
            return codes.get(code)

        def delete_authorization_code(self, code: Any) -> None:
            codes.pop(code.code, None)

        def authenticate_user(self, code: Any) -> Any:
            return code.user

    class Open(OpenIDCode):
        def exists_nonce(self, nonce: str, asked: Any) -> bool:
            return False

        def get_jwt_config(self, *_: Any) -> dict[str, Any]:
            return {"key": key, "alg": "RS256", "iss": provider.issuer, "exp": 300}

        def generate_user_info(self, user: Person, scope: str) -> UserInfo:
            return UserInfo(_claims(user))

        def get_audiences(self, asked: Any) -> list[str]:
            return [CLIENT]

    def _claims(user: Person) -> dict[str, Any]:
        found = {"sub": user.sub, "preferred_username": user.name, "groups": user.groups}
        if provider.groups_in_userinfo:
            del found["groups"]
        return found

    server.register_grant(Grant, [Open(require_nonce=True), CodeChallenge(required=True)])

    class Validator(BearerTokenValidator):
        def authenticate_token(self, secret: str) -> Any:
            return _Token(user=issued[secret]) if secret in issued else None

    protect = ResourceProtector()
    protect.register_token_validator(Validator())

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Any:
        at = provider.issuer
        return jsonify(
            issuer=at if "issuer" not in provider.flaws else "https://another.example", jwks_uri=f"{at}/keys",
            authorization_endpoint=f"{at}/authorize", token_endpoint=f"{at}/token", userinfo_endpoint=f"{at}/userinfo",
            id_token_signing_alg_values_supported=["RS256", "none"],
        )  # fmt: skip

    @app.get("/keys")
    def keys() -> Any:
        return jsonify(keys=[key.as_dict(private=False)])

    @app.get("/authorize")
    def authorize() -> Any:
        provider.asked.append(request.args.to_dict())
        return server.create_authorization_response(grant_user=provider.person)

    @app.post("/token")
    def token() -> Any:
        answer = server.create_token_response()
        data = answer.get_json()
        if answer.status_code == 200 and (provider.claims or provider.flaws):
            data["id_token"] = _twisted(data["id_token"])
            answer.set_data(app.json.dumps(data))
        return answer

    def _twisted(id_token: str) -> str:
        claims = {**jwt.decode(id_token, key).claims, **provider.claims}
        if "unsigned" in provider.flaws:
            return jwt.encode({"alg": "none"}, claims, key, algorithms=["none"])
        other = RSAKey.generate_key(2048, {"kid": key.kid}) if "signature" in provider.flaws else key
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, other)

    @app.get("/userinfo")
    @protect()
    def userinfo() -> Any:
        user = current_token.user
        sub = "somebody else" if "userinfo" in provider.flaws else user.sub
        return jsonify(sub=sub, preferred_username=user.name, groups=user.groups)

    return app


@contextmanager
def running() -> Iterator[Provider]:
    """A provider on a port of its own."""
    provider = Provider()
    key = RSAKey.generate_key(2048, {"kid": "one"})
    server = make_server("127.0.0.1", 0, _app(provider, key), threaded=True)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
