"""Current connection options for the broker. Passwords and options that came from files are read again for every new
connection, so that a password that was changed is taken up without a restart."""

from __future__ import annotations

import json
import ssl
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from barometer.broker.tls import tls_context
from barometer.errors import SettingsError
from barometer.kafka_options import PASSWORD_MECHANISMS, wrong_options, wrong_together
from barometer.settings import PREFIX, Settings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""Files are looked at once in so long, however often connections are tried."""


class Access:
    """The options for a broker, as they are now.

    Raises:
        SettingsError: they are wrong, or a file of theirs is: a message of one line that names the option.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fault: str | None = None
        self._looked = 0.0
        self.options: dict[str, Any] = {}
        """Of the last look, by kafka-python's names, the password included; without what is not given."""
        self.secret = ""
        """The secret for the token server; empty without one."""
        self._begin()
        self.tls()

    def _begin(self) -> None:
        """As :meth:`renew`, where an earlier client of the process had options that were right."""
        try:
            self._read()
        except SettingsError as e:
            kept = self._settings.kept_access()
            if kept is None:
                raise
            self.options, self.secret = kept
            self._fault = str(e)

    def renew(self) -> None:
        """Look again. What cannot be read, or is wrong now, leaves the options of the last look in force."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            self._read()
            self._fault = None
        except SettingsError as e:
            if self._fault != str(e):
                self._fault = str(e)
                log.warning("the last options that were right stay in force", error=self._fault)

    def tls(self) -> ssl.SSLContext | None:
        """A new context from the files of now; None without TLS.

        Raises:
            SettingsError: a file is missing or wrong.
        """
        return tls_context(self.options)

    @property
    def bootstrap(self) -> list[str]:
        return [address.strip() for address in self._settings.kafka_bootstrap.split(",")]

    @property
    def mechanism(self) -> str | None:
        """The login's kind; None without a login."""
        found = self.options.get("sasl_mechanism")
        return None if found is None else str(found)

    @property
    def user(self) -> str:
        """Whose login it is; empty if only the broker knows."""
        if self.mechanism == "OAUTHBEARER":
            return self._settings.kafka_oauth_client_id
        return str(self.options.get("sasl_plain_username") or "") if self.mechanism in PASSWORD_MECHANISMS else ""

    @property
    def proof(self) -> str:
        """Another value whenever the credentials are others; says nothing about them."""
        words = (self.mechanism, self.user, self.options.get("sasl_plain_password"), self.secret)
        return sha256(repr(words).encode()).hexdigest()

    def principal(self) -> str:
        """Who we are to the broker, as far as can be known here."""
        if self.mechanism is not None:
            return f"User:{self.user}" if self.user else f"the user that {self.mechanism} logs in"
        certificate = self.options.get("ssl_certfile")
        if certificate is not None:
            return f"User:{_subject(certificate)}"
        return "User:ANONYMOUS"

    def _read(self) -> None:
        s = self._settings
        options: dict[str, Any] = dict(s.kafka_options)
        path = s.file_of("kafka_options")
        if path is not None:
            options = _json(path)
        password = _secret(s, "kafka_password")
        secret = _secret(s, "kafka_oauth_client_secret")
        wrong = wrong_options(options) or wrong_together(
            options, password=bool(password), oauth=bool(s.kafka_oauth_token_url)
        )
        if wrong:
            raise SettingsError(f"kafka_options ({PREFIX}KAFKA_OPTIONS): {'; '.join(wrong)}")
        self.options = {name: value for name, value in options.items() if value is not None}
        if password:
            self.options["sasl_plain_password"] = password
        self.secret = secret
        s.keep_access(self.options, secret)


def _secret(settings: Settings, name: str) -> str:
    path = settings.file_of(name)
    if path is not None:
        return _text(path, name)
    value = getattr(settings, name)
    return "" if value is None else str(value.get_secret_value())


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "not UTF-8"
        raise SettingsError(f"{PREFIX}{name.upper()}_FILE: cannot read {path}: {why}") from e


def _json(path: Path) -> dict[str, Any]:
    variable = f"{PREFIX}KAFKA_OPTIONS_FILE"
    try:
        found = json.loads(_text(path, "kafka_options"))
    except json.JSONDecodeError as e:
        raise SettingsError(
            f"{variable}: {path}: not valid JSON: {e.msg} (line {e.lineno}, column {e.colno})"
        ) from None
    if not isinstance(found, dict):
        raise SettingsError(f"{variable}: {path}: expected a JSON object of options")
    return found


def _subject(path: str) -> str:
    """The subject of the first certificate in a file as a broker writes it by default (RFC 2253: last part first)."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError):
        return "(the subject of ssl_certfile)"
    return certificate.subject.rfc4514_string()
