"""``barometer status | db | log``: what an operator asks and does."""

from __future__ import annotations

import getpass
import json
import sys

import typer

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.engine import Store
from barometer.store.migrate import current, head, open_store, settle, upgrade

app = typer.Typer(add_completion=False)
db = typer.Typer(help="The store's schema.", no_args_is_help=True)
log = typer.Typer(help="The log under the store.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(log, name="log")


@app.command()
def status(as_json: bool = typer.Option(False, "--json", help="One JSON object, for machines.")) -> None:
    """Lag, throughput, counts, late records, sources, jobs, leader. Exit code 1 if something needs a person."""
    from barometer.commands.status_view import print_status
    from barometer.store.status import status as read_status

    store = open_store(settings())
    report = read_status(store, settings())
    if as_json:
        print(json.dumps(report, ensure_ascii=False, default=str))
    else:
        print_status(report)
    if report.get("problems"):
        sys.exit(1)


@db.command("upgrade")
def db_upgrade() -> None:
    """Create the tables, or bring them to this program's revision. One transaction: all or nothing."""
    store = Store(settings().database_url)
    before = current(store)
    after = upgrade(store)
    settle(store, settings())
    print(f"the store is at revision {after}" + ("" if before == after else f" (was {before or 'empty'})"))


@db.command("current")
def db_current() -> None:
    """Print the store's revision and the one this program needs."""
    have = current(Store(settings().database_url))
    print(f"store {have or 'empty'}, program {head()}")
    if have != head():
        raise BarometerError("run `barometer db upgrade`")


@log.command("show")
def log_show() -> None:
    """The lives of the topic that this store has seen."""
    from barometer.store.logs import list_logs

    store = open_store(settings())
    with store.read() as c:
        for row in list_logs(c):
            state = "current" if row.current else "closed"
            note = f"  REPLACED: {row.replaced_reason}" if row.replaced_reason else ""
            print(f"{row.id:>4}  {state:<8} {row.topic}  cluster {row.cluster_id}  {row.partitions} partitions{note}")


@log.command("accept")
def log_accept(
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Accept that the log was replaced: what was not read from the old one is lost; reading starts at the new one's
    beginning. The act is kept in the audit log with your name."""
    from barometer.store.logs import accept_replacement, current_log
    from ingest.topics import cluster_id

    s = settings()
    store = open_store(s)
    with store.read() as c:
        old = current_log(c, s.topic_documents)
    if old is None:
        raise BarometerError(f"this store has not read {s.topic_documents} yet: nothing to accept")
    new = cluster_id(s)
    print(f"old log: cluster {old.cluster_id}; now at {s.kafka_bootstrap}: cluster {new}")
    if not yes and not typer.confirm("What the old log held and was not read is lost. Go on?"):
        raise typer.Exit(1)
    accept_replacement(store, s, actor=getpass.getuser(), cluster_id=new)
    print("accepted: workers go on from the beginning of the new log")
