"""``barometer produce``: files into the topic, sorted by time and paced if wanted, with a report of what was sent."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kafka.record.default_records import DefaultRecordBatchBuilder as Batch
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from barometer.buckets import Buckets
from barometer.errors import BarometerError
from barometer.files import STDIN, BadRow, Form, Source
from barometer.files.look import looked_at
from barometer.settings import Settings
from barometer.store.engine import Store, is_away
from barometer.store.migrate import open_store
from ingest.producing.archive import Archive
from ingest.producing.files import Columns, Records
from ingest.producing.produce import Record, Sent, make_topic, passed_until, produce_records
from ingest.topic.description import Topic, first_offsets, look
from ingest.topic.preconditions import check, check_archive
from ingest.topic.record_limits import Limits, limits

KNOWN_SECONDS = 5.0
"""A topic that was just made is known to all brokers after so long."""
LISTED = 100
"""So many bad rows are listed at the end; the others are counted."""


@dataclass(frozen=True)
class Plan:
    """What to produce and how.

    Args:
        files: paths, or ``-``.
        columns: how rows become messages; with a time column records are sent in time order, with progress.
        form: how the files are read.
        topic: where to.
        speed: so many times the clock (60: an hour in a minute); None: as fast as it goes.
        shift_to_now: records get the time at which they are sent, as on a live stream.
        limit: at most so many rows; None: all.
        skip_bad: leave out rows that cannot be sent, and list them at the end.
        use_store: False: no lease and no progress records.
        despite_retention: send what the topic's retention will delete, too.
    """

    files: Sequence[str]
    columns: Columns
    topic: str
    form: Form = field(default_factory=Form)
    speed: float | None = None
    shift_to_now: bool = False
    limit: int | None = None
    skip_bad: bool = False
    use_store: bool = True
    despite_retention: bool = False


@dataclass
class _Import:
    settings: Settings
    plan: Plan
    console: Console
    limits: Limits = field(default_factory=Limits)
    total: int | None = None
    """Rows to send, where that is known."""
    bad: list[str] = field(default_factory=list)
    bad_count: int = 0
    sent: Sent = field(default_factory=Sent)
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        self.records = Records(self.plan.columns)

    @property
    def what(self) -> str:
        """The files, as messages name them."""
        return ", ".join("stdin" if path == STDIN else path for path in self.plan.files)


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
    topic = _look_at_topic(job)
    begin = time.monotonic()
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
                job.total = len(archive)
                job.records.tally.check(job.what)
                _refuse_nothing(job, job.total)
                _refuse_what_would_be_deleted(job, topic, archive)
                _tell_of_lateness(job, store, archive)
                with _bar(console) as bar:
                    task = bar.add_task("sending", total=job.total)
                    _send(
                        job, store, _paced(archive, plan), lambda s: bar.update(task, completed=s.records + s.skipped)
                    )
        _look_for_deleted(job)
    except KeyboardInterrupt:
        _say(console, _how_far(job))
        _list_bad(job)
        raise
    except BarometerError:
        if job.sent.records or job.sent.unknown:
            _say(console, _how_far(job))
        _list_bad(job)
        if job.sent.records:
            _tell_of_rows(job)
        if job.sent.unknown:
            _tell_of_problems(job)
        raise
    seconds = time.monotonic() - begin
    sent = job.sent
    _say(
        console,
        f"{_count(sent.records, 'record')} into {plan.topic} in {seconds:.1f} s"
        + (f", with {_count(sent.progress, 'progress record')}" if sent.progress else ""),
    )
    _list_bad(job)
    _tell_of_rows(job)
    job.records.tally.check(job.what)
    _refuse_nothing(job, sent.records)
    return sent


def _refuse_nothing(job: _Import, records: int) -> None:
    if not records:
        raise BarometerError(f"{job.what}: every row was left out, nothing was sent")


def _tell_of_rows(job: _Import) -> None:
    for line in job.records.tally.lines():
        _say(job.console, line)
    for column in sorted(job.records.unseen):
        _say(job.console, f"no row had {column!r} (--map)")


def _look_at_topic(job: _Import) -> Topic | None:
    """Before anything is sent: what the topic takes, and whether it takes texts as they are at all."""
    settings, plan = job.settings, job.plan
    deadline = time.monotonic() + KNOWN_SECONDS
    while not (found := look(settings, plan.topic)):
        if time.monotonic() > deadline:
            return None
        time.sleep(0.2)
    [topic] = found
    if topic.unchecked is not None:
        _say(job.console, f"note: {topic.unchecked}")
    job.limits = limits(topic, settings)
    own_times = plan.columns.time_column is not None and not plan.shift_to_now
    ticks = _wants_progress(plan) and settings.progress_from == "records"
    for finding in check(settings, found):
        if (finding.name == "message.timestamp.type" and own_times) or (finding.name == "cleanup.policy" and ticks):
            raise BarometerError(f"{finding.text}. Nothing was sent")
        if finding.level == "problem":
            _say(job.console, f"note: {finding.text}")
    return topic


def _refuse_what_would_be_deleted(job: _Import, topic: Topic | None, archive: Archive) -> None:
    if topic is None:
        return
    now = _now()
    first = None if job.plan.shift_to_now else archive.first
    for finding in check_archive(topic, first, archive.size, now):
        if job.plan.despite_retention:
            _say(job.console, f"note: {finding.text}")
            continue
        kept = topic.number("retention.ms") or 0
        rows = (
            f"; {archive.count_before(now - kept):,} of {len(archive):,} rows" if finding.name == "retention.ms" else ""
        )
        raise BarometerError(
            f"{finding.text}{rows}. Nothing was sent (--despite-retention sends them all the same, to be deleted)"
        )


def _look_for_deleted(job: _Import) -> None:
    """Behind an import: is all of it still there?

    Raises:
        BarometerError: the log begins behind the first of what was sent.
    """
    offsets, topic = job.sent.offsets, job.plan.topic
    if not offsets:
        return
    try:
        begins = first_offsets(job.settings, topic, sorted(offsets))
    except BarometerError as e:
        _say(job.console, f"note: whether the broker has kept what was sent could not be checked: {e}")
        return
    gone = {p: begins[p] for p, (first, _) in offsets.items() if begins.get(p, 0) > first}
    if gone:
        n = sum(min(begin, offsets[p][1] + 1) - offsets[p][0] for p, begin in gone.items())
        raise BarometerError(
            f"the broker has deleted what was sent into {topic} already, {_count(n, 'record')} in "
            f"{_count(len(gone), 'partition')}: see retention.ms and retention.bytes of the topic"
        )


def _tell_of_problems(job: _Import) -> None:
    """What the broker says of the topic, when it has not taken what was sent."""
    with suppress(BarometerError):
        for finding in check(job.settings, look(job.settings, job.plan.topic, timeout_ms=3_000)):
            if finding.level == "problem":
                _say(job.console, f"note: {finding.text}")


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
    # What a file is is said while the bar of progress runs, which prints it above itself.
    rows = itertools.chain.from_iterable(
        looked_at(
            Source(path, plan.form, lambda n: bar.advance(task, n)), job.records, lambda text: _say(bar.console, text)
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
            _note_bad(job, e)
            continue
        yield record
    bar.update(task, rows=n)


def _within_limits(job: _Import, record: Record) -> None:
    """Raises BadRow for a row that the topic would refuse: such a row would hold up all that is sent with it."""
    # A little less than it will be: what is close to the limit is left to the broker.
    size = Batch.HEADER_STRUCT.size + Batch.size_of(record.key, record.value, [])
    why = job.limits.refuses(None if job.plan.shift_to_now else record.time_ms, size, _now())
    if why is not None:
        raise BadRow(f"{record.where}: {why}")


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


def _how_far(job: _Import) -> str:
    sent = job.sent
    of = f" of {job.total:,}" if job.total is not None else ""
    time_ms = sent.last_time_ms
    when = f", {_local(time_ms, job.settings)}" if time_ms is not None else ""
    unknown = f", {sent.unknown:,} more may be (the broker did not answer)" if sent.unknown else ""
    if not sent.records and not unknown:
        return f"stopped: none{of or ' of the rows'} was sent"
    last = f"; the last that was given to the broker is {sent.last_where}{when}" if sent.last_where else ""
    return f"stopped: {_count(sent.records, 'record')}{of} in the log{unknown}{last}"


def _now() -> int:
    return time.time_ns() // 1_000_000


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
