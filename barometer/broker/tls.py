"""TLS to the broker: the context, made by ourselves so that what is wrong with a file is said with its option, and so
that OpenSSL never asks a terminal for a pass phrase."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from barometer.errors import SettingsError

FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")


class _NoPassword(Exception):
    pass


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """The context that these ``kafka_options`` ask for; None without TLS.

    Raises:
        SettingsError: a file is missing, is not what it should be, or does not fit another; names the option.
    """
    if not str(options.get("security_protocol") or "").endswith("SSL"):
        return None
    for name in FILES:
        _readable(name, options.get(name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = options.get("ssl_check_hostname") is not False
    _trust(context, options)
    _present(context, options)
    ciphers = options.get("ssl_ciphers")
    if ciphers:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as e:
            raise _wrong("ssl_ciphers", f"OpenSSL knows none of {ciphers!r}") from e
    return context


def _trust(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    authorities, revoked = options.get("ssl_cafile"), options.get("ssl_crlfile")
    if authorities is None:
        context.load_default_certs()
    else:
        _load(context, "ssl_cafile", authorities, "no CA certificate in PEM form (-----BEGIN CERTIFICATE-----)")
        if not context.get_ca_certs():
            raise _wrong("ssl_cafile", f"{authorities} has no CA certificate in it")
    if revoked is not None:
        _load(context, "ssl_crlfile", revoked, "no revocation list in PEM form (-----BEGIN X509 CRL-----)")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _load(context: ssl.SSLContext, name: str, path: str, what: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as e:
        raise _wrong(name, f"{path} is {what}") from e


def _present(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    """Our own certificate, if there is one."""
    certificate, key = options.get("ssl_certfile"), options.get("ssl_keyfile")
    if certificate is None:
        return
    password = options.get("ssl_password")
    where = f"ssl_keyfile {key}" if key else f"ssl_certfile {certificate}"

    def ask() -> str:
        if password is None:
            raise _NoPassword
        return str(password)

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError as e:
        what = "no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
        raise _wrong("ssl_certfile", f"{certificate} is {what}") from e
    try:
        context.load_cert_chain(certificate, key, ask)
    except _NoPassword:
        raise _wrong(where, "it is encrypted, and ssl_password is missing") from None
    except ssl.SSLError as e:
        raise _wrong(where, _why(e, certificate, password)) from e


def _why(error: ssl.SSLError, certificate: str, password: str | None) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"the key does not belong to the certificate in ssl_certfile {certificate}"
    if password is not None and error.reason in ("BAD_DECRYPT", "BAD_PASSWORD_READ", "PKCS12_CIPHERFINAL_ERROR", None):
        return "it cannot be opened with ssl_password"
    return "no private key in PEM form (-----BEGIN PRIVATE KEY-----)"


def _readable(name: str, path: str | None) -> None:
    if path is None:
        return
    try:
        with Path(path).open("rb"):
            pass
    except OSError as e:
        raise _wrong(name, f"cannot read {path}: {e.strerror}") from e


def _wrong(name: str, what: str) -> SettingsError:
    return SettingsError(f"kafka_options (BAROMETER_KAFKA_OPTIONS): {name}: {what}")
