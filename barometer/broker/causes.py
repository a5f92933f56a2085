"""Explains failed broker connections to an operator: the cause and the setting to change.

kafka-python knows the cause and tells its logger; its exceptions say only that time ran out. Where what it saw can
mean several things (a server that hangs up), the address is looked at once more, without it.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from kafka import errors

from barometer.broker.access import Access
from barometer.broker.manager import Failure, HandshakeFailed, LoginPaused, NotConnected
from barometer.errors import BarometerError

LOOK_SECONDS = 2.0
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""The request that every broker answers before a login: 18, version 0, correlation 1, no client id."""
_VERIFY = {
    9: "its certificate is not valid yet: are the clocks right?",
    10: "its certificate has expired: the broker needs a new one",
    18: "its certificate is signed by itself and by none of ssl_cafile: put it, or its CA, into ssl_cafile",
    19: "its certificate comes from a CA that is not in ssl_cafile",
    20: "its certificate comes from a CA that is not in ssl_cafile",
    21: "its certificate comes from a CA that is not in ssl_cafile",
    23: "its certificate was revoked, by the list in ssl_crlfile",
    3: "there is no revocation list of its CA in ssl_crlfile",
    12: "the revocation list in ssl_crlfile has expired",
}
"""By OpenSSL's verify code."""


def cause_of(failure: Failure, access: Access, *, probe: bool = True) -> str:
    """What went wrong, and with which setting: a phrase to follow the address.

    Args:
        probe: look at the address where what was seen can mean several things; takes up to some seconds.
    """
    see = look if probe and "proxy_url" not in access.options else _unseen
    error, options = failure.error, access.options
    protocol = str(options.get("security_protocol") or "PLAINTEXT")
    if isinstance(error.__cause__, BarometerError):
        return str(error.__cause__)
    if isinstance(error, BarometerError):
        return str(error)
    if isinstance(error, LoginPaused | errors.SaslAuthenticationFailedError):
        return refused_login(error, access)
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return f"it does not take sasl_mechanism {access.mechanism}: {_offered(error)}"
    if isinstance(error, errors.IllegalSaslStateError):
        return f"this listener has no login: security_protocol {protocol} should be {protocol.removeprefix('SASL_')}"
    if isinstance(error, errors.IncompatibleBrokerVersion):
        return "it is no broker but a controller, or too old: use the port of a listener for clients"
    if isinstance(error, NotConnected):
        return _not_connected(failure, options)
    if isinstance(error, HandshakeFailed):
        return _no_tls(failure, error.__cause__, options, see)
    inner = _ssl_error(error)
    if inner is not None:
        return _alert(inner, options)
    if failure.asked:
        if not protocol.startswith("SASL") and not isinstance(error, errors.KafkaTimeoutError):
            return (
                "it hung up at the first request: it wants a login; security_protocol is "
                f"{protocol}: use SASL_{protocol}, with sasl_mechanism"
            )
        return f"it let us in and did not answer the first request ({_plain(error)})"
    seen = see(failure.address)
    if not seen and isinstance(error, errors.KafkaTimeoutError | errors.RequestTimedOutError):
        seen = "silent"
    return _seen(seen, protocol)


def refused_login(error: BaseException, access: Access) -> str:
    """The broker does not take our credentials."""
    who = f" of {access.user}" if access.user else ""
    if access.mechanism == "OAUTHBEARER":
        where = "kafka_oauth_client_id, kafka_oauth_scope; and what the broker accepts as issuer and audience"
    else:
        where = "sasl_plain_username in kafka_options, and kafka_password (BAROMETER_KAFKA_PASSWORD)"
    said = " ".join(str(error.args[0] if error.args else "").split())
    said = said.removeprefix("SaslAuthenticationFailedError: ")[:200]
    return f"the login{who} with {access.mechanism} was refused ({said or 'no reason given'}): see {where}"


def _offered(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else ""
    _, _, enabled = text.partition("Enabled mechanisms: ")
    return f"it offers {enabled}" if enabled else "another is enabled there (sasl.enabled.mechanisms)"


def _not_connected(failure: Failure, options: dict[str, Any]) -> str:
    said = str(failure.error.args[0]) if failure.error.args else ""
    host = failure.address.rpartition(":")[0]
    proxy = options.get("proxy_url")
    if proxy is not None:
        return f"no connection through the proxy in proxy_url ({said})"
    if "DNS" in said:
        return f"the name {host} does not resolve"
    if "ECONNREFUSED" in said:
        return "the connection is refused: nothing listens on that port"
    if "timed out" in said:
        return "no answer at all: the host is down, or a firewall drops what is sent there"
    if "EHOSTUNREACH" in said or "ENETUNREACH" in said:
        return "there is no route to it"
    return f"no connection ({said})"


def _no_tls(failure: Failure, error: BaseException | None, options: dict[str, Any], see: Callable[[str], str]) -> str:
    protocol = options.get("security_protocol")
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (62, 63, 64):
            host = failure.address.rpartition(":")[0]
            return (
                f"its certificate is not for {host}: use a name that stands in the certificate in kafka_bootstrap and "
                "in the broker's advertised.listeners"
            )
        known = _VERIFY.get(error.verify_code)
        if known is None:
            return f"its certificate is not accepted ({error.verify_message}): see ssl_cafile"
        return (
            known
            if options.get("ssl_cafile")
            else known.replace("in ssl_cafile", "known to this machine: name its file in ssl_cafile")
        )
    if isinstance(error, errors.KafkaTimeoutError):
        return "it takes the connection and says nothing: the broker hangs, or this is no TLS port"
    if isinstance(error, ssl.SSLError) and error.reason not in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING"):
        if "ALERT" not in (error.reason or ""):
            seen = see(failure.address)
            if seen not in ("", "tls", "closed"):
                return _seen(seen, str(protocol))
        return _alert(error, options)
    return _seen(see(failure.address), str(protocol))


def _alert(error: ssl.SSLError, options: dict[str, Any]) -> str:
    """The server ended the handshake, or the connection just after it."""
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if not options.get("ssl_certfile") and any(w in reason for w in ("certificate", "handshake failure")):
        return "it wants a client certificate: ssl_certfile and ssl_keyfile are missing"
    if options.get("ssl_certfile") and any(w in reason for w in ("certificate", "unknown ca", "handshake failure")):
        return (
            f"it does not accept the client certificate in ssl_certfile ({reason}): expired, or of a CA that the "
            "broker does not trust"
        )
    if "protocol version" in reason or "unsupported protocol" in reason:
        return f"it speaks no TLS 1.2 or newer ({reason})"
    if "cipher" in reason or "handshake failure" in reason:
        return f"no common cipher ({reason}): see ssl_ciphers"
    return f"TLS failed ({reason})"


def _seen(seen: str, protocol: str) -> str:
    tls = protocol.endswith("SSL")
    if seen == "kafka" and tls:
        other = protocol.replace("SSL", "PLAINTEXT") if protocol.startswith("SASL") else "PLAINTEXT"
        return f"this listener does not speak TLS: security_protocol {protocol} should be {other}, or the port another"
    if seen == "tls" and not tls:
        other = protocol.replace("PLAINTEXT", "SSL")
        return f"this listener speaks TLS: security_protocol {protocol} should be {other}, or the port another"
    if seen == "closed":
        return "it takes the connection and hangs up: no Kafka listener, or one behind a relay that has no broker"
    if seen == "silent":
        return "it takes the connection and says nothing: the broker hangs, or something else listens there"
    if seen in ("", "kafka", "tls"):
        return "it hung up while the connection was made: see the broker's log"
    return f"no Kafka broker listens there: {seen}"


def _unseen(_address: str) -> str:
    return ""


def look(address: str, seconds: float = LOOK_SECONDS) -> str:
    """What listens at an address: ``kafka`` (a plain broker), ``tls``, ``closed``, ``silent``, or a phrase."""
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    try:
        if _speaks_tls(place, seconds):
            return "tls"
        with socket.create_connection(place, seconds) as s:
            s.settimeout(seconds)
            s.sendall(_API_VERSIONS)
            answer = s.recv(64)
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"
    if not answer:
        return "closed"
    if len(answer) >= 8 and 0 < struct.unpack(">i", answer[:4])[0] < 1 << 20 and answer[4:8] == b"\0\0\0\1":
        return "kafka"
    first = answer.splitlines()[0][:40]
    return f"it answers {first!r}"


def _speaks_tls(place: tuple[str, int], seconds: float) -> bool:
    """Whether a server answers a handshake as TLS does; whose certificate it has does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(place, seconds) as s:
        s.settimeout(seconds)
        try:
            with context.wrap_socket(s, server_hostname=place[0]):
                return True
        except ssl.SSLError as e:
            return "ALERT" in (e.reason or "")
        except OSError:
            return False


def _ssl_error(error: BaseException) -> ssl.SSLError | None:
    for e in (error, *error.args, error.__cause__):
        if isinstance(e, ssl.SSLError):
            return e
    return None


def _plain(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())[:200]
