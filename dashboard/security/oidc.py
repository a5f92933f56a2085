"""Logging in with an OpenID provider (authorization code with PKCE, state and nonce; authlib does the protocol).

The provider says who somebody is; a claim (groups, roles) says what they may do here. Who has no role by it, and no
default role is set, does not come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Flask
from joserfc.errors import JoseError

from barometer.errors import BarometerError, StoreError
from barometer.settings import Settings
from barometer.store.accounts import users
from barometer.store.engine import Store
from barometer.vocabulary import ROLES

log = structlog.get_logger(__name__)
CALLBACK = "/login/oidc/callback"
SECONDS = 10
"""How long the provider may take for an answer."""


class Refused(BarometerError):
    """Nobody comes in; ``key`` is the text ``login.KEY`` of the form, the message is for the operator."""

    def __init__(self, key: str, why: str, name: str | None = None) -> None:
        self.key, self.name = key, name
        super().__init__(why)


class Oidc:
    """One provider, by the settings."""

    def __init__(self, server: Flask, settings: Settings) -> None:
        self._settings = settings
        secret = settings.oidc_client_secret
        self._client: Any = OAuth(server).register(
            "oidc",
            client_id=settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            server_metadata_url=settings.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.oidc_scopes,
                "code_challenge_method": "S256",
                "default_timeout": SECONDS,
                **({} if secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    def leave(self) -> Any:
        """The redirect to the provider.

        Raises:
            Refused: the provider does not answer, or is another than the setting says.
        """
        try:
            self._metadata()
            return self._client.authorize_redirect(self._settings.public_url.rstrip("/") + CALLBACK)
        except (requests.RequestException, AuthlibBaseError, ValueError, RuntimeError) as e:
            raise self._away(e) from None

    def arrive(self, store: Store) -> users.User:
        """Who comes back from the provider, made known to the store.

        Raises:
            Refused: the provider's answer is not what was asked for, or it gives no role here.
        """
        try:
            self._metadata()
            token = self._client.authorize_access_token()
            claims = dict(token.get("userinfo") or {})
            if not claims.get("sub"):
                raise Refused("oidc_failed", "the provider sent no id_token")
            claims = self._more(claims, token)
        except (requests.RequestException, ValueError) as e:
            raise self._away(e) from None
        except (AuthlibBaseError, JoseError, RuntimeError) as e:
            log.warning("log-in by the provider failed", why=str(e))
            raise Refused("oidc_failed", str(e)) from None
        name = str(claims.get(self._settings.oidc_name_claim) or "")
        role = role_of(claims, self._settings)
        if role is None:
            raise Refused("oidc_no_role", f"no role for {name!r} by the claim {self._settings.oidc_role_claim}", name)
        try:
            return users.enter_from_provider(store, f"{claims['iss']} {claims['sub']}", name, role)
        except StoreError as e:
            log.warning("log-in by the provider refused", name=name, why=str(e))
            raise Refused("oidc_refused", str(e), name) from None

    def _metadata(self) -> None:
        """Load what the provider says of itself, once, and see that it is the one of the setting."""
        found = self._client.load_server_metadata()
        if str(found.get("issuer", "")).rstrip("/") != self._settings.oidc_issuer.rstrip("/"):
            raise ValueError(f"oidc_issuer is {self._settings.oidc_issuer}, but it calls itself {found.get('issuer')}")
        signed = found.get("id_token_signing_alg_values_supported")
        if signed:  # many list "none"; a token that nobody signed proves nothing
            found["id_token_signing_alg_values_supported"] = [x for x in signed if x.lower() != "none"]

    def _more(self, claims: dict[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
        """Claims that providers give at their userinfo endpoint alone."""
        wanted = (self._settings.oidc_name_claim, self._settings.oidc_role_claim)
        if all(_claim(claims, name) for name in wanted):
            return claims
        if not self._client.server_metadata.get("userinfo_endpoint"):
            return claims
        more = dict(self._client.userinfo(token=token))
        if more.get("sub") != claims["sub"]:
            raise Refused("oidc_failed", "the userinfo endpoint speaks of somebody else")
        return {**more, **claims}

    def _away(self, error: Exception) -> Refused:
        log.error("the OpenID provider cannot be used", issuer=self._settings.oidc_issuer, why=str(error))
        return Refused("oidc_away", str(error))


def role_of(claims: Mapping[str, Any], settings: Settings) -> str | None:
    """The highest role that the claim gives, else the default role; None: no role."""
    found = _claim(claims, settings.oidc_role_claim)
    values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    given = {settings.oidc_roles[v] for v in values if isinstance(v, str) and v in settings.oidc_roles}
    for role in reversed(ROLES):
        if role in given:
            return role
    return settings.oidc_default_role or None


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path with dots (``realm_access.roles``)."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
