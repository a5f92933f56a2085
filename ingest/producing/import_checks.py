"""What is checked around an import: before anything is sent, and whether the broker has kept it."""

from __future__ import annotations

import time
from contextlib import suppress

from barometer.buckets import Buckets
from barometer.errors import BarometerError
from barometer.store.engine import Store
from ingest.producing.archive import Archive
from ingest.producing.import_job import Import, count, local_time, now_ms, say
from ingest.producing.produce import make_topic, passed_until
from ingest.topic.description import Topic, first_offsets, look
from ingest.topic.preconditions import check, check_archive
from ingest.topic.record_limits import limits

KNOWN_SECONDS = 5.0
"""A topic that was just made is known to all brokers after so long."""


def make_and_check_topic(job: Import) -> Topic | None:
    """The topic, made now if it is missing: files that turn out to be something else leave none behind."""
    make_topic(job.settings, job.plan.topic)
    return check_topic(job, KNOWN_SECONDS)


def check_topic(job: Import, seconds: float = 0.0) -> Topic | None:
    """Before anything is sent: what the topic takes, and whether it takes texts as they are at all.

    Args:
        seconds: so long it may take until the broker knows of it.
    """
    settings, plan = job.settings, job.plan
    deadline = time.monotonic() + seconds
    while not (found := look(settings, plan.topic)):
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.2)
    [topic] = found
    if topic.unchecked is not None:
        say(job.console, f"note: {topic.unchecked}")
    job.limits = limits(topic, settings)
    own_times = plan.columns.time_column is not None and not plan.shift_to_now
    ticks = plan.wants_progress and settings.progress_from == "records"
    for finding in check(settings, found):
        if (finding.name == "message.timestamp.type" and own_times) or (finding.name == "cleanup.policy" and ticks):
            raise BarometerError(f"{finding.text}. Nothing was sent")
        if finding.level == "problem":
            say(job.console, f"note: {finding.text}")
    return topic


def check_retention(job: Import, topic: Topic | None, archive: Archive) -> None:
    if topic is None:
        return
    now = now_ms()
    first = None if job.plan.shift_to_now else archive.first
    for finding in check_archive(topic, first, archive.size, now):
        if job.plan.despite_retention:
            say(job.console, f"note: {finding.text}")
            continue
        kept = topic.number("retention.ms") or 0
        rows = (
            f"; {archive.count_before(now - kept):,} of {len(archive):,} rows" if finding.name == "retention.ms" else ""
        )
        raise BarometerError(
            f"{finding.text}{rows}. Nothing was sent (--despite-retention sends them all the same, to be deleted)"
        )


def report_lateness(job: Import, store: Store | None, archive: Archive) -> None:
    passed = None if store is None else passed_until(job.settings, store, job.plan.topic)
    if passed is None:
        return
    start = Buckets(job.settings.bucket_seconds, job.settings.zone).start_of(passed)
    late = archive.count_before(start)
    if late:
        say(
            job.console,
            f"note: the topic has passed {local_time(start, job.settings)}; {late:,} of {len(archive):,} rows are "
            "before that and will be stored, counted as late, and raise no alert",
        )


def check_still_there(job: Import) -> None:
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
        say(job.console, f"note: whether the broker has kept what was sent could not be checked: {e}")
        return
    gone = {p: begins[p] for p, (first, _) in offsets.items() if begins.get(p, 0) > first}
    if gone:
        n = sum(min(begin, offsets[p][1] + 1) - offsets[p][0] for p, begin in gone.items())
        raise BarometerError(
            f"the broker has deleted what was sent into {topic} already, {count(n, 'record')} in "
            f"{count(len(gone), 'partition')}: see retention.ms and retention.bytes of the topic"
        )


def report_topic_problems(job: Import) -> None:
    """What the broker says of the topic, when it has not taken what was sent."""
    with suppress(BarometerError):
        for finding in check(job.settings, look(job.settings, job.plan.topic, timeout_ms=3_000)):
            if finding.level == "problem":
                say(job.console, f"note: {finding.text}")
