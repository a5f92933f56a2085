"""``barometer produce``: files into the topic, sorted by time and paced if wanted, with a report of what was sent."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from barometer.buckets import Buckets
from barometer.errors import BarometerError
from barometer.files import STDIN, BadRow, read_rows
from barometer.settings import Settings
from barometer.store.engine import Store, is_away
from barometer.store.migrate import open_store
from ingest.archive import Archive
from ingest.files import Columns, Mapper
from ingest.produce import Record, Sent, make_topic, passed_until, produce_records

LISTED = 100
"""So many bad rows are listed at the end; the others are counted."""


@dataclass(frozen=True)
class Plan:
    """What to produce and how.

    Args:
        files: paths, or ``-``.
        columns: how rows become messages; with a time column records are sent in time order, with progress.
        encoding: of the files.
        topic: where to.
        speed: so many times the clock (60: an hour in a minute); None: as fast as it goes.
        shift_to_now: records get the time at which they are sent, as on a live stream.
        limit: at most so many rows; None: all.
        skip_bad: leave out rows that cannot be sent, and list them at the end.
        use_store: False: no lease and no progress records.
    """

    files: Sequence[str]
    columns: Columns
    topic: str
    encoding: str = "utf-8"
    speed: float | None = None
    shift_to_now: bool = False
    limit: int | None = None
    skip_bad: bool = False
    use_store: bool = True


@dataclass
class _Import:
    settings: Settings
    plan: Plan
    console: Console
    bad: list[str] = field(default_factory=list)
    bad_count: int = 0
    sent: Sent = field(default_factory=Sent)


def produce_files(settings: Settings, plan: Plan, console: Console) -> Sent:
    """Do it; the report goes to the console.

    Raises:
        BarometerError: a file cannot be read; a row cannot be sent; no broker, no store; something was not delivered.
        KeyboardInterrupt: after what was given to the broker is acknowledged, and reported.
    """
    job = _Import(settings, plan, console)
    for path in plan.files:
        if path != STDIN and not Path(path).is_file():
            raise BarometerError(f"{path}: no such file")
    make_topic(settings, plan.topic)
    begin = time.monotonic()
    total: int | None = None
    try:
        with ExitStack() as stack:
            store = stack.enter_context(_opened_store(settings)) if _wants_progress(plan) else None
            if plan.columns.time_column is None:
                with _bar(console) as bar:
                    records = _watched(job, bar, "sending")
                    _send(job, store, records, None)
            else:
                archive = stack.enter_context(Archive())
                with _bar(console) as bar:
                    _fill(archive, _watched(job, bar, "reading"))
                total = len(archive)
                _tell_of_lateness(job, store, archive)
                with _bar(console) as bar:
                    task = bar.add_task("sending", total=total)
                    _send(
                        job, store, _paced(archive, plan), lambda s: bar.update(task, completed=s.records + s.skipped)
                    )
    except KeyboardInterrupt:
        _say(console, _how_far(job, total))
        _list_bad(job)
        raise
    except BarometerError:
        if job.sent.records:
            _say(console, _how_far(job, total))
        raise
    seconds = time.monotonic() - begin
    sent = job.sent
    _say(
        console,
        f"{_count(sent.records, 'record')} into {plan.topic} in {seconds:.1f} s"
        + (f", with {_count(sent.progress, 'progress record')}" if sent.progress else ""),
    )
    _list_bad(job)
    return sent


def _wants_progress(plan: Plan) -> bool:
    return plan.use_store and plan.columns.time_column is not None and not plan.shift_to_now


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


def _watched(job: _Import, bar: Progress, what: str) -> Iterator[Record]:
    """All rows of all files as records, in the order of the files; bad ones are noted or raised."""
    plan = job.plan
    sizes = [os.path.getsize(path) for path in plan.files if path != STDIN]
    task = bar.add_task(what, total=sum(sizes) if len(sizes) == len(plan.files) else None, rows=0)
    mapper = Mapper(plan.columns)
    rows = itertools.chain.from_iterable(
        read_rows(path, plan.encoding, lambda n: bar.advance(task, n)) for path in plan.files
    )
    n = 0
    for n, row in enumerate(itertools.islice(rows, plan.limit), 1):
        if n % 100 == 0:
            bar.update(task, rows=n)
        try:
            if isinstance(row, BadRow):
                raise row
            record = mapper.record(row)
        except BadRow as e:
            _note_bad(job, e)
            continue
        yield record
    bar.update(task, rows=n)


def _note_bad(job: _Import, error: BarometerError) -> None:
    if not job.plan.skip_bad:
        raise BarometerError(f"{error}\n(--skip-bad leaves such rows out and lists them at the end)") from None
    job.bad_count += 1
    if len(job.bad) < LISTED:
        job.bad.append(str(error))


def _list_bad(job: _Import) -> None:
    if job.bad_count:
        _say(job.console, f"{_count(job.bad_count, 'row')} left out:")
        for line in job.bad:
            _say(job.console, f"  {line}")
        if job.bad_count > len(job.bad):
            _say(job.console, f"  ... and {job.bad_count - len(job.bad):,} more")


def _send(job: _Import, store: Store | None, records: Iterable[Record], show: Callable[[Sent], None] | None) -> None:
    def on_sent(sent: Sent) -> None:
        job.sent = sent
        if show is not None and sent.records % 100 == 0:
            show(sent)

    job.sent = produce_records(
        job.settings,
        store,
        records,
        topic=job.plan.topic,
        progress=_wants_progress(job.plan),
        on_sent=on_sent,
        on_bad=lambda e: _note_bad(job, e),
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


def _tell_of_lateness(job: _Import, store: Store | None, archive: Archive) -> None:
    passed = None if store is None else passed_until(job.settings, store, job.plan.topic)
    if passed is None:
        return
    start = Buckets(job.settings.bucket_seconds, job.settings.zone).start_of(passed)
    late = archive.count_before(start)
    if late:
        _say(
            job.console,
            f"note: the topic has passed {_local(start, job.settings)}; {late:,} of {len(archive):,} rows are before "
            "that and will be stored, counted as late, and raise no alert",
        )


def _how_far(job: _Import, total: int | None) -> str:
    sent = job.sent
    of = f" of {total:,}" if total is not None else ""
    if not sent.records:
        return f"stopped: none{of or ' of the rows'} was sent"
    time_ms = sent.last_time_ms
    when = f", {_local(time_ms, job.settings)}" if time_ms is not None else ""
    return f"stopped: {_count(sent.records, 'record')}{of} given to the broker; the last is {sent.last_where}{when}"


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)  # long lines are for the terminal to break


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _local(time_ms: int, settings: Settings) -> str:
    return datetime.fromtimestamp(time_ms / 1000, settings.zone).isoformat(sep=" ", timespec="seconds")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        done = task.fields.get("rows", task.completed)
        return Text(f"{done:,.0f} rows, {done / max(task.elapsed or 0, 1e-3):,.0f}/s")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), _Rate(),
        TimeElapsedColumn(), TimeRemainingColumn(), console=console,
    )  # fmt: skip
