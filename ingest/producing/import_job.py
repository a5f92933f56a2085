"""An import: what to do, how far it came, and what is said of it on the console."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from barometer.errors import BarometerError
from barometer.files import STDIN, Form
from barometer.settings import Settings
from ingest.producing.files import Columns, Records
from ingest.producing.produce import Sent
from ingest.topic.record_limits import Limits

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

    @property
    def wants_progress(self) -> bool:
        """Whether the import writes progress records."""
        return self.use_store and self.columns.time_column is not None and not self.shift_to_now


@dataclass
class Import:
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


def note_bad_row(job: Import, error: BarometerError) -> None:
    if not job.plan.skip_bad:
        raise BarometerError(f"{error}\n(--skip-bad leaves such rows out and lists them at the end)") from None
    job.bad_count += 1
    if len(job.bad) < LISTED:
        job.bad.append(str(error))


def list_bad_rows(job: Import) -> None:
    if job.bad_count:
        say(job.console, f"{count(job.bad_count, 'row')} left out:")
        for line in job.bad:
            say(job.console, f"  {line}")
        if job.bad_count > len(job.bad):
            say(job.console, f"  ... and {job.bad_count - len(job.bad):,} more")


def report_rows(job: Import) -> None:
    for line in job.records.tally.lines():
        say(job.console, line)
    for column in sorted(job.records.unseen):
        say(job.console, f"no row had {column!r} (--map)")


def how_far(job: Import) -> str:
    sent = job.sent
    of = f" of {job.total:,}" if job.total is not None else ""
    time_ms = sent.last_time_ms
    when = f", {local_time(time_ms, job.settings)}" if time_ms is not None else ""
    unknown = f", {sent.unknown:,} more may be (the broker did not answer)" if sent.unknown else ""
    if not sent.records and not unknown:
        return f"stopped: none{of or ' of the rows'} was sent"
    last = f"; the last that was given to the broker is {sent.last_where}{when}" if sent.last_where else ""
    return f"stopped: {count(sent.records, 'record')}{of} in the log{unknown}{last}"


def say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)  # long lines are for the terminal to break


def count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def local_time(time_ms: int, settings: Settings) -> str:
    return datetime.fromtimestamp(time_ms / 1000, settings.zone).isoformat(sep=" ", timespec="seconds")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        done = task.fields.get("rows", task.completed)
        return Text(f"{done:,.0f} rows, {done / max(task.elapsed or 0, 1e-3):,.0f}/s")


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000
