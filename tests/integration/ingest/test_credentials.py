"""Logging in, each way; passwords and secrets that change; logins that fail and must not lock an account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka.admin import UserScramCredentialUpsertion

from barometer.broker import clients, logins
from barometer.broker.access import Access
from barometer.broker.errors import BrokerUnreachable, LoginFailed
from barometer.errors import SettingsError
from barometer.settings import Settings, load_settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.topic.topics import ensure_topics
from monitor.alarms.checks import Alarms
from testing.keyword_scorer import KeywordScorer
from tests.conftest import make_kafka
from tests.integration.monitor.test_sealing import lead
from tests.support.locked import as_user, options_of
from tests.support.stream import assert_sums, topic_of, totals, wait_for, worker
from tests.support.token_server import TokenServer

MakeSettings = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _first_login() -> None:
    logins.forget_logins()


@pytest.fixture
def plain(secure_kafka: ApacheKafka, settings_for: MakeSettings) -> Settings:
    return settings_for(kafka_bootstrap=secure_kafka.bootstrap)


@pytest.fixture
def store(settings_for: MakeSettings) -> Iterator[Store]:
    opened = open_store(settings_for(), migrate=True)
    yield opened
    opened.close()


def set_password(kafka: ApacheKafka, user: str, word: str) -> None:
    client = kafka.admin()
    try:
        client.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, "SCRAM-SHA-512", word, iterations=4096)]
        )
    finally:
        client.close()


def refused_logins(kafka: ApacheKafka) -> int:
    """How often the broker turned a login away, by its own log."""
    return kafka.log_file().read_text(errors="replace").count("Failed authentication with")


def all_of(kafka: ApacheKafka, settings: Settings, user: str) -> None:
    kafka.allow(user, "All", topic=settings.topic_documents)
    kafka.allow(user, "All", group=settings.consumer_group)


def reads(settings: Settings, plain: Settings, store: Store, n: int = 9) -> None:
    """A worker with these settings reads what is there."""
    with topic_of(plain) as topic, worker(settings, store, KeywordScorer()):
        topic.documents(n)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == n)
    assert_sums(store, n)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_a_worker_logs_in_with_a_password(
    mechanism: str, secure_kafka: ApacheKafka, plain: Settings, store: Store
) -> None:
    all_of(secure_kafka, plain, "worker")
    options = options_of(secure_kafka, "worker", mechanism)
    reads(as_user(plain, secure_kafka, "worker", kafka_options=options), plain, store)


@pytest.mark.timeout(90)
def test_a_worker_logs_in_with_a_certificate(secure_kafka: ApacheKafka, plain: Settings, store: Store) -> None:
    all_of(secure_kafka, plain, "CN=worker")
    tls = secure_kafka.tls
    settings = as_user(
        plain, secure_kafka, "worker", kafka_bootstrap=secure_kafka.mtls_bootstrap, kafka_password=None,
        kafka_options={
            "security_protocol": "SSL", "ssl_cafile": str(tls / "ca.pem"),
            "ssl_certfile": str(tls / "client.crt"), "ssl_keyfile": str(tls / "client.key"),
        },
    )  # fmt: skip
    assert Access(settings).principal() == "User:CN=worker"
    reads(settings, plain, store)


@pytest.mark.timeout(180)
def test_a_password_that_changes_is_taken_up_from_its_file(
    settings_for: MakeSettings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's password changes and the file's does not: a few tries and then pauses, a state, an alarm; the file
    changes: all goes on within seconds; the broker gets another, and then the old one back: all goes on by itself."""
    word = tmp_path / "password"
    word.write_text("worker-secret\n")
    monkeypatch.setattr(logins, "FIRST_SECONDS", 6.0)
    monkeypatch.setenv("BAROMETER_KAFKA_PASSWORD_FILE", str(word))
    # Connections are closed by the broker after a second without a new login: a change is felt at once.
    with make_kafka(secure=True, properties={"connections.max.reauth.ms": 1_500}) as kafka:
        plain = settings_for(kafka_bootstrap=kafka.bootstrap, kafka_password=None)
        settings = settings_for(kafka_bootstrap=kafka.secure_bootstrap, kafka_options=options_of(kafka, "worker"))
        assert settings.file_of("kafka_password") == word
        all_of(kafka, plain, "worker")
        monkeypatch.delenv("BAROMETER_KAFKA_PASSWORD_FILE")
        with topic_of(plain) as topic, worker(settings, store, KeywordScorer()) as running:
            topic.documents(10)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 10)
            before = refused_logins(kafka)
            set_password(kafka, "worker", "another")
            wait_for(lambda: running.state == "login failed", 60)
            time.sleep(4)
            assert 1 <= refused_logins(kafka) - before <= 3
            [problem] = [p for p in status(store, settings)["problems"] if p["code"] == "login"]
            assert "the login of worker with SCRAM-SHA-512 was refused" in problem["text"]
            changes = Alarms(store, settings, patience_seconds=0).check(lead(store))
            assert "system:login" in [c.fingerprint for c in changes]

            word.write_text("another\n")
            topic.documents(10)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 20, 30)
            wait_for(lambda: running.state == "running")

            set_password(kafka, "worker", "a third")
            wait_for(lambda: running.state == "login failed", 60)
            set_password(kafka, "worker", "another")
            topic.documents(10)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 30, 60)
        assert_sums(store, 30)
        assert "log replaced" not in running.states


@pytest.mark.timeout(60)
def test_a_wrong_password_is_tried_a_few_times_in_the_first_minute(
    secure_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that runs a hundred times as fast stands for the minutes; each look is a new client, as workers take."""
    settings = load_settings(
        kafka_bootstrap=secure_kafka.secure_bootstrap, kafka_options=options_of(secure_kafka, "worker"),
        kafka_password="wrong",
    )  # fmt: skip
    real, speed = time.monotonic, 60.0
    begin = real()

    class Fast:
        @staticmethod
        def monotonic() -> float:
            return begin + (real() - begin) * speed

    monkeypatch.setattr(logins, "time", Fast)
    before = refused_logins(secure_kafka)
    for _ in range(20):  # ten seconds: ten minutes of the fast clock
        with pytest.raises(LoginFailed):
            clients.admin(settings)
        time.sleep(0.5)
        if real() - begin < 1.0:  # the first minute
            assert refused_logins(secure_kafka) - before <= 2
    tries = refused_logins(secure_kafka) - before
    assert 2 <= tries <= 6


def test_pauses_grow_and_end() -> None:
    record = logins.Logins()
    assert record.begin("a", 1)
    for expected in (30, 60, 120, 240, 300, 300):
        record.failed("a", "no")
        assert record.pause("a") == pytest.approx(expected, abs=0.5)
        assert not record.begin("a", 1)
        assert record.pause("b") == 0, "other credentials may be tried at once"
        record._until = 0.0
    assert record.begin("a", 1)
    assert not record.begin("a", 1), "one at a time, while the last one failed"
    record.succeeded()
    assert record.begin("a", 1)
    assert record.begin("a", 1)


def test_a_file_that_breaks_leaves_the_last_options_in_force(
    tmp_path: Path, secure_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "options.json"
    path.write_text(json.dumps({**options_of(secure_kafka, "worker"), "sasl_plain_password": "worker-secret"}))
    monkeypatch.setenv("BAROMETER_KAFKA_OPTIONS_FILE", str(path))
    monkeypatch.setattr("barometer.broker.access.LOOK_SECONDS", 0.0)
    settings = load_settings(kafka_bootstrap=secure_kafka.secure_bootstrap)
    access = Access(settings)
    good = dict(access.options)
    path.write_text("{")
    access.renew()
    assert access.options == good
    clients.admin(settings).close()  # a new client, too
    with pytest.raises(SettingsError, match="not valid JSON"):
        load_settings(kafka_bootstrap=secure_kafka.secure_bootstrap)
    path.unlink()
    access.renew()
    assert access.options == good
    path.write_text(json.dumps(good | {"sasl_plain_username": "monitor", "sasl_plain_password": "monitor-secret"}))
    access.renew()
    assert access.principal() == "User:monitor"
    clients.admin(settings).close()


# --- tokens ----------------------------------------------------------------------------------------------------------


def by_token(kafka: ApacheKafka, tokens: TokenServer, settings: Settings, **others: object) -> Settings:
    values = settings.model_dump(exclude_unset=True) | {
        "kafka_bootstrap": kafka.secure_bootstrap,
        "kafka_options": {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "ssl_cafile": str(kafka.tls / "ca.pem"),
        },
        "kafka_oauth_token_url": tokens.url,
        "kafka_oauth_client_id": "barometer",
        "kafka_oauth_client_secret": tokens.secret,
        "kafka_oauth_scope": "kafka",
    }
    return Settings(**(values | others))


@pytest.mark.timeout(90)
def test_a_worker_logs_in_with_tokens_and_renews_them(settings_for: MakeSettings, store: Store) -> None:
    with (
        make_kafka(secure=True, properties={"connections.max.reauth.ms": 5_000}) as kafka,
        TokenServer("worker", "hush", life=5.0) as tokens,
    ):
        plain = settings_for(kafka_bootstrap=kafka.bootstrap)
        all_of(kafka, plain, "worker")
        settings = by_token(kafka, tokens, plain)
        with topic_of(plain) as topic, worker(settings, store, KeywordScorer()) as running:
            for n in range(1, 5):
                topic.documents(5)
                topic.flush()
                wait_for(lambda n=n: totals(store)["records"] == 5 * n)  # type: ignore[misc]
                time.sleep(3)
            assert running.state == "running"
        assert tokens.given >= 3, "no token was renewed"
        assert {a["client"] for a in tokens.asked} == {"barometer"}
        assert {a["grant_type"] for a in tokens.asked} == {"client_credentials"}
        assert {a["scope"] for a in tokens.asked} == {"kafka"}
        assert not [a for a in tokens.asked if "client_secret" in a]
    assert_sums(store, 20)
    assert not {"login failed", "broker away"} & set(running.states)


def test_one_token_serves_all_clients_of_a_process(secure_kafka: ApacheKafka, plain: Settings) -> None:
    with TokenServer("worker", "hush") as tokens:
        settings = by_token(secure_kafka, tokens, plain)
        for _ in range(3):
            clients.admin(settings).close()
        assert tokens.given == 1


def test_a_token_server_that_refuses_or_is_away_is_named(
    secure_kafka: ApacheKafka, plain: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    with TokenServer("worker", "hush") as tokens:
        settings = by_token(secure_kafka, tokens, plain)
        monkeypatch.setenv("BAROMETER_KAFKA_OAUTH_CLIENT_SECRET_FILE", str(secret))
        values = settings.model_dump(exclude_unset=True)
        del values["kafka_oauth_client_secret"]
        settings = Settings(**values)
        for _ in range(3):
            with pytest.raises(LoginFailed, match="refuses the client barometer: invalid_client: no such client"):
                clients.admin(settings)
        assert len(tokens.asked) == 1, "a refused secret must not be tried again at once"
        secret.write_text("hush\n")
        clients.admin(settings).close()
        assert tokens.given == 1
    logins.forget_logins()
    with TokenServer("worker", "hush") as tokens:
        tokens.broken = True
        with pytest.raises(BrokerUnreachable, match=r"kafka_oauth_token_url.* gave no token: HTTP 503"):
            clients.admin(by_token(secure_kafka, tokens, plain))
    with pytest.raises(BrokerUnreachable, match=r"kafka_oauth_token_url.* does not answer"):
        clients.admin(by_token(secure_kafka, tokens, plain))


def test_a_broker_that_does_not_take_the_token_refuses_the_login(secure_kafka: ApacheKafka, plain: Settings) -> None:
    refused = "the login of barometer with OAUTHBEARER was refused"
    with TokenServer("worker", "hush", life=-60) as tokens, pytest.raises(LoginFailed, match=refused):
        clients.admin(by_token(secure_kafka, tokens, plain))


def test_another_version_of_the_library_is_used_as_it_is(
    secure_kafka: ApacheKafka, plain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its insides may be others: then it connects, and fails, in its own way."""
    monkeypatch.setattr("barometer.broker.manager.KNOWN", ())
    settings = as_user(plain, secure_kafka, "worker")
    client = clients.admin(settings)
    assert type(client._client).__module__ == "kafka.net.compat"
    assert client.describe_cluster()["cluster_id"] == secure_kafka.cluster_id
    client.close()
    with pytest.raises((BrokerUnreachable, LoginFailed)):
        clients.admin(as_user(plain, secure_kafka, "worker", kafka_password="wrong"), bootstrap_timeout_ms=1_000)


def test_topics_are_made_through_a_login(secure_kafka: ApacheKafka, plain: Settings) -> None:
    settings = as_user(plain, secure_kafka, "worker")
    secure_kafka.allow("worker", "All", topic=plain.topic_documents)
    ensure_topics(settings)
