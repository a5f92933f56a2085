"""Is it still the log that the store was filled from? Another cluster, another topic of the same name, a log that was
cut off: each stops the worker until an operator decides.

A position above the partition's high-water mark is no cut: after an election the mark lies below what was read for as
long as too few replicas are in sync, and nothing is gone. A cut is believed where the broker tells of one by epochs
(KIP-320), or where the leader's own log ends before our position for longer than any election takes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from kafka import KafkaConsumer
from kafka.errors import LogTruncationError, OffsetOutOfRangeError

from barometer.errors import BarometerError, LogReplaced
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream import log_epochs
from barometer.store.stream.offsets import StoredOffset
from ingest.topic.ends import beginnings, endings, log_ends
from ingest.topic.preconditions import tell_of_topics
from ingest.topic.topics import describe_topic, ensure_topics, identity
from ingest.worker.consumer import cluster_of, topic_id_of
from ingest.worker.errors import NoBroker
from ingest.worker.positions import Positions
from ingest.worker.topic_identity import gone

log = structlog.get_logger(__name__)

MARK_SECONDS = 3.0
"""From a broker that knows no epochs: so long must its end lie before our position."""
ELECTION_SECONDS = 30.0
"""So long must the leader's own log end before our position, where no epoch tells of a cut."""
FORGET_SECONDS = 5.0
"""What was not seen again for so long is over."""
ANSWER_SECONDS = 3.0


class LogGuard:
    """Knows the log by its ids, and compares what the broker says of it with where we stand."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._topic = settings.topic_documents
        self._below: dict[int, tuple[float, float]] = {}
        """partition -> when its mark was first, and last, seen below our position."""
        self._refused: dict[int, tuple[float, float]] = {}
        """partition -> when our offset was first, and last, refused as out of range."""
        self.cluster = ""
        self.topic_id: str | None = None
        self.partitions = 0
        self.log_id = 0

    def look_up(self) -> None:
        """Make the topics where they are missing, and learn the log's ids.

        Raises:
            NoBroker: nobody answers, or the topics cannot be made.
        """
        try:
            ensure_topics(self._settings)
            self.cluster, _ = identity(self._settings, self._topic)
            self.partitions, self.topic_id = describe_topic(self._settings, self._topic)
        except BarometerError as e:
            raise NoBroker(str(e)) from e
        tell_of_topics(self._settings)

    def begin(self, consumer: KafkaConsumer, positions: Positions) -> None:
        """Watch this consumer from now on.

        Raises:
            LogReplaced: it is not our log.
        """
        self._consumer, self._positions = consumer, positions
        self.cluster = cluster_of(consumer) or self.cluster
        self.log_id = self.register()

    def register(self) -> int:
        """The id of the topic's present log in the store.

        Raises:
            LogReplaced: the broker's log is another one.
        """
        row = log_epochs.register_log(self._store, self.cluster, self._topic, self.partitions, self.topic_id)
        return int(row.id)

    def count(self, partitions: int) -> None:
        """The topic has so many partitions; they only ever become more."""
        if partitions > self.partitions:
            self.partitions = partitions
            self.register()

    # --- ids ---------------------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Ask the broker who it is, before anything that came over a new connection is taken for our log's."""
        try:
            cluster, topic_id = identity(self._settings, self._topic)
        except BarometerError as e:
            raise NoBroker(str(e)) from e
        self._expect(cluster, topic_id)

    def expect(self) -> None:
        """Compare the ids of the last metadata. Raises LogReplaced if they are not ours; unknown ones pass."""
        self._expect(cluster_of(self._consumer), topic_id_of(self._consumer, self._topic))

    def _expect(self, cluster: str | None, topic_id: str | None) -> None:
        cluster = self.cluster if cluster is None else cluster
        topic_id = self.topic_id if topic_id is None else topic_id
        if (cluster, topic_id) != (self.cluster, self.topic_id):
            self.cluster, self.topic_id = cluster, topic_id
            self.register()

    def look_for_what_is_stored(self, stored: Mapping[int, StoredOffset], missing: Mapping[int, int]) -> None:
        """Where no id of the topic tells its lives apart, the newest text of each partition must still be in it.

        Args:
            missing: the partitions that reading begins in now.
        """
        with self._store.read() as c:
            known = log_epochs.known_topic_id(c, self.log_id)
        if known is not None and self.topic_id is not None:
            return
        adopt = known is None and self.topic_id is not None
        ours = stored if adopt else {p: row for p, row in stored.items() if p in missing}
        reason = gone(self._settings, self._store, self.log_id, ours)
        if reason is not None:
            self.replaced(reason)
        if adopt and self.topic_id is not None:
            log_epochs.remember_topic_id(self._store, self.log_id, self.topic_id)

    # --- ends --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """No broker is connected: what was suspected must be seen anew."""
        self._below.clear()
        self._refused.clear()

    def compare(self) -> None:
        """Compare the marks of the last fetches with where we stand.

        Raises:
            LogReplaced: records that were read are gone.
        """
        self._judge(dict(self._positions.beyond_the_end()), self._below)

    def out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """The broker refuses our offset: deleted before we read it, or beyond the end of its log.

        Raises:
            LogReplaced: it is so, and no passing state of an election.
        """
        offsets: dict[int, int] = {tp.partition: int(at) for tp, at in error.args[0].items()}
        begin = beginnings(self._consumer, self._topic, offsets, ANSWER_SECONDS)
        gaps = {p: (at, begin[p]) for p, at in offsets.items() if at < begin.get(p, at)}
        if gaps:
            self.verify()
            self.replaced(log_epochs.trimmed(gaps))
        marks = endings(self._consumer, self._topic, offsets, ANSWER_SECONDS)
        self._judge({p: (at, marks.get(p)) for p, at in offsets.items()}, self._refused)

    def truncated(self, error: LogTruncationError) -> None:
        """The leader's log parts from what we read (KIP-320: an unclean election); it may say from where on.

        Raises:
            LogReplaced: always.
        """
        known = {tp.partition: int(at.offset) for tp, at in error.divergent_offsets.items() if at is not None}
        positions = self._positions.all()
        if known and len(known) == len(error.divergent_offsets):
            self._shorter({p: (max(positions[p].next_offset, at), at) for p, at in known.items() if p in positions})
        self.replaced(f"the broker says that the log was cut off, and not where: {error}")

    def _judge(self, beyond: Mapping[int, tuple[int, int | None]], since: dict[int, tuple[float, float]]) -> None:
        """Is the log cut off, of which we seem to stand beyond the end?

        Args:
            beyond: partition -> (our offset, its mark where that is known).
            since: when that was first and last seen of each partition; kept here.
        """
        now = time.monotonic()
        for p in [p for p, (_, last) in since.items() if now - last > FORGET_SECONDS]:
            del since[p]
        if not beyond:
            return
        for p in beyond:
            since[p] = (since.get(p, (now, now))[0], now)
        ends = log_ends(self._consumer, self._topic, beyond, ANSWER_SECONDS)
        if ends is None:
            marks = {p: (at, mark) for p, (at, mark) in beyond.items() if mark is not None and mark < at}
            shorter = {p: found for p, found in marks.items() if now - since[p][0] >= MARK_SECONDS}
        else:
            for p, (at, _) in beyond.items():
                if ends.get(p, -1) >= at:
                    del since[p]  # all that we read is in the leader's log
            shorter = {
                p: (at, ends[p])
                for p, (at, _) in beyond.items()
                if ends.get(p, at) < at and now - since[p][0] >= ELECTION_SECONDS
            }
        if shorter:
            self._shorter(shorter)

    def _shorter(self, beyond: dict[int, tuple[int, int]]) -> None:
        """The log ends before our position: {partition: (our offset, its end)}."""
        self.verify()
        if self.topic_id is None:
            # Cut off, or another topic: nobody can tell.
            self.replaced(
                "; ".join(f"partition {p}: we stand at {at}, the log ends at {end}" for p, (at, end) in beyond.items())
            )
        self.replaced(log_epochs.cut(beyond))

    def replaced(self, reason: str) -> None:
        """Stop all writers of this log. Raises LogReplaced."""
        log_epochs.mark_replaced(self._store, self.log_id, reason)
        raise LogReplaced(f"{self._topic}: {reason}")

    def find_gaps(self, stored: Mapping[int, StoredOffset], begin: Mapping[int, int]) -> None:
        """Raises LogReplaced where records were deleted before they were read.

        Args:
            begin: the first offsets of the partitions that reading begins in now.
        """
        gaps = {
            p: (stored[p].next_offset, first)
            for p, first in begin.items()
            if p in stored and stored[p].next_offset < first
        }
        if gaps:
            self.replaced(log_epochs.trimmed(gaps))

    def missing_rows(self, stored: Mapping[int, StoredOffset]) -> list[int]:
        """Partitions of the topic that the store has no row of yet, whoever reads them: what waits in them counts."""
        return [p for p in range(self.partitions) if p not in stored]
