"""Whatever order partitions are read in, whoever is killed in between and whatever clocks do: sealed buckets depend on
the log alone. A state machine over the real store, held against a model that reads the log as a book.

The model: partition by partition, a text is late if progress before it, in its own partition, had passed its bucket's
end. A bucket's count is that of its texts that are not late, over all partitions; it is sealed when the least progress
over all partitions has passed its end, and then never changes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck
from hypothesis import settings as rules
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, insert, select

from barometer.buckets import Buckets
from barometer.errors import StaleWrite
from barometer.records import Document, Prediction, Progress, fingerprint, hash64, pack_row
from barometer.settings import Settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind, Sentiment
from ingest.worker.lateness import Lateness
from monitor.sealing.seal import Sealer

WIDTH, LATE = 600_000, 120_000
T0 = 1_760_000_400_000
PARTITIONS = 3
Entry = Document | Progress
partitions = st.integers(0, PARTITIONS - 1)


class Reader:
    """A worker: reads from where the store stood when it looked, decides what is late as it goes, may be stale."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.writer = Writer(machine.store, Buckets(WIDTH // 1000, machine.settings.zone))
        self.stands: dict[int, tuple[int | None, Lateness]] = {}

    def read(self, p: int, n: int, *, commits: bool) -> None:
        m = self.machine
        if p not in self.stands:
            with m.store.read() as c:
                row = c.execute(
                    select(t.Offset.next_offset, t.Offset.progress_t).where(t.Offset.partition == p)
                ).one_or_none()
            walk = Lateness(m.buckets, LATE, row.progress_t if row else None)
            self.stands[p] = (row.next_offset if row else None, walk)
        expected, walk = self.stands[p]
        first = expected or 0
        entries = m.log[p][first : first + n]
        if not entries:
            return
        documents = []
        for e in entries:
            if isinstance(e, Document):
                e.late = False
            walk.see(e)
            if isinstance(e, Document):
                documents.append(e)
        if not commits:  # killed before the commit, or frozen: what it saw is seen again by whoever comes
            return
        ticks = [e for e in entries if isinstance(e, Progress)]
        move = Move(p, expected, first + len(entries), len(entries), 0, len(ticks),
                    max(ticks, key=lambda e: e.t, default=None))  # fmt: skip
        many = len(documents)
        said: list[Prediction | None] = [Prediction(Sentiment.NEGATIVE, 0.9, 0.05, 0.05, {"market": 0.9})] * many
        try:
            self.writer.commit(Batch(1, 1, [move], documents, said, ["zh"] * many, [None] * many, []))
        except StaleWrite:
            self.stands.clear()
            return
        self.stands[p] = (first + len(entries), walk)


class Machine(RuleBasedStateMachine):
    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "store.db")
        self.settings = Settings(database_url=f"sqlite:///{self.folder / 'store.db'}", bucket_seconds=WIDTH // 1000)
        self.buckets = Buckets(WIDTH // 1000, self.settings.zone)
        self.store: Store = open_store(self.settings)
        with self.store.write() as c:
            c.execute(
                insert(t.Log).values(
                    id=1, cluster_id="c", topic=self.settings.topic_documents, partitions=PARTITIONS, current=True,
                    created_at=0,
                )
            )  # fmt: skip
        self.log: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
        self.clock = T0  # the leader's; it may jump
        self.readers = [Reader(self), Reader(self)]
        self.sealer = Sealer(self.store, self.settings)
        self.sealed: dict[int, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what comes into the log -------------------------------------------------------------------------------------

    @rule(p=partitions, behind=st.sampled_from([0, 0, 1_000, 300_000, 3_600_000, -900_000]), n=st.integers(1, 3))
    def produce(self, p: int, behind: int, n: int) -> None:
        """By a producer whose clock is right, a little late, an hour late, or ahead."""
        for _ in range(n):
            row = pack_row(1, p, len(self.log[p]))
            words = f"股价下跌 {row}"
            self.log[p].append(
                Document(row, max(T0, self.clock - behind), Kind.COMMENT, words, hash64("row", str(row)), hash64(words),
                         fingerprint(words), False, source="forum")
            )  # fmt: skip

    @rule(which=st.lists(partitions, min_size=1, max_size=PARTITIONS, unique=True))
    def tick(self, which: list[int]) -> None:
        """Progress, into all partitions or only some: the leader was killed in between, a partition has no leader."""
        for p in which:
            self.log[p].append(Progress(pack_row(1, p, len(self.log[p])), self.clock, "leader", 1))

    @rule(by=st.sampled_from([5_000, 60_000, 600_000, 3_600_000, -1_800_000, 86_400_000]))
    def time_passes(self, by: int) -> None:
        """Or the leader's clock jumps."""
        self.clock = max(T0, self.clock + by)

    # --- who reads and seals -----------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 1), p=partitions, n=st.integers(1, 6), commits=st.sampled_from([True, True, True, False]))
    def read(self, who: int, p: int, n: int, commits: bool) -> None:
        self.readers[who].read(p, n, commits=commits)
        if not commits:
            self.readers[who] = Reader(self)

    @rule(p=partitions)
    def catch_up(self, p: int) -> None:
        self.readers[0].stands.pop(p, None)
        self.readers[0].read(p, 10_000, commits=True)

    @rule(killed=st.booleans())
    def seal(self, killed: bool) -> None:
        if killed:
            self.sealer = Sealer(self.store, self.settings)
        lease = leases.acquire(self.store, leases.LEADER, "leader", 60)
        assert lease is not None
        self.sealer.seal_ready(lease)

    # --- what must hold ----------------------------------------------------------------------------------------------

    def book(self, upto: list[int]) -> tuple[Counter[int], int, int | None]:
        """(texts by bucket that are not late, late texts, watermark) of the log up to these offsets."""
        counts: Counter[int] = Counter()
        late, progress = 0, []
        for p in range(PARTITIONS):
            best: int | None = None
            for e in self.log[p][: upto[p]]:
                if isinstance(e, Progress):
                    best = e.t if best is None else max(best, e.t)
                elif best is not None and self.buckets.end_of(self.buckets.start_of(e.observed_at)) <= best - LATE:
                    late += 1
                else:
                    counts[self.buckets.start_of(e.observed_at)] += 1
            progress.append(best)
        known = [x for x in progress if x is not None]
        return counts, late, min(known) - LATE if len(known) == PARTITIONS else None

    def stands(self) -> list[int]:
        with self.store.read() as c:
            rows = dict(c.execute(select(t.Offset.partition, t.Offset.next_offset)).tuples().all())
        return [rows.get(p, 0) for p in range(PARTITIONS)]

    @invariant()
    def sealed_buckets_are_those_of_the_book(self) -> None:
        if not hasattr(self, "store"):
            return
        upto = self.stands()
        counts, late, mark = self.book(upto)
        with self.store.read() as c:
            until = c.execute(select(t.SealingState.sealed_until)).scalar()
            rows = c.execute(
                select(t.SealedBucket.start, func.sum(t.SealedBucket.total))
                .join(t.Series, t.Series.id == t.SealedBucket.series_id)
                .where(t.Series.name == "topic:market", t.SealedBucket.total > 0)
                .group_by(t.SealedBucket.start)
            )
            sealed = {int(b): int(n) for b, n in rows}
            assert (c.execute(select(func.sum(t.Offset.late))).scalar() or 0) == late
        for bucket, n in self.sealed.items():
            assert sealed.get(bucket) == n, "what was sealed never changes"
        self.sealed = sealed
        if until is None:
            assert not sealed
            return
        assert mark is not None
        assert until <= mark, "none is sealed too early"
        assert sealed == {b: n for b, n in counts.items() if b < until}, "none twice, none forgotten"

    @precondition(lambda self: any(self.log))
    @rule()
    def all_is_read_and_sealed(self) -> None:
        """The end of the story, at any time: the log alone says how it ends."""
        for p in range(PARTITIONS):
            self.catch_up(p)
        self.seal(killed=True)
        counts, _, mark = self.book([len(x) for x in self.log])
        with self.store.read() as c:
            until = c.execute(select(t.SealingState.sealed_until)).scalar()
        if mark is None or not counts or self.buckets.start_of(mark) <= min(counts):
            return
        assert until == self.buckets.start_of(mark)


def test_sealed_buckets_depend_on_the_log_alone(tmp_path: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    Machine.template = tmp_path / "template.db"
    made = open_store(
        Settings(database_url=f"sqlite:///{Machine.template}", bucket_seconds=WIDTH // 1000), migrate=True
    )
    made.close()
    run_state_machine_as_test(
        Machine,
        settings=rules(
            max_examples=30, stateful_step_count=40, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
