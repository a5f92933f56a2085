"""``barometer up | worker | monitor | dashboard | broker``: the processes of the product."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import typer

from app.signals import stopped_by_signals
from app.supervise import Supervisor, die_with_supervisor
from barometer.logs import configure_logging
from barometer.settings import settings

app = typer.Typer(add_completion=False)


def _prepare() -> None:
    die_with_supervisor()
    configure_logging(settings())


@app.command()
def worker() -> None:
    """Read the topic, label the texts, write the store. Start as many as there are partitions to share."""
    from ingest.worker.main import worker_main
    from monitor.alarms.watchdog import watching
    from monitor.detection.rebase import measure

    _prepare()
    with watching(settings()):
        worker_main(settings(), on_model=measure)


@app.command()
def monitor() -> None:
    """Seal buckets, judge them, raise alerts and send them. One process leads; others stand by."""
    from app.commands.monitoring import monitor_main

    _prepare()
    monitor_main(settings())


@app.command()
def dashboard() -> None:
    """Serve the dashboard and the JSON API."""
    from dashboard.server import run_dashboard

    _prepare()
    run_dashboard(settings())


@app.command()
def broker(
    port: int = typer.Option(9092, help="Port on 127.0.0.1."),
    kafka: bool = typer.Option(
        False, "--kafka", help="Apache Kafka itself (BAROMETER_KAFKA_HOME, Java 17) in place of the embedded broker."
    ),
    brokers: int = typer.Option(1, help="With --kafka: 1, or 3 with replication factor 3."),
    secure: bool = typer.Option(False, "--secure", help="With --kafka: listeners with TLS and logins, and ACLs, too."),
    folder: Path | None = typer.Option(None, help="With --kafka: keeps the log here; else it is gone at the end."),
) -> None:
    """A broker to try things out on, embedded or Apache Kafka, whose log is gone when it stops: not for production."""
    from barometer.errors import BarometerError

    _prepare()
    if not kafka:
        if brokers != 1 or secure or folder:
            raise BarometerError("--brokers, --secure and --folder are for Apache Kafka: add --kafka")
        from ingest.local_broker.embedded_broker import EmbeddedBroker

        with stopped_by_signals() as stop, EmbeddedBroker(port=port) as running:
            print(f"broker at {running.bootstrap}, cluster id {running.cluster_id}; Ctrl-C ends it and its log")
            sys.stdout.flush()
            stop.wait()
        return
    from ingest.local_broker.apache_kafka import ApacheKafka

    made = ApacheKafka(brokers, secure, folder=folder, port=port, quick=False)
    with stopped_by_signals() as stop, made as cluster:
        print(f"Apache Kafka {cluster.version} at {cluster.bootstrap}, cluster id {cluster.cluster_id}")
        if secure:
            print(f"  TLS and SASL at {cluster.secure_bootstrap}: users {', '.join(cluster.users)} with NAME-secret")
            print(f"  client certificates at {cluster.mtls_bootstrap}: client.crt, client.key")
            print(f"  certificates in {cluster.tls}: ca.pem")
        print(f"set BAROMETER_KAFKA_BOOTSTRAP={cluster.bootstrap}")
        print(f"Ctrl-C ends it; its log stays in {folder}" if folder else "Ctrl-C ends it and its log", flush=True)
        stop.wait()


@app.command()
def up(
    workers: int = typer.Option(1, min=1, help="Worker processes; SQLite allows one."),
) -> None:
    """Run worker, monitor and dashboard on this machine, restart what dies, end all on Ctrl-C."""
    from barometer.errors import SettingsError
    from barometer.store.migrate import open_store
    from monitor.alarms.watchdog import watching

    s = settings()
    if workers > 1 and s.database_url.startswith("sqlite"):
        raise SettingsError(
            "--workers: SQLite allows one worker process; use PostgreSQL (BAROMETER_DATABASE_URL) for more"
        )
    open_store(s, migrate=True).close()
    supervisor = Supervisor()
    with stopped_by_signals() as stop, watching(s):
        try:
            for i in range(workers):
                supervisor.start("worker", i + 1)
            supervisor.start("monitor")
            supervisor.start("dashboard")
            print(f"dashboard: {s.public_url}   (users: barometer users add NAME)", flush=True)
            while not stop.is_set():
                supervisor.check()
                time.sleep(0.5)
        finally:
            supervisor.stop()
