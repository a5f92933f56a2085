"""Every mistake in the way to a broker is said in one line, with its cause and the setting; those that this machine can
see are said at once."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from barometer.broker import clients, logins, manager
from barometer.broker.errors import BrokerUnreachable, LoginFailed
from barometer.errors import BarometerError, SettingsError
from barometer.settings import Settings, load_settings
from barometer.store.migrate import open_store
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.topic.topics import ensure_topics, identity
from testing.keyword_scorer import KeywordScorer
from tests.conftest import make_kafka
from tests.support.locked import options_of
from tests.support.proxy import Proxy
from tests.support.stream import wait_for, worker

MakeSettings = Callable[..., Settings]
QUICK = {"bootstrap_timeout_ms": 1_500}
"""Less patience than the product has; a mistake is no other after five seconds."""


@pytest.fixture(autouse=True)
def _first_login() -> None:
    logins.forget_logins()


def said(bootstrap: str, options: dict[str, Any], password: str | None = None) -> BarometerError:
    """What a process says that wants to reach a broker so."""
    with pytest.raises(BarometerError) as e:
        settings = load_settings(kafka_bootstrap=bootstrap, kafka_options=QUICK | options, kafka_password=password)
        clients.admin(settings).close()
    assert "\n" not in str(e.value)
    return e.value


# --- little servers --------------------------------------------------------------------------------------------------


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener on a free port; each connection is served in a thread and closed after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def one(client: socket.socket) -> None:
            with suppress(OSError), client:
                client.settimeout(20)
                serve(client)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def web(client: socket.socket) -> None:
    client.recv(1024)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def silent(client: socket.socket) -> None:
    while client.recv(1024):
        pass


def rude(_client: socket.socket) -> None:
    pass


@contextmanager
def full_server() -> Iterator[str]:
    """One whose queue is full: connections to it get no answer at all, as from a host that is down."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            with suppress(BlockingIOError):
                s.connect(address)
            waiting.append(s)
        yield f"127.0.0.1:{address[1]}"
        for s in waiting:
            s.close()


def tls_server(folder: Path, name: str, **issued: Any) -> Callable[[socket.socket], None]:
    """Serves TLS with a certificate of a CA in ``folder/ca.pem``."""
    certificate, key = issue(folder, name, **issued)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(client: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(client, server_side=True) as s:
            s.recv(1024)

    return serve


def issue(folder: Path, name: str, *, before: int = 1, days: int = 30, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate of a new CA, valid from so many days ago for so many days; returns certificate and key."""
    import ipaddress

    now = datetime.now(UTC)
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("Test CA", host)]
    authority = (
        x509.CertificateBuilder()
        .subject_name(names[0]).issuer_name(names[0]).public_key(keys[0].public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=100)).not_valid_after(now + timedelta(days=100))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[0].public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(keys[0], hashes.SHA256())
    )  # fmt: skip
    begin = now - timedelta(days=before)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(names[1]).issuer_name(names[0]).public_key(keys[1].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin).not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
        .sign(keys[0], hashes.SHA256())
    )  # fmt: skip
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, key


# --- options ---------------------------------------------------------------------------------------------------------

SCRAM = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "worker"}
OPTIONS = {
    "protocol with a hyphen": ({"security_protocol": "SASL-SSL"}, None, "'SASL-SSL' is not one of .*mean SASL_SSL"),
    "protocol TLS": ({"security_protocol": "TLS"}, None, "security_protocol: 'TLS' is not one of PLAINTEXT, SSL, "),
    "protocol in small letters": ({"security_protocol": "ssl"}, None, "'ssl' is not one of .*did you mean SSL"),
    "mechanism misspelt": (SCRAM | {"sasl_mechanism": "SCRAM-SHA512"}, "x", "sasl_mechanism: .*SCRAM-SHA-512"),
    "isolation level": ({"isolation_level": "committed"}, None, "read_uncommitted, read_committed"),
    "unknown option": ({"sasl_username": "x"}, None, "sasl_username: no Kafka client knows.*sasl_plain_username"),
    "number as text": ({"request_timeout_ms": "5000"}, None, "request_timeout_ms: must be a whole number.*'5000'"),
    "flag as text": ({"ssl_check_hostname": "false"}, None, "ssl_check_hostname: must be true or false"),
    "what the product relies on": ({"enable_auto_commit": True}, None, "enable_auto_commit is not to be set here"),
    "group": ({"group_id": "x"}, None, "use consumer_group"),
    "deserializer": ({"value_deserializer": "json"}, None, "values are read as bytes"),
    "login without SASL": ({"sasl_mechanism": "PLAIN"}, None, "security_protocol is PLAINTEXT, which has no login"),
    "password without SASL": ({}, "x", "kafka_password .* security_protocol is PLAINTEXT, which has no login"),
    "TLS files without TLS": ({"ssl_cafile": "/etc/passwd"}, None, "security_protocol is PLAINTEXT, which has no TLS"),
    "SASL without mechanism": ({"security_protocol": "SASL_SSL"}, None, "sasl_mechanism is missing"),
    "no password": (SCRAM, None, "password is missing: SCRAM-SHA-512 needs kafka_password"),
    "no user": ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "x", "sasl_plain_username is missing"),
    "Kerberos without its package": (
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, None, "needs the Python package gssapi"),
    "tokens without an address": (
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, None, "needs kafka_oauth_token_url"),
    "times that do not fit": ({"request_timeout_ms": 900_000}, None, "connections_max_idle_ms"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_is_wrong_is_refused_at_the_start(name: str) -> None:
    options, password, expected = OPTIONS[name]
    began = time.monotonic()
    if name == "times that do not fit":
        with pytest.raises(SettingsError, match=expected) as e:
            clients.consumer(load_settings(kafka_bootstrap="127.0.0.1:1", kafka_options=options))
    else:
        with pytest.raises(SettingsError, match=expected) as e:
            load_settings(kafka_options=options, kafka_password=password)
    assert "kafka_options" in str(e.value)
    assert "\n" not in str(e.value)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        ("SASL_SSL://kafka:9092", "write HOST:PORT alone"),
        ("kafka:90920", "no address like HOST:PORT"),
        ("kafka:9092;other:9092", "no address like HOST:PORT"),
        ("kafka:9092,", "no address like HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_refused_at_the_start(bootstrap: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=rf"kafka_bootstrap \(BAROMETER_KAFKA_BOOTSTRAP\): .*{expected}"):
        load_settings(kafka_bootstrap=bootstrap)


@pytest.mark.parametrize("way", ["variable", "file"])
def test_broken_json_is_one_line_and_tells_nothing_of_it(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = '{"sasl_plain_password": "hush-hush", }'
    if way == "variable":
        monkeypatch.setenv("BAROMETER_KAFKA_OPTIONS", broken)
    else:
        (tmp_path / "options.json").write_text(broken)
        monkeypatch.setenv("BAROMETER_KAFKA_OPTIONS_FILE", str(tmp_path / "options.json"))
    with pytest.raises(SettingsError, match=r"BAROMETER_KAFKA_OPTIONS.*not valid JSON: .*line 1, column") as e:
        load_settings()
    assert "hush" not in str(e.value)
    assert "\n" not in str(e.value)


def test_a_file_of_options_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "options.json"
    path.write_text(json.dumps({"client_id": "from-a-file"}))
    monkeypatch.setenv("BAROMETER_KAFKA_OPTIONS_FILE", str(path))
    assert load_settings().kafka_options == {"client_id": "from-a-file"}


# --- files -----------------------------------------------------------------------------------------------------------


def _files(folder: Path, kafka: ApacheKafka) -> dict[str, tuple[dict[str, Any], str]]:
    tls = kafka.tls
    key = serialization.load_pem_private_key((tls / "client.key").read_bytes(), None)
    locked, garbage, other = folder / "locked.key", folder / "garbage.pem", folder / "other.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"sesame"),
        )
    )
    other.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    garbage.write_text("garbage")
    base = {"security_protocol": "SSL", "ssl_cafile": str(tls / "ca.pem")}
    mine = base | {"ssl_certfile": str(tls / "client.crt")}
    return {
        "CA missing": (base | {"ssl_cafile": "/no/ca.pem"}, "ssl_cafile: cannot read /no/ca.pem: No such file"),
        "CA garbage": (base | {"ssl_cafile": str(garbage)}, "ssl_cafile: .* is no CA certificate in PEM form"),
        "CA is a key": (base | {"ssl_cafile": str(locked)}, "ssl_cafile: .* is no CA certificate in PEM form"),
        "CA is a folder": (base | {"ssl_cafile": str(folder)}, "ssl_cafile: cannot read .*: Is a directory"),
        "certificate missing": (base | {"ssl_certfile": "/no/c.crt"}, "ssl_certfile: cannot read /no/c.crt"),
        "certificate garbage": (base | {"ssl_certfile": str(garbage)}, "ssl_certfile: .* is no certificate in PEM"),
        "key missing": (mine | {"ssl_keyfile": "/no/c.key"}, "ssl_keyfile: cannot read /no/c.key"),
        "key garbage": (mine | {"ssl_keyfile": str(garbage)}, "ssl_keyfile .*: no private key in PEM form"),
        "no key": (mine, "ssl_certfile .*: no private key in PEM form"),
        "key of another": (mine | {"ssl_keyfile": str(other)}, "the key does not belong to the certificate"),
        "key encrypted": (mine | {"ssl_keyfile": str(locked)}, "is encrypted, and ssl_password is missing"),
        "key encrypted otherwise": (
            mine | {"ssl_keyfile": str(locked), "ssl_password": "shut"}, "cannot be opened with ssl_password"),
        "revocation list garbage": (base | {"ssl_crlfile": str(garbage)}, "ssl_crlfile: .* no revocation list"),
        "ciphers": (base | {"ssl_ciphers": "NONSENSE"}, "ssl_ciphers: OpenSSL knows none"),
    }  # fmt: skip


FILES = (
    "CA missing", "CA garbage", "CA is a key", "CA is a folder", "certificate missing", "certificate garbage",
    "key missing", "key garbage", "no key", "key of another", "key encrypted", "key encrypted otherwise",
    "revocation list garbage", "ciphers",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_wrong_is_named_at_once(name: str, tmp_path: Path, secure_kafka: ApacheKafka) -> None:
    """Without a word to the broker, and without OpenSSL asking a terminal for a pass phrase."""
    options, expected = _files(tmp_path, secure_kafka)[name]
    began = time.monotonic()
    settings = load_settings(kafka_bootstrap="127.0.0.1:1", kafka_options=options)
    with pytest.raises(SettingsError, match=expected) as e:
        clients.check_access(settings)
    assert "\n" not in str(e.value)
    assert "sesame" not in str(e.value)
    assert time.monotonic() - began < 2


def test_a_key_with_its_password_logs_in(tmp_path: Path, secure_kafka: ApacheKafka) -> None:
    _files(tmp_path, secure_kafka)
    options = {
        "security_protocol": "SSL", "ssl_cafile": str(secure_kafka.tls / "ca.pem"),
        "ssl_certfile": str(secure_kafka.tls / "client.crt"), "ssl_keyfile": str(tmp_path / "locked.key"),
        "ssl_password": "sesame",
    }  # fmt: skip
    clients.admin(load_settings(kafka_bootstrap=secure_kafka.mtls_bootstrap, kafka_options=options)).close()


# --- on the way ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("other CA", "comes from a CA that is not in ssl_cafile"),
        ("no CA", "CA that is not known to this machine: name its file in ssl_cafile"),
        ("other name", "its certificate is not for localhost4.test: use a name that stands in the certificate"),
        ("expired", "its certificate has expired"),
        ("not yet valid", "its certificate is not valid yet"),
        ("TLS to a plain port", "does not speak TLS: security_protocol SASL_SSL should be SASL_PLAINTEXT"),
        ("SSL to a plain port", "does not speak TLS: security_protocol SSL should be PLAINTEXT"),
        ("plain to a TLS port", "speaks TLS: security_protocol PLAINTEXT should be SSL"),
        ("no login to a port with one", "wants a login; security_protocol is SSL: use SASL_SSL"),
        ("login to a port without", "this listener has no login: security_protocol SASL_SSL should be SSL"),
        ("no client certificate", "wants a client certificate: ssl_certfile and ssl_keyfile are missing"),
        ("other client certificate", "does not accept the client certificate in ssl_certfile"),
        ("mechanism off", "does not take sasl_mechanism SCRAM-SHA-256"),
        ("controller", "no broker but a controller"),
        ("web server", "no Kafka broker listens there: it answers b'HTTP/1.1 400 Bad Request'"),
        ("web server, TLS", "no Kafka broker listens there: it answers b'HTTP/1.1 400 Bad Request'"),
        ("silent", "takes the connection and says nothing"),
        ("silent, TLS", "takes the connection and says nothing"),
        ("hangs up", "takes the connection and hangs up"),
        ("refused", "the connection is refused: nothing listens on that port"),
        ("no answer", "no answer at all: the host is down, or a firewall"),
        ("no such name", "the name kafka.invalid does not resolve"),
    ],
)
@pytest.mark.timeout(60)
def test_what_fails_on_the_way_is_told_with_its_cause(
    name: str, expected: str, tmp_path: Path, secure_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    k, word = secure_kafka, secure_kafka.users["worker"]
    scram = options_of(k, "worker")
    ca = {"ssl_cafile": str(k.tls / "ca.pem")}
    mine = {"ssl_certfile": str(k.tls / "client.crt"), "ssl_keyfile": str(k.tls / "client.key")}
    own = tmp_path / "own"
    own.mkdir()
    match name:
        case "other CA":
            issue(own, "x")
            error = said(k.secure_bootstrap, scram | {"ssl_cafile": str(own / "ca.pem")}, word)
        case "no CA":
            error = said(k.secure_bootstrap, {n: x for n, x in scram.items() if n != "ssl_cafile"}, word)
        case "other name":
            real = socket.getaddrinfo
            monkeypatch.setattr(
                socket, "getaddrinfo", lambda host, *a, **kw: real("127.0.0.1", *a, **kw)
            )  # a resolver that knows the name
            error = said(f"localhost4.test:{k.secure_bootstrap.rpartition(':')[2]}", scram, word)
        case "expired" | "not yet valid":
            dates = {"before": 20, "days": 10} if name == "expired" else {"before": -10, "days": 20}
            with server(tls_server(own, "s", **dates)) as address:
                error = said(address, {"security_protocol": "SSL", "ssl_cafile": str(own / "ca.pem")})
        case "TLS to a plain port":
            error = said(k.bootstrap, scram, word)
        case "SSL to a plain port":
            error = said(k.bootstrap, {"security_protocol": "SSL"} | ca)
        case "plain to a TLS port":
            error = said(k.secure_bootstrap, {})
        case "no login to a port with one":
            error = said(k.secure_bootstrap, {"security_protocol": "SSL"} | ca)
        case "login to a port without":
            error = said(k.mtls_bootstrap, scram | mine, word)
        case "no client certificate":
            error = said(k.mtls_bootstrap, {"security_protocol": "SSL"} | ca)
        case "other client certificate":
            certificate, key = issue(own, "c", host="worker")
            other = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
            error = said(k.mtls_bootstrap, {"security_protocol": "SSL"} | ca | other)
        case "mechanism off":
            error = said(k.secure_bootstrap, scram | {"sasl_mechanism": "SCRAM-SHA-256"}, word)
        case "controller":
            error = said(f"127.0.0.1:{k.port_of(1, 'CONTROLLER')}", {})
        case "web server" | "web server, TLS":
            with server(web) as address:
                error = said(address, {"security_protocol": "SSL"} | ca if "TLS" in name else {})
        case "silent" | "silent, TLS":
            with server(silent) as address:
                error = said(address, {"security_protocol": "SSL"} | ca if "TLS" in name else {})
        case "hangs up":
            with server(rude) as address:
                error = said(address, {})
        case "refused":
            with socket.create_server(("127.0.0.1", 0)) as s:
                port = s.getsockname()[1]
            error = said(f"127.0.0.1:{port}", {})
        case "no answer":
            with full_server() as address:
                error = said(address, {})
        case _:
            error = said("kafka.invalid:9092", {})
    assert isinstance(error, BrokerUnreachable)
    assert expected in str(error)
    assert "kafka_bootstrap, BAROMETER_KAFKA_BOOTSTRAP" in str(error)


def test_a_client_that_cannot_be_made_leaves_no_thread() -> None:
    """The library starts one for each consumer and admin client before it connects; a worker tries for days."""
    settings = load_settings(kafka_bootstrap="127.0.0.1:1", kafka_options={"bootstrap_timeout_ms": 50})
    before = set(threading.enumerate())
    for make in (clients.admin, clients.consumer, clients.producer) * 2:
        with pytest.raises(BrokerUnreachable):
            make(settings)
    assert not [t for t in threading.enumerate() if t not in before and t.is_alive()]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
@pytest.mark.parametrize("wrong", ["password", "user"])
def test_a_refused_login_is_one(mechanism: str, wrong: str, secure_kafka: ApacheKafka) -> None:
    user = "stranger" if wrong == "user" else "worker"
    began = time.monotonic()
    error = said(secure_kafka.secure_bootstrap, options_of(secure_kafka, user, mechanism), "hush-hush")
    assert isinstance(error, LoginFailed)
    assert f"the login of {user} with {mechanism} was refused" in str(error)
    assert "BAROMETER_KAFKA_PASSWORD" in str(error)
    assert "hush" not in str(error)
    assert time.monotonic() - began < 5


@pytest.mark.timeout(60)
def test_an_advertised_address_that_cannot_be_reached_is_named() -> None:
    """The broker answers where it was asked for, and sends us to a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        dead = s.getsockname()[1]
    with make_kafka(advertised_ports={1: dead}) as kafka:
        settings = load_settings(kafka_bootstrap=kafka.bootstrap)
        client = clients.admin(settings)
        try:
            consumer = clients.consumer(settings, request_timeout_ms=2_000, group_id=None)
            consumer.close()
            with pytest.raises(BrokerUnreachable) as e, clients.explained(settings, client):
                client.list_topics()
                client.create_topics({"x": {"num_partitions": 1}})
        finally:
            client.close()
    assert f"brokers advertise 127.0.0.1:{dead} (broker 1), which cannot be used: the connection is refused" in str(
        e.value
    )
    assert "advertised.listeners" in str(e.value)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dead", ["refused", "no answer", "silent"])
def test_one_dead_address_of_three_spoils_nothing(dead: str, kafka: ApacheKafka) -> None:
    proxies = [Proxy(), Proxy()]
    for proxy in proxies:
        proxy.target = kafka.port
        proxy.start()
    alive = [f"127.0.0.1:{proxy.port}" for proxy in proxies]
    with socket.create_server(("127.0.0.1", 0)) as s:
        nobody = f"127.0.0.1:{s.getsockname()[1]}"

    @contextmanager
    def refused() -> Iterator[str]:
        yield nobody

    kinds: dict[str, Any] = {"refused": refused, "no answer": full_server, "silent": lambda: server(silent)}
    with kinds[dead]() as address:
        settings = load_settings(kafka_bootstrap=",".join([address, *alive]))
        for _ in range(6):  # the library alone lost seven of twelve
            manager.forget_dead()
            client = clients.admin(settings)
            try:
                assert client.describe_cluster()["cluster_id"] == kafka.cluster_id
            finally:
                client.close()
    for proxy in proxies:
        proxy.cut()


@pytest.mark.timeout(180)
def test_look_ups_go_to_another_broker_when_one_is_gone(settings_for: MakeSettings) -> None:
    """Every look-up goes to whatever broker there is; one of three is listed for some seconds after it has gone."""
    with make_kafka(3) as kafka:
        settings = settings_for(kafka_bootstrap=kafka.bootstrap)
        ensure_topics(settings)
        cluster, topic_id = identity(settings, settings.topic_documents)
        slowest = 0.0
        for go, come in ((kafka.freeze, kafka.thaw), (kafka.kill, None)):
            go(2)
            for n in range(8):
                if n % 4 == 0:
                    manager.forget_dead()
                began = time.monotonic()
                assert identity(settings, settings.topic_documents) == (cluster, topic_id)
                slowest = max(slowest, time.monotonic() - began)
            if come is not None:
                come(2)
    assert slowest < 8


@pytest.mark.timeout(90)
def test_a_worker_says_that_advertised_addresses_cannot_be_reached(
    settings_for: MakeSettings,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as s:
        dead = s.getsockname()[1]
    with make_kafka(advertised_ports={1: dead}) as broker:
        store = open_store(settings_for(), migrate=True)
        settings = settings_for(kafka_bootstrap=broker.bootstrap)
        with worker(settings, store, KeywordScorer()) as running:
            wait_for(lambda: [x for _, x in running.events if "advertised.listeners" in str(x.get("reason"))], 60)
            assert running.state == "broker away"
            assert f"127.0.0.1:{dead} (broker 1)" in running.events[-1][1]["reason"]
        store.close()


def test_the_request_that_looks_is_one_that_brokers_know() -> None:
    """ApiVersions version 0: its length, key 18, version 0, correlation 1, no client id."""
    from barometer.broker.causes import _API_VERSIONS

    assert struct.unpack(">ihhih", _API_VERSIONS) == (len(_API_VERSIONS) - 4, 18, 0, 1, -1)
