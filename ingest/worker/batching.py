"""Batches: entries collected until one transaction should write them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from barometer.records import DeadLetter, Document, Entry, Progress, Tombstone
from barometer.store.stream.batch import Move
from ingest.worker.positions import Position

QUIET_LINGER_SECONDS = 0.25
"""Progress records alone wait this long for more of their kind: every partition has one every few seconds."""


@dataclass(slots=True)
class Work:
    """A batch on its way through the stages; ``generation`` says whether it may still be written."""

    generation: int
    log_id: int
    moves: list[Move]
    documents: list[Document]
    letters: list[DeadLetter]
    started: float
    """When its first record was taken, on the monotonic clock."""

    @property
    def records(self) -> int:
        return sum(m.records for m in self.moves)


@dataclass(slots=True)
class Assembler:
    """Collects entries until there are enough documents, or the first has waited long enough.

    Args:
        limit: documents in a batch.
        linger_seconds: how long the first entry waits for more.
    """

    limit: int
    linger_seconds: float
    _moves: dict[int, Move] = field(default_factory=dict)
    _documents: list[Document] = field(default_factory=list)
    _letters: list[DeadLetter] = field(default_factory=list)
    _started: float = 0.0

    def __bool__(self) -> bool:
        return bool(self._moves)

    @property
    def room(self) -> int:
        """How many more records to ask for."""
        return max(1, self.limit - len(self._documents) - len(self._letters))

    def add(self, position: Position, partition: int, offset: int, epoch: int | None, entry: Entry) -> None:
        """Take the partition's next entry and move its position on.

        Args:
            epoch: of the leader that wrote the record; None: not known.
        """
        position.lateness.see(entry)
        move = self._moved(position, partition, offset + 1, epoch)
        move.records += 1
        if isinstance(entry, Document):
            self._documents.append(entry)
            if move.last_observed_at is None or entry.observed_at > move.last_observed_at:
                move.last_observed_at = entry.observed_at
        elif isinstance(entry, DeadLetter):
            self._letters.append(entry)
        elif isinstance(entry, Progress):
            move.progress_records += 1
            if move.progress is None or entry.t > move.progress.t:
                move.progress = entry
        elif isinstance(entry, Tombstone):
            move.tombstones += 1
        else:
            raise TypeError(f"not an entry: {type(entry).__name__}")

    def skip(self, position: Position, partition: int, next_offset: int, epoch: int | None) -> None:
        """Move the position over offsets that hold no record for us: markers of transactions, aborted and compacted
        records."""
        self._moved(position, partition, next_offset, epoch)

    def _moved(self, position: Position, partition: int, next_offset: int, epoch: int | None) -> Move:
        if not self._moves:
            self._started = time.monotonic()
        move = self._moves.get(partition)
        if move is None:
            move = self._moves[partition] = Move(partition, position.expected, next_offset, 0)
        move.next_offset = position.next_offset = next_offset
        move.leader_epoch = position.epoch = epoch
        return move

    def due_in(self) -> float | None:
        """Seconds until the batch must go (0 or less: now); None while it is empty."""
        if not self._moves:
            return None
        if len(self._documents) + len(self._letters) >= self.limit:
            return 0.0
        quiet = not self._documents and not self._letters
        linger = max(self.linger_seconds, QUIET_LINGER_SECONDS) if quiet else self.linger_seconds
        return self._started + linger - time.monotonic()

    def take(self, generation: int, log_id: int, positions: dict[int, Position], ends: dict[int, int]) -> Work:
        """The batch so far; the assembler is empty after it, and the positions expect what it will leave."""
        for partition, move in self._moves.items():
            move.high_water = ends.get(partition)
            positions[partition].expected = move.next_offset
        work = Work(generation, log_id, list(self._moves.values()), self._documents, self._letters, self._started)
        self.clear()
        return work

    def clear(self) -> None:
        """Throw away what was collected."""
        self._moves, self._documents, self._letters = {}, [], []
