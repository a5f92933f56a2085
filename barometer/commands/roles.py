"""``barometer up | worker | monitor | dashboard | broker``: the processes of the product."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from barometer.commands.supervise import Supervisor, die_with_supervisor
from barometer.logs import configure_logging
from barometer.settings import settings

app = typer.Typer(add_completion=False)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, so that a role ends after what it is doing."""
    stop = threading.Event()

    def _stop(*_: object) -> None:
        stop.set()

    before = {s: signal.signal(s, _stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def _prepare() -> None:
    die_with_supervisor()
    configure_logging(settings())


@app.command()
def worker() -> None:
    """Read the topic, label the texts, write the store. Start as many as there are partitions to share."""
    from ingest.worker import worker_main
    from monitor.rebase import measure
    from monitor.watchdog import watching

    _prepare()
    with watching(settings()):
        worker_main(settings(), on_model=measure)


@app.command()
def monitor() -> None:
    """Seal buckets, judge them, raise alerts and send them. One process leads; others stand by."""
    from barometer.commands.monitoring import monitor_main

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
) -> None:
    """An embedded Kafka-compatible broker. Its log lives in memory and is gone when it stops: not for production."""
    from ingest.embedded_broker import EmbeddedBroker

    _prepare()
    with stopped_by_signals() as stop, EmbeddedBroker(port=port) as running:
        print(f"broker at {running.bootstrap}, cluster id {running.cluster_id}; Ctrl-C ends it and its log", flush=True)
        stop.wait()


@app.command()
def up(
    workers: int = typer.Option(1, min=1, help="Worker processes; SQLite allows one."),
) -> None:
    """Run worker, monitor and dashboard on this machine, restart what dies, end all on Ctrl-C."""
    from barometer.errors import SettingsError
    from barometer.store.migrate import open_store
    from monitor.watchdog import watching

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
