"""Which partitions are ours, and where reading stands in each: from the store, never from Kafka's own offsets.

kafka-python does not repeat a rebalance callback that fails, and delivery then starts at a default position. So the
callback does as little as can be: it pauses the partitions and marks them as unpositioned. The loop reads the store
(as often as it takes), seeks, resumes. Records of a partition that is not positioned are discarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from barometer.buckets import Buckets
from barometer.store.stream.offsets import StoredOffset
from ingest.worker.lateness import Lateness

log = structlog.get_logger(__name__)

PARKED = 0
"""Where a paused, unpositioned partition stands, so that the client asks nobody for a default."""


@dataclass(slots=True)
class Position:
    """A partition that is ours and positioned."""

    expected: int | None
    """The stored offset that the next batch starts at; None where the store has no row yet."""
    next_offset: int
    written: int
    lateness: Lateness
    epoch: int | None = None
    """Of the leader that wrote the record before ``next_offset``; None: not known."""


def known_epoch(epoch: int | None) -> int | None:
    """A leader's epoch as it is stored: None where the broker gave none (the client says -1 then)."""
    return None if epoch is None or epoch < 0 else epoch


class Positions(ConsumerRebalanceListener):
    """The positions of one consumer; also its rebalance listener.

    ``generation`` grows whenever anything that was read before must no longer be written by us: at a rebalance, and
    when a write was refused. Whatever is in flight carries the generation that it was read in.
    """

    def __init__(
        self, consumer: KafkaConsumer, topic: str, buckets: Buckets, lateness_ms: int, timestamps: bool
    ) -> None:
        self._consumer, self._topic = consumer, topic
        self._buckets, self._lateness_ms, self._timestamps = buckets, lateness_ms, timestamps
        self._positioned: dict[int, Position] = {}
        self.generation = 0
        self.rebalances = 0

    # The callbacks run in the client's own thread while our thread waits inside poll().

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._forget(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._forget(lost)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.rebalances += 1
        self._forget(assigned)
        for tp in assigned:
            self._consumer.pause(tp)
            self._consumer.seek(tp, PARKED)

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        self.generation += 1
        for tp in partitions:
            self._positioned.pop(tp.partition, None)

    # Called by the loop.

    def forget_all(self) -> None:
        """Everything must be read from the store again: somebody else wrote, or the client lost its place."""
        self.generation += 1
        self._positioned.clear()
        for tp in self._consumer.assignment():
            self._consumer.pause(tp)
            self._consumer.seek(tp, PARKED)

    def assigned(self) -> list[int]:
        """Our partitions by the group's word, positioned or not."""
        return sorted(tp.partition for tp in self._consumer.assignment())

    def unpositioned(self) -> list[int]:
        """Our partitions that the store has to be asked for."""
        return [p for p in self.assigned() if p not in self._positioned]

    def place(self, stored: Mapping[int, StoredOffset], beginnings: Mapping[int, int]) -> None:
        """Seek the unpositioned partitions to where the store stands, or to the log's beginning.

        The position carries the epoch of the leader that wrote the record before it: if that part of the log is gone
        since, the broker says so (KIP-320), however far the log has grown again.

        Args:
            stored: from :func:`barometer.store.stream.offsets.read_offsets`, read after the last change of generation.
            beginnings: the log's first offset of partitions; others are left unpositioned.
        """
        starts: dict[int, int] = {}
        for p in self.unpositioned():
            if p not in beginnings:
                continue
            row = stored.get(p)
            epoch = None if row is None else row.leader_epoch
            start = beginnings[p] if row is None else row.next_offset
            progress = None if row is None else row.last_observed_at if self._timestamps else row.progress_t
            at = OffsetAndMetadata(start, "", -1 if epoch is None else epoch)
            self._consumer._subscription.seek(TopicPartition(self._topic, p), at)  # the public call takes no epoch
            self._positioned[p] = Position(
                expected=None if row is None else row.next_offset,
                next_offset=start,
                written=start,
                lateness=Lateness(self._buckets, self._lateness_ms, progress, from_timestamps=self._timestamps),
                epoch=epoch,
            )
            starts[p] = start
        log.info("positioned", offsets=starts)

    def get(self, partition: int) -> Position | None:
        """The partition's position; None if it is not ours or not positioned: its records are to be discarded."""
        return self._positioned.get(partition)

    def all(self) -> dict[int, Position]:
        """The positioned partitions."""
        return dict(self._positioned)

    def pause(self) -> None:
        """Deliver nothing for now (back-pressure); polling goes on, so that the group keeps us."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """Deliver the positioned partitions again."""
        if not self._consumer.paused():
            return
        ours = {tp.partition for tp in self._consumer.assignment()}
        self._consumer.resume(*(TopicPartition(self._topic, p) for p in self._positioned if p in ours))

    def ends(self) -> dict[int, int]:
        """The end (high-water mark) of each positioned partition as the last fetch told it."""
        out = {}
        for p in list(self._positioned):
            end = self._consumer.highwater(TopicPartition(self._topic, p))
            if end is not None:
                out[p] = int(end)
        return out

    def passed(self) -> Iterator[tuple[int, int, int | None]]:
        """(partition, offset, epoch) where the client has read past offsets that it had no record to give for."""
        for p, position in list(self._positioned.items()):  # the client's thread may forget some meanwhile
            state = self._consumer._subscription.assignment.get(TopicPartition(self._topic, p))
            at = None if state is None else state.position
            if at is not None and at.offset > position.next_offset:
                yield p, at.offset, known_epoch(at.leader_epoch)

    def beyond_the_end(self) -> dict[int, tuple[int, int]]:
        """Partitions whose log ends before our position: {partition: (our offset, its end)}."""
        positioned = self.all()
        return {
            p: (positioned[p].next_offset, end)
            for p, end in self.ends().items()
            if p in positioned and end < positioned[p].next_offset
        }
