"""The stages behind the poll loop: score, then write, each in a thread of its own with a short queue before it.

Scoring a batch overlaps writing the one before and reading the one after. The poll loop never waits for long: where
the queues are full it pauses its partitions and goes on polling, so that the group keeps the worker however slow
scoring is. Nothing is written whose generation is over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from barometer.buckets import Buckets
from barometer.errors import StaleWrite
from barometer.records import Document
from barometer.rules import Match, RuleSet
from barometer.store.engine import Store, Way, is_away, way_of
from barometer.store.model_versions.ids import ensure_model
from barometer.store.stream.batch import Batch, Committed
from barometer.store.stream.writer import Writer
from barometer.store.waiting import say_away
from barometer.vocabulary import Kind
from ingest.worker import metrics
from ingest.worker.batching import Work
from ingest.worker.scoring import Scorer, Scores, score_documents

log = structlog.get_logger(__name__)

_TICK = 0.2
_KIND = {Kind.NEWS: "news", Kind.COMMENT: "comment"}


@dataclass(slots=True)
class Outcome:
    """What became of a batch; no ``committed``: it was refused as stale."""

    work: Work
    scores: Scores | None
    committed: Committed | None


@dataclass(slots=True)
class _Scored:
    work: Work
    scorer: Scorer
    scores: Scores
    hits: list[tuple[Document, Match]]


class Pipeline:
    """Scores and writes batches in the order they are submitted.

    Args:
        provider: gives the scorer to use; asked before each batch, so that models change between two batches.
        rules: gives the red lines that every text is held against; asked before each batch.
        on_state: told ``database away`` (or full, read-only) and ``running`` as they come.
    """

    def __init__(
        self,
        store: Store,
        buckets: Buckets,
        provider: Callable[[], Scorer],
        on_state: Callable[[str], None],
        rules: Callable[[], RuleSet] = RuleSet,
    ) -> None:
        self._store, self._writer = store, Writer(store, buckets)
        self._rules = rules
        self._provider, self._on_state = provider, on_state
        self._to_score: queue.Queue[Work] = queue.Queue(maxsize=1)
        self._to_write: queue.Queue[_Scored] = queue.Queue(maxsize=1)
        self._gate = threading.Lock()
        """Held over a commit: the generation changes only between two."""
        self._closing = threading.Event()
        self._count = threading.Lock()
        self._in_flight = 0
        self._model: tuple[str, int] | None = None
        self.generation = self._refused = -1
        self.outcomes: deque[Outcome] = deque()
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(step,), name=f"worker-{name}", daemon=True)
            for name, step in (("score", self._score_next), ("write", self._write_next))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work, timeout: float) -> bool:
        """Hand over a batch; False if there is no room within ``timeout`` seconds."""
        with self._count:
            self._in_flight += 1
        try:
            self._to_score.put(work, timeout=timeout)
            return True
        except queue.Full:
            self._done()
            return False

    @property
    def idle(self) -> bool:
        """Nothing is queued, scored or written."""
        return self._in_flight == 0

    def open(self, generation: int, timeout: float) -> bool:
        """From now on only batches of this generation are written; False if a commit is still under way."""
        if not self._gate.acquire(timeout=timeout):
            return False
        try:
            self.generation = generation
            return True
        finally:
            self._gate.release()

    def close(self, timeout: float) -> None:
        """End the threads; what is queued is dropped (it is read again by whoever comes next)."""
        self._closing.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, step: Callable[[], None]) -> None:
        try:
            while not self._closing.is_set():
                step()
        except BaseException as e:  # handed to the poll loop, which stops the worker with it
            self.failure = e

    def _valid(self, work: Work) -> bool:
        return work.generation == self.generation and work.generation > self._refused

    def _done(self) -> None:
        with self._count:
            self._in_flight -= 1

    def _score_next(self) -> None:
        try:
            work = self._to_score.get(timeout=_TICK)
        except queue.Empty:
            return
        if not self._valid(work):
            self._done()
            return
        started = time.perf_counter()
        scorer = self._provider()
        scores = score_documents(scorer, work.documents)
        metrics.STAGE.labels("score").observe(time.perf_counter() - started)
        scored = _Scored(work, scorer, scores, self._hits(work.documents))
        while not self._closing.is_set():
            try:
                self._to_write.put(scored, timeout=_TICK)
                return
            except queue.Full:
                continue

    def _write_next(self) -> None:
        try:
            item = self._to_write.get(timeout=_TICK)
        except queue.Empty:
            return
        try:
            self._write(item)
        finally:
            self._done()

    def _write(self, item: _Scored) -> None:
        delay = 0.1
        away: Way | None = None
        while not self._closing.is_set():
            started = time.perf_counter()
            try:
                with self._gate:
                    if not self._valid(item.work):
                        return
                    committed = self._commit(item)
            except StaleWrite as e:
                log.warning("write refused", reason=str(e))
                metrics.STALE.inc()
                self._refused = item.work.generation  # what follows was read on from there, and would be refused too
                self.outcomes.append(Outcome(item.work, None, None))
                return
            except DBAPIError as e:
                if not is_away(e):
                    raise
                if way_of(e) != away:
                    away = way_of(e)
                    self._on_state(say_away(e))
                metrics.WAITS.labels("database").inc()
                # The commit may have gone through before the connection broke: then the guard refuses the repeat,
                # and the loop reads the store again.
                self._closing.wait(delay)
                delay = min(delay * 2, 5.0)
                continue
            metrics.STAGE.labels("write").observe(time.perf_counter() - started)
            if away is not None:
                log.info("database back")
                self._on_state("running")
            self.outcomes.append(Outcome(item.work, item.scores, committed))
            return

    def _commit(self, item: _Scored) -> Committed:
        work, scores = item.work, item.scores
        return self._writer.commit(
            Batch(
                log_id=work.log_id,
                model_id=self._model_id(item.scorer),
                moves=work.moves,
                documents=work.documents,
                predictions=scores.predictions,
                langs=scores.langs,
                reasons=scores.reasons,
                letters=work.letters,
                hits=item.hits,
            )
        )

    def _hits(self, documents: Sequence[Document]) -> list[tuple[Document, Match]]:
        """What the rules match. A late text raises nothing: its hour is judged already."""
        rules = self._rules()
        return [
            (d, match)
            for d in documents
            if not d.late
            for match in rules.match(
                d.text, kind=_KIND.get(d.kind, ""), observed_at=d.observed_at, title=d.title, source=d.source,
                symbols=d.symbols or (),
            )
        ]  # fmt: skip

    @property
    def model(self) -> str:
        """The model version that scores the next batch."""
        return self._provider().name

    def _model_id(self, scorer: Scorer) -> int:
        if self._model is None or self._model[0] != scorer.name:
            self._model = (scorer.name, ensure_model(self._store, scorer.name, scorer.precision, scorer.topics))
            log.info("model in use", model=scorer.name, precision=scorer.precision, id=self._model[1])
        return self._model[1]
