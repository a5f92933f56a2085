"""Real parts for tests: brokers, a PostgreSQL server with a fresh database each, a store on both, settings.

Each pytest-xdist worker starts its own brokers and, unless ``BAROMETER_TEST_POSTGRES`` names a server, its own
PostgreSQL.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import psycopg
import pytest
from argon2 import PasswordHasher
from sqlalchemy import make_url

from barometer.settings import Settings, load_settings
from barometer.store.accounts import users
from barometer.store.engine import Store
from barometer.store.migrate import open_store, upgrade
from ingest.local_broker.apache_kafka import ApacheKafka, NoKafka
from ingest.local_broker.embedded_broker import EmbeddedBroker
from testing.postgres import PostgresServer, make_postgres

ROOT = Path(__file__).resolve().parent.parent

# Tests run side by side: threads of one that wait for each other take the processors from the next.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A single example may be slow on a busy machine; each test has its own time limit.
hypothesis.settings.register_profile("barometer", deadline=None)
hypothesis.settings.load_profile("barometer")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The shared data and models; tests that need them skip where they are missing."""
    path = Path(os.environ.get("BAROMETER_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no shared data at {path} (set BAROMETER_SHARED)")
    return path


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Cheap hashes: every log-in would cost a fifth of a second. ``store/test_users.py`` sets the true ones back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


# --- brokers ---------------------------------------------------------------------------------------------------------
#
# Tests that ask for ``broker`` or ``own_broker`` run on the embedded broker; those marked ``both_brokers`` on Apache
# Kafka, too. ``pytest --broker kafka`` runs all of them on Kafka, but for those marked ``embedded_only(reason)``.

BROKER_FIXTURES = {"broker_kind", "kafka", "own_kafka", "secure_kafka"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker",
        choices=("default", "embedded", "kafka"),
        default="default",
        help="what tests that need a broker run on; default: the embedded one, those marked both_brokers on Kafka, too",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker_kind" not in metafunc.fixturenames:
        return
    wanted = metafunc.config.getoption("--broker")
    if metafunc.definition.get_closest_marker("embedded_only"):
        return
    if wanted == "kafka":
        metafunc.parametrize("broker_kind", ["kafka"], indirect=True, scope="session")
    elif wanted == "default" and metafunc.definition.get_closest_marker("both_brokers"):
        metafunc.parametrize("broker_kind", ["embedded", "kafka"], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    everywhere = config.getoption("--broker") == "kafka"
    chosen = [i for i in items if (_uses_a_broker(i) if everywhere else not _is_doubled(i))]
    config.hook.pytest_deselected(items=[i for i in items if i not in set(chosen)])
    for item in chosen if everywhere else ():
        only = item.get_closest_marker("embedded_only")
        if only:
            item.add_marker(pytest.mark.skip(reason=f"not on Kafka: {only.args[0]}"))
    items[:] = chosen


def _uses_a_broker(item: pytest.Item) -> bool:
    return bool(BROKER_FIXTURES & set(getattr(item, "fixturenames", ())))


def _is_doubled(item: pytest.Item) -> bool:
    """Whether a test on both brokers and both databases is on Kafka and SQLite, two that it meets each with another."""
    parameters = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
    return bool(parameters) and (parameters.get("broker_kind"), parameters.get("database_url")) == ("kafka", "sqlite")


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the session."""
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture(scope="session")
def broker_kind(request: pytest.FixtureRequest) -> str:
    """``embedded`` or ``kafka``."""
    return str(getattr(request, "param", "embedded"))


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, broker_kind: str) -> Broker:
    """One broker for the session; take topic names from :func:`settings_for`, which makes them unique."""
    found: Broker = request.getfixturevalue("kafka" if broker_kind == "kafka" else "embedded_broker")
    return found


@pytest.fixture
def own_broker(broker_kind: str) -> MakeBroker:
    """``with own_broker(port=0, cluster_id=None, advertised_port=None) as broker``: one that the test may kill."""

    def make(port: int = 0, cluster_id: str | None = None, advertised_port: int | None = None) -> Any:
        if broker_kind == "kafka":
            ports = {1: advertised_port} if advertised_port else {}
            return make_kafka(properties=KEEPS_ALL, port=port, cluster_id=cluster_id, advertised_ports=ports)
        return EmbeddedBroker(port, cluster_id, advertised_port=advertised_port)

    return make


class Broker(Protocol):
    """What the embedded broker and Apache Kafka have in common."""

    cluster_id: str

    @property
    def port(self) -> int: ...

    @property
    def bootstrap(self) -> str: ...

    def kill(self) -> None: ...


MakeBroker = Callable[..., AbstractContextManager[Broker]]


def make_kafka(*args: Any, **kwargs: Any) -> ApacheKafka:
    """An Apache Kafka that is not started yet; skips where this machine has none, or no Java for it."""
    try:
        return ApacheKafka(*args, **kwargs)
    except NoKafka as e:
        pytest.skip(str(e))


KEEPS_ALL = {"log.retention.ms": -1, "message.max.bytes": 64 * 2**20}
"""Kafka deletes by the records' times, and those of most tests are long past; its limit of a record is 1 MB."""


@pytest.fixture(scope="session")
def kafka() -> Iterator[ApacheKafka]:
    """One Apache Kafka of one broker for the session, about a second to start; do not kill it. It deletes nothing."""
    with make_kafka(properties=KEEPS_ALL) as running:
        yield running


@pytest.fixture(scope="session")
def secure_kafka() -> Iterator[ApacheKafka]:
    """One Apache Kafka with TLS, SASL and ACLs for the session; take away in the test what the test allowed."""
    with make_kafka(secure=True) as running:
        yield running


@pytest.fixture
def own_kafka() -> Iterator[Callable[..., ApacheKafka]]:
    """``own_kafka(brokers=1, secure=False, properties={...})``: a started Apache Kafka of the test's own.

    It deletes by age and limits sizes as Kafka does; ``properties=KEEPS_ALL`` as the shared one does.
    """
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(make_kafka(*args, **kwargs))


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a server that the tests may make databases in."""
    given = os.environ.get("BAROMETER_TEST_POSTGRES")
    if given:
        yield given
        return
    made = make_postgres()
    if isinstance(made, str):
        pytest.skip(made)
    server, folder = made
    try:
        yield server.url
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server for one test, which may stop and start it."""
    made = make_postgres()
    if isinstance(made, str):
        pytest.skip(made)
    server, folder = made
    try:
        yield server
    finally:
        try:
            server.stop("immediate")
        except RuntimeError:
            pass  # the test left it stopped
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(postgres_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, dropped at the end."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(postgres_url, autocommit=True) as c:
        c.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database, dropped after the test."""
    with database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a database at the present revision, to be copied: five times as fast as the migrations."""
    with database(postgres_url) as url:
        migrated(url)
        name = make_url(url).database
        assert name is not None
        yield name


@pytest.fixture
def fresh_postgres(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """The URL of a database at the present revision without rows, dropped after the test."""
    with database(postgres_url, postgres_template) as url:
        yield url


# --- the store -------------------------------------------------------------------------------------------------------


def migrated(url: str) -> None:
    """Bring an empty database to the present revision."""
    made = Store(url)
    upgrade(made)
    made.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file at the present revision, to be copied."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    migrated(f"sqlite:///{path}")
    return path


BOTH_DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH_DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database at the present revision, without rows; a test that asks runs on SQLite and PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("fresh_postgres"))


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """``settings_for(broker=..., database_url=..., **overrides)``: settings with names of this test's own."""
    tag = uuid.uuid4().hex[:10]

    def make(broker: Broker | None = None, database_url: str | None = None, **overrides: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": database_url or f"sqlite:///{tmp_path / 'store.db'}",
            "topic_documents": f"documents-{tag}",
            "topic_dlq": f"documents-{tag}.dlq",
            "topic_partitions": 3,
            "consumer_group": f"group-{tag}",
            "session_timeout_ms": 3_000,
            "worker_linger_ms": 20,
            "metrics_port_worker": 0,
            "metrics_port_monitor": 0,
        }
        if broker is not None:
            values["kafka_bootstrap"] = broker.bootstrap
        return load_settings(**(values | overrides))

    return make


@pytest.fixture
def store(database_url: str, settings_for: Callable[..., Settings]) -> Iterator[Store]:
    """A store without rows at the present revision, on SQLite and on PostgreSQL."""
    opened = open_store(settings_for(database_url=database_url))
    yield opened
    opened.close()


@pytest.fixture(params=BOTH_DATABASES)
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store without tables, on SQLite and on PostgreSQL."""
    postgres = request.param == "postgres"
    made = Store(request.getfixturevalue("empty_postgres") if postgres else f"sqlite:///{tmp_path / 'empty.db'}")
    yield made
    made.close()
