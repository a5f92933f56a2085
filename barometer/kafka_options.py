"""The setting ``kafka_options``: which options there are, what they may be, and which are not the user's to set.

Looks at no file and asks nobody, so that every command can refuse a wrong option at its start. kafka-python itself
takes any value: ``security_protocol: SASL-SSL`` is plain text without a login there.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", "AWS_MSK_IAM")
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PACKAGES = {"GSSAPI": "gssapi", "AWS_MSK_IAM": "botocore"}
"""Mechanisms for which kafka-python needs another package."""

TEXT, NUMBER, FLAG = "a text", "a whole number, 0 or more", "true or false"

OPTIONS: Mapping[str, str | tuple[str, ...]] = {
    "batch_size": NUMBER,
    "bootstrap_timeout_ms": NUMBER,
    "client_dns_lookup": ("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"),
    "client_id": TEXT,
    "client_rack": TEXT,
    "compression_type": ("gzip", "snappy", "lz4", "zstd"),
    "connections_max_idle_ms": NUMBER,
    "delivery_timeout_ms": NUMBER,
    "enable_incremental_fetch_sessions": FLAG,
    "fetch_max_bytes": NUMBER,
    "fetch_max_wait_ms": NUMBER,
    "fetch_min_bytes": NUMBER,
    "isolation_level": ("read_uncommitted", "read_committed"),
    "linger_ms": NUMBER,
    "max_block_ms": NUMBER,
    "max_partition_fetch_bytes": NUMBER,
    "max_poll_records": NUMBER,
    "max_request_size": NUMBER,
    "metrics_enabled": FLAG,
    "metrics_num_samples": NUMBER,
    "metrics_sample_window_ms": NUMBER,
    "proxy_url": TEXT,
    "receive_message_max_bytes": NUMBER,
    "reconnect_backoff_max_ms": NUMBER,
    "reconnect_backoff_ms": NUMBER,
    "request_timeout_ms": NUMBER,
    "retry_backoff_ms": NUMBER,
    "sasl_kerberos_domain_name": TEXT,
    "sasl_kerberos_name": TEXT,
    "sasl_kerberos_service_name": TEXT,
    "sasl_mechanism": MECHANISMS,
    "sasl_plain_password": TEXT,
    "sasl_plain_username": TEXT,
    "security_protocol": PROTOCOLS,
    "ssl_cafile": TEXT,
    "ssl_certfile": TEXT,
    "ssl_check_hostname": FLAG,
    "ssl_ciphers": TEXT,
    "ssl_crlfile": TEXT,
    "ssl_keyfile": TEXT,
    "ssl_password": TEXT,
}
"""What an operator may set, and what each may be."""

_OBJECT = "it takes a Python object, which no setting can hold"
_OURS_ALONE = "Barometer sets it"
REFUSED: Mapping[str, str] = {
    "acks": "a text counts as sent only when all in-sync replicas have it",
    "allow_auto_create_topics": "a topic made by a look-up would have the broker's partitions and retention",
    "api_version": "the broker is asked for its version",
    "auto_commit_interval_ms": "positions are kept in the store, with the rows that they cover",
    "auto_offset_reset": "a position that the log no longer has is a question to an operator, never a silent restart",
    "bootstrap_servers": "use kafka_bootstrap (BAROMETER_KAFKA_BOOTSTRAP)",
    "check_crcs": "a damaged record must not pass for a text",
    "consumer_timeout_ms": _OURS_ALONE,
    "default_offset_commit_callback": _OBJECT,
    "enable_auto_commit": "positions are kept in the store, with the rows that they cover",
    "enable_idempotence": "a request that is repeated must leave one record",
    "exclude_internal_topics": _OURS_ALONE,
    "group_id": "use consumer_group (BAROMETER_CONSUMER_GROUP)",
    "group_instance_id": "workers that share these options would throw each other out of the group",
    "heartbeat_interval_ms": "it follows session_timeout_ms (BAROMETER_SESSION_TIMEOUT_MS)",
    "kafka_client": _OBJECT,
    "key_deserializer": "keys are read as bytes",
    "key_serializer": "keys are sent as bytes",
    "max_in_flight_requests_per_connection": "records of a partition must not overtake each other",
    "max_poll_interval_ms": "use worker_poll_interval_seconds (BAROMETER_WORKER_POLL_INTERVAL_SECONDS)",
    "metadata_max_age_ms": "that another log is in the place of ours must be noticed within a second",
    "metric_group_prefix": _OURS_ALONE,
    "metric_reporters": _OBJECT,
    "partition_assignment_strategy": "all workers of the group must deal partitions out alike",
    "partitioner": _OBJECT,
    "receive_buffer_bytes": "kafka-python takes no notice of it",
    "retries": "what is not delivered is tried again until delivery_timeout_ms",
    "sasl_oauth_token_provider": "use kafka_oauth_token_url (BAROMETER_KAFKA_OAUTH_TOKEN_URL)",
    "selector": _OBJECT,
    "send_buffer_bytes": "kafka-python takes no notice of it",
    "session_timeout_ms": "use the setting session_timeout_ms (BAROMETER_SESSION_TIMEOUT_MS)",
    "socket_options": _OBJECT,
    "socks5_proxy": "use proxy_url: socks5://HOST:PORT",
    "ssl_context": _OBJECT,
    "transaction_timeout_ms": "nothing is sent in transactions",
    "transactional_id": "nothing is sent in transactions",
    "value_deserializer": "values are read as bytes",
    "value_serializer": "values are sent as bytes",
}
"""What is not the operator's to set, and why."""

SECRETS = ("sasl_plain_password", "ssl_password")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+|[0-9A-Fa-f:]+:[0-9A-Fa-f:]*)(:(?P<port>\d{1,5}))?")


def wrong_options(options: Mapping[str, Any]) -> list[str]:
    """What is wrong with these options, each by name, value found and values allowed; empty: nothing."""
    return [said for name, value in options.items() if (said := _wrong(name, value))]


def _wrong(name: str, value: Any) -> str | None:
    if name in REFUSED:
        return f"{name} is not to be set here: {REFUSED[name]}"
    kind = OPTIONS.get(name)
    if kind is None:
        near = get_close_matches(name, OPTIONS, 1)
        return f"{name}: no Kafka client knows this option{f'; did you mean {near[0]}?' if near else ''}"
    if value is None or _fits(kind, value):
        return None
    found = "something else" if name in SECRETS else repr(value)[:60]
    if isinstance(kind, str):
        return f"{name}: must be {kind}, found {found}"
    near = get_close_matches(str(value).upper().replace("-", "_"), kind, 1) or get_close_matches(str(value), kind, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{name}: {found} is not one of {', '.join(kind)}{hint}"


def _fits(kind: str | tuple[str, ...], value: Any) -> bool:
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if kind == TEXT:
        return isinstance(value, str) and bool(value)
    return value in kind


def wrong_together(options: Mapping[str, Any], *, password: bool, oauth: bool) -> list[str]:
    """What does not go together, above all what would pass for a login or for encryption and be none.

    Args:
        password: ``kafka_password`` is set.
        oauth: ``kafka_oauth_token_url`` is set.
    """
    out = []
    given = {name for name, value in options.items() if value is not None}
    protocol, mechanism = options.get("security_protocol") or "PLAINTEXT", options.get("sasl_mechanism")
    tls, sasl = protocol.endswith("SSL"), protocol.startswith("SASL")
    for name in sorted(given):
        if name.startswith("ssl_") and not tls:
            out.append(f"{name} is given, but security_protocol is {protocol}, which has no TLS: use SSL or SASL_SSL")
        if name.startswith("sasl_") and not sasl:
            out.append(
                f"{name} is given, but security_protocol is {protocol}, which has no login: use SASL_SSL "
                "(or SASL_PLAINTEXT)"
            )
    if password and not sasl:
        out.append(
            f"kafka_password (BAROMETER_KAFKA_PASSWORD) is given, but security_protocol is {protocol}, which has no "
            "login: use SASL_SSL (or SASL_PLAINTEXT)"
        )
    if oauth and mechanism != "OAUTHBEARER":
        out.append(
            "kafka_oauth_token_url (BAROMETER_KAFKA_OAUTH_TOKEN_URL) is given, but sasl_mechanism is "
            f"{mechanism or 'not given'}: use OAUTHBEARER"
        )
    if password and "sasl_plain_password" in given:
        out.append("sasl_plain_password is given twice: here, and as kafka_password (BAROMETER_KAFKA_PASSWORD)")
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        out.append("ssl_keyfile is given without ssl_certfile")
    if sasl:
        out += _wrong_login(given, mechanism, password=password, oauth=oauth)
    proxy = options.get("proxy_url")
    if proxy is not None and not re.match(r"(socks5h?|http)://", proxy):
        out.append("proxy_url: must begin with socks5://, socks5h:// or http://")
    return out


def _wrong_login(given: set[str], mechanism: str | None, *, password: bool, oauth: bool) -> list[str]:
    if mechanism is None:
        return [f"sasl_mechanism is missing: one of {', '.join(MECHANISMS)}"]
    out = []
    if mechanism in PASSWORD_MECHANISMS:
        if "sasl_plain_username" not in given:
            out.append(f"sasl_plain_username is missing: {mechanism} logs in with a name")
        if not password and "sasl_plain_password" not in given:
            out.append(
                f"the password is missing: {mechanism} needs kafka_password (BAROMETER_KAFKA_PASSWORD, or a file in "
                "BAROMETER_KAFKA_PASSWORD_FILE)"
            )
    if mechanism == "OAUTHBEARER" and not oauth:
        out.append("OAUTHBEARER needs kafka_oauth_token_url (BAROMETER_KAFKA_OAUTH_TOKEN_URL)")
    package = _PACKAGES.get(mechanism)
    if package is not None and importlib.util.find_spec(package) is None:
        out.append(f"sasl_mechanism {mechanism} needs the Python package {package}, which is not installed")
    return out


def wrong_addresses(bootstrap: str) -> list[str]:
    """What is wrong with ``kafka_bootstrap``: host:port, separated by commas."""
    out = []
    for address in bootstrap.split(","):
        text = address.strip()
        found = _ADDRESS.fullmatch(text)
        if "://" in text:
            out.append(
                f"{text!r}: write HOST:PORT alone; the protocol is security_protocol in kafka_options "
                "(BAROMETER_KAFKA_OPTIONS)"
            )
        elif found is None or not 0 < int(found["port"] or 9092) < 65536:
            out.append(f"{text!r} is no address like HOST:PORT; separate several with commas")
    return out
