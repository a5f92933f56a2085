from __future__ import annotations

import time
from zoneinfo import ZoneInfo

from barometer.buckets import Buckets
from barometer.records import DeadLetter, Document, Progress, Reason, Tombstone
from barometer.vocabulary import Kind
from ingest.worker.batching import QUIET_LINGER_SECONDS, Assembler
from ingest.worker.lateness import Lateness
from ingest.worker.positions import Position

BUCKETS = Buckets(600, ZoneInfo("UTC"))


def position(expected: int | None, start: int = 0) -> Position:
    return Position(expected, start, start, Lateness(BUCKETS, 0))


def document(at: int) -> Document:
    return Document(1, at, Kind.NEWS, "text", 1, 1, 1, False)


def letter() -> DeadLetter:
    return DeadLetter(1, 0, Reason.JSON, "", [], None, b"", 0, b"")


def test_moves_say_where_the_batch_begins_and_what_it_holds() -> None:
    a, b = position(None), position(40, 40)
    assembler = Assembler(100, 1.0)
    assembler.add(a, 0, 3, 7, document(5))  # a log that begins at 3
    assembler.add(a, 0, 4, 7, Tombstone(1))
    assembler.add(a, 0, 9, 7, document(2))  # a compacted stretch before it
    assembler.add(b, 1, 40, None, Progress(1, 700, "w", 1))
    assembler.add(b, 1, 41, None, Progress(1, 600, "w", 2))
    assembler.add(b, 1, 42, None, letter())
    work = assembler.take(7, 1, {0: a, 1: b}, {0: 20})
    first, second = work.moves
    assert (first.expected, first.next_offset, first.records, first.tombstones) == (None, 10, 3, 1)
    assert (first.last_observed_at, first.high_water, first.progress) == (5, 20, None)
    assert (second.expected, second.next_offset, second.records, second.progress_records) == (40, 43, 3, 2)
    assert second.progress is not None
    assert second.progress.t == 700
    assert (len(work.documents), len(work.letters), work.records, work.generation) == (2, 1, 6, 7)
    assert not assembler
    assembler.add(a, 0, 10, 7, document(6))
    (third,) = assembler.take(7, 1, {0: a}, {}).moves
    assert (third.expected, third.next_offset) == (10, 11)


def test_a_batch_goes_when_it_is_full_or_old() -> None:
    assembler, p = Assembler(2, 0.05), position(None)
    assert assembler.due_in() is None
    assembler.add(p, 0, 0, None, document(1))
    assert assembler.room == 1
    due = assembler.due_in()
    assert due is not None
    assert 0 < due <= 0.05
    assembler.add(p, 0, 1, None, letter())
    assert assembler.due_in() == 0.0
    assembler.take(0, 1, {0: p}, {})
    assembler.add(p, 0, 2, None, document(1))
    time.sleep(0.06)
    due = assembler.due_in()
    assert due is not None
    assert due <= 0


def test_progress_alone_waits_for_more_of_its_kind() -> None:
    assembler, p = Assembler(2, 0.0), position(None)
    assembler.add(p, 0, 0, None, Progress(1, 1, "w", 1))
    due = assembler.due_in()
    assert due is not None
    assert 0 < due <= QUIET_LINGER_SECONDS
    assembler.add(p, 0, 1, None, document(1))
    due = assembler.due_in()
    assert due is not None
    assert due <= 0, "a text is not made to wait for it"
