"""``barometer produce``: files into the topic, sorted by time and paced if wanted, with a report of what was sent."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kafka.record.default_records import DefaultRecordBatchBuilder as Batch
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from barometer.errors import BarometerError
from barometer.files import STDIN, BadRow, Source
from barometer.files.preview import previewed_rows
from barometer.settings import Settings
from barometer.store.engine import Store, is_away
from barometer.store.migrate import open_store
from ingest.producing.archive import Archive
from ingest.producing.import_checks import (
    check_retention,
    check_still_there,
    check_topic,
    make_and_check_topic,
    report_lateness,
    report_topic_problems,
)
from ingest.producing.import_job import (
    Import,
    Plan,
    count,
    how_far,
    list_bad_rows,
    note_bad_row,
    now_ms,
    progress_bar,
    report_rows,
    say,
)
from ingest.producing.produce import Record, Sent, produce_records


def produce_files(settings: Settings, plan: Plan, console: Console) -> Sent:
    """Do it; the report goes to the console.

    Raises:
        BarometerError: a file cannot be read; a row cannot be sent; no broker, no store; something was not delivered.
        KeyboardInterrupt: after what was given to the broker is acknowledged, and reported.
    """
    job = Import(settings, plan, console)
    for path in plan.files:
        if path != STDIN and not Path(path).is_file():
            raise BarometerError(f"{path}: no such file")
    topic = check_topic(job)
    begin = time.monotonic()
    try:
        with ExitStack() as stack:
            store = stack.enter_context(_opened_store(settings)) if plan.wants_progress else None
            if plan.columns.time_column is None:
                with progress_bar(console) as bar:
                    records = _watched(job, bar, "sending")
                    first = list(itertools.islice(records, 1))  # with it the files are known to be what is meant
                    if first and topic is None:
                        topic = make_and_check_topic(job)
                    if first:
                        _send(job, store, itertools.chain(first, records), None)
            else:
                archive = stack.enter_context(Archive())
                with progress_bar(console) as bar:
                    _fill(archive, _watched(job, bar, "reading"))
                job.total = len(archive)
                job.records.tally.check(job.what)
                _refuse_nothing(job, job.total)
                if topic is None:
                    topic = make_and_check_topic(job)
                check_retention(job, topic, archive)
                report_lateness(job, store, archive)
                with progress_bar(console) as bar:
                    task = bar.add_task("sending", total=job.total)
                    _send(
                        job, store, _paced(archive, plan), lambda s: bar.update(task, completed=s.records + s.skipped)
                    )
        check_still_there(job)
    except KeyboardInterrupt:
        say(console, how_far(job))
        list_bad_rows(job)
        raise
    except BarometerError:
        if job.sent.records or job.sent.unknown:
            say(console, how_far(job))
        list_bad_rows(job)
        if job.sent.records:
            report_rows(job)
        if job.sent.unknown:
            report_topic_problems(job)
        raise
    seconds = time.monotonic() - begin
    sent = job.sent
    say(
        console,
        f"{count(sent.records, 'record')} into {plan.topic} in {seconds:.1f} s"
        + (f", with {count(sent.progress, 'progress record')}" if sent.progress else ""),
    )
    list_bad_rows(job)
    report_rows(job)
    job.records.tally.check(job.what)
    _refuse_nothing(job, sent.records)
    return sent


def _refuse_nothing(job: Import, records: int) -> None:
    if not records:
        raise BarometerError(f"{job.what}: every row was left out, nothing was sent")


@contextmanager
def _opened_store(settings: Settings) -> Iterator[Store]:
    try:
        store = open_store(settings, migrate=settings.database_url.startswith("sqlite"))
    except DBAPIError as e:
        if not is_away(e):
            raise
        raise BarometerError(
            "the store cannot be reached, and it holds the lease to write progress records. Start it, or use "
            f"--no-store to send without progress: {str(e.orig).strip().splitlines()[0]}"
        ) from e
    try:
        yield store
    finally:
        store.close()


def _fill(archive: Archive, records: Iterator[Record]) -> None:
    while chunk := list(itertools.islice(records, 10_000)):
        archive.add(chunk)


def _watched(job: Import, bar: Progress, what: str) -> Iterator[Record]:
    """All rows of all files as records, in the order of the files; bad ones are noted or raised."""
    plan = job.plan
    sizes = [os.path.getsize(path) for path in plan.files if path != STDIN]
    task = bar.add_task(what, total=sum(sizes) if len(sizes) == len(plan.files) else None, rows=0)
    # What a file is is said while the bar of progress runs, which prints it above itself.
    rows = itertools.chain.from_iterable(
        previewed_rows(
            Source(path, plan.form, lambda n: bar.advance(task, n)), job.records, lambda text: say(bar.console, text)
        )
        for path in plan.files
    )
    n = 0
    for n, row in enumerate(itertools.islice(rows, plan.limit), 1):
        if n % 100 == 0:
            bar.update(task, rows=n)
        try:
            if isinstance(row, BadRow):
                raise row
            record = job.records.record(row)
            _within_limits(job, record)
        except BadRow as e:
            note_bad_row(job, e)
            continue
        yield record
    bar.update(task, rows=n)


def _within_limits(job: Import, record: Record) -> None:
    """Raises BadRow for a row that the topic would refuse: such a row would hold up all that is sent with it."""
    # A little less than it will be: what is close to the limit is left to the broker.
    size = Batch.HEADER_STRUCT.size + Batch.size_of(record.key, record.value, [])
    why = job.limits.refuses(None if job.plan.shift_to_now else record.time_ms, size, now_ms())
    if why is not None:
        raise BadRow(f"{record.where}: {why}")


def _send(job: Import, store: Store | None, records: Iterable[Record], show: Callable[[Sent], None] | None) -> None:
    def on_sent(sent: Sent) -> None:
        job.sent = sent
        if show is not None and sent.records % 100 == 0:
            show(sent)

    job.sent = produce_records(
        job.settings,
        store,
        records,
        topic=job.plan.topic,
        progress=job.plan.wants_progress,
        on_sent=on_sent,
        on_bad=lambda e: note_bad_row(job, e),
    )
    if show is not None:
        show(job.sent)


def _paced(archive: Archive, plan: Plan) -> Iterator[Record]:
    """The archive in time order, each record when it is due."""
    begin, first = time.monotonic(), archive.first
    for record in archive:
        if plan.speed is not None and record.time_ms is not None and first is not None:
            wait = (record.time_ms - first) / 1000 / plan.speed - (time.monotonic() - begin)
            if wait > 0:
                time.sleep(wait)
        yield record._replace(time_ms=None) if plan.shift_to_now else record
