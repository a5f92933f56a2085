"""``barometer status | db | log``: what an operator asks and does."""

from __future__ import annotations

import getpass
import json
import sys

import typer
from sqlalchemy.exc import OperationalError

from app.commands.backup import db_backup, db_restore
from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.engine import Store, is_locked
from barometer.store.migrate import current, head, open_store, settle, upgrade
from barometer.store.search.index import rebuild
from barometer.when import in_zone

TOPICS_MS = 2_000
"""So long the broker is waited for, to look at the settings of the topics."""

app = typer.Typer(add_completion=False)
db = typer.Typer(help="The store: its schema, backups of it.", no_args_is_help=True)
log = typer.Typer(help="The log under the store.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(log, name="log")
db.command("backup")(db_backup)
db.command("restore")(db_restore)


@app.command()
def status(as_json: bool = typer.Option(False, "--json", help="One JSON object, for machines.")) -> None:
    """Lag, throughput, counts, late records, sources, jobs, leader. Exit code 1 if something needs a person."""
    from app.commands.status_view import print_status
    from barometer.store.health.status import judge
    from barometer.store.health.status import status as read_status
    from ingest.topic.preconditions import report as look_at_topics

    s = settings()
    store = open_store(s)
    report = read_status(store, s, probe=True)
    try:
        report["topics"] = {"at": report["now"], **look_at_topics(s, timeout_ms=TOPICS_MS)}
        judge(report, s)
    except BarometerError as e:  # what the leader saw last stands in the store
        report["topics_not_asked"] = str(e)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, default=str))
    else:
        print_status(report, s.zone)
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
    have = current(Store(settings().database_url, make=False))
    print(f"store {have or 'empty'}, program {head()}")
    if have != head():
        raise BarometerError("run `barometer db upgrade`")


@db.command("reindex")
def db_reindex() -> None:
    """Build the search index anew, from the texts: it is emptied and all texts are queued in one transaction, and the
    monitor works through them, the newest first. May be run at any time, and again; killed, it has changed nothing."""
    store = open_store(settings())
    try:
        with store.write() as c:
            n = rebuild(c)
    except OperationalError as e:
        if not is_locked(e):
            raise
        raise BarometerError(
            "the search index is in use (a backup, perhaps): nothing was changed; run it again when that is over"
        ) from e
    print(f"{n:,} texts wait for the index; the monitor takes them in, and `barometer status` shows how far it is")


@log.command("show")
def log_show() -> None:
    """The lives of the topic that this store has seen, and who accepted the loss of one."""
    from barometer.store.stream.log_epochs import acceptances, known_topic_id, list_logs

    s = settings()
    store = open_store(s)
    with store.read() as c:
        for row in list_logs(c):
            state = "current" if row.current else "closed"
            topic_id = known_topic_id(c, row.id)
            note = f"  REPLACED: {row.replaced_reason}" if row.replaced_reason else ""
            print(
                f"{row.id:>4}  {state:<8} {row.topic}{f' ({topic_id})' if topic_id else ''}  cluster {row.cluster_id}  "
                f"{row.partitions} partitions{note}"
            )
        for act in acceptances(c, s.topic_documents):
            what = act.data
            why = f": {what['why']}" if what.get("why") else ""
            print(
                f"accepted {in_zone(act.at, s.zone)} by {act.actor}{why}  "
                f"(log {what['old_log']} -> {what['new_log']}: {what['reason']})"
            )


@log.command("accept")
def log_accept(
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    why: str = typer.Option("", "--why", help="Why, for the audit log."),
    from_beginning: bool = typer.Option(
        False, "--from-beginning", help="Read all that is in the log now, though part of it was read before."
    ),
) -> None:
    """Accept that the log was replaced or lost records: what was not read is lost. Reading goes on where it stood,
    behind the gap, or at the new log's beginning. The act is kept in the audit log with your name."""
    from barometer.store.stream.log_epochs import accept_replacement, current_log
    from ingest.topic.topics import identity

    s = settings()
    store = open_store(s)
    with store.read() as c:
        old = current_log(c, s.topic_documents)
    if old is None:
        raise BarometerError(f"this store has not read {s.topic_documents} yet: nothing to accept")
    cluster, topic_id = identity(s, s.topic_documents)
    print(f"old log: cluster {old.cluster_id}; now at {s.kafka_bootstrap}: cluster {cluster}")
    if old.replaced_reason:
        print(f"why reading stopped: {old.replaced_reason}")
    if not yes:
        if not typer.confirm("接受损失吗？旧日志里没有读的不会再读 / What was not read of the old log is lost. Go on?"):
            raise typer.Exit(1)
        why = why or typer.prompt("原因（写入审计日志）/ Why (kept in the audit log)", default="")
    log_id = accept_replacement(store, s, getpass.getuser(), cluster, topic_id, why=why, from_beginning=from_beginning)
    goes_on = "go on where they stood, or behind the gap" if log_id == old.id else f"go on with log {log_id}"
    print(f"accepted: workers {goes_on}")
