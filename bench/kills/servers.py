"""The servers that are killed too: PostgreSQL, and a broker whose log outlives it.

The broker is Tansu on ``s3://``: its log is in an object store (moto, in a process of its own that nobody kills), so
that a broker that was killed and started anew with the same cluster id has all that it ever acknowledged.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from barometer.errors import BarometerError
from ingest.local_broker.child_processes import die_with_parent
from ingest.local_broker.embedded_broker import _binary, _free_port, _listens
from testing.postgres import PostgresServer, make_postgres

READY_SECONDS = 30.0
BUCKET = "log"


class DurableBroker:
    """Tansu with its log in an object store. :meth:`start` after a kill finds the log again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._s3 = _free_port(), _free_port()
        self.cluster_id = f"durable-{uuid.uuid4().hex[:12]}"
        self.pid_file = folder / "broker.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._moto: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._s3}"
        return {
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT": url,
            "AWS_ENDPOINT_URL": url,
        }

    def open(self) -> None:
        """Start the object store, make its bucket, start the broker."""
        import boto3

        with (self.folder / "s3.log").open("ab") as out:
            self._moto = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._s3)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )
        _await(self._s3, self._moto, "the object store")
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._s3}",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=BUCKET)
        self.start()

    def start(self) -> None:
        url = f"tcp://{self.bootstrap}"
        with (self.folder / "broker.log").open("ab") as out:
            self._process = subprocess.Popen(
                [
                    _binary(),
                    "broker",
                    "--cluster-id",
                    self.cluster_id,
                    "--listener-url",
                    url,
                    "--advertised-listener-url",
                    url,
                    "--storage-engine",
                    f"s3://{BUCKET}/",
                ],
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )
        self.pid_file.write_text(str(self._process.pid))
        _await(self.port, self._process, "the broker")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        if self._moto is not None:
            self._moto.kill()
            self._moto.wait()


def _await(port: int, process: subprocess.Popen[bytes], what: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BarometerError(f"{what} did not come up on port {port}")
        time.sleep(0.02)


class Postgres:
    """A PostgreSQL server to be killed. What it acknowledged is in its write-ahead log, which a kill leaves alone."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.pid_file = server.data / "postmaster.pid"
        self._pid = self._read_pid()
        with self._connect() as c:  # the tests' server answers before a commit is written, to be quick
            c.execute("ALTER ROLE barometer SET synchronous_commit = on")

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.url, autocommit=True, connect_timeout=5)

    def _read_pid(self) -> int:
        return int(self.pid_file.read_text().split()[0])

    def database(self, template: str | None = None) -> str:
        """The URL of a new database, empty or a copy of ``template`` (a database's URL)."""
        name = f"k_{uuid.uuid4().hex[:12]}"
        source = make_url(template).database if template else "template1"
        with self._connect() as c:
            c.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        return make_url(self._server.url).set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        with self._connect() as c:
            c.execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    @property
    def alive(self) -> bool:
        try:
            stat = Path(f"/proc/{self._pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def start(self) -> None:
        """Start again after a kill; its orphans may hold the shared memory for a moment."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._server.start()
                break
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._pid = self._read_pid()

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def backends(self) -> list[int]:
        """Process ids of the clients' backends, our own left out."""
        with self._connect() as c:
            found = c.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return sorted(r[0] for r in found)


@contextmanager
def broker_and_database(postgres: bool = True) -> Iterator[tuple[DurableBroker, Postgres | None, Path]]:
    """Both servers, and a folder for everything of the run."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="barometer-kills-")))
        broker = DurableBroker(folder)
        stack.callback(broker.close)
        broker.open()
        database = stack.enter_context(own_postgres()) if postgres else None
        yield broker, database, folder


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    """A server of the run's own, gone at the end.

    Raises:
        BarometerError: PostgreSQL's programs are not here.
    """
    made = make_postgres()
    if isinstance(made, str):
        raise BarometerError(made)
    server, data = made
    try:
        yield Postgres(server)
    finally:
        _stop(server)
        shutil.rmtree(data, ignore_errors=True)


def _stop(server: PostgresServer) -> None:
    try:
        server.stop("immediate")
    except RuntimeError:
        pass
