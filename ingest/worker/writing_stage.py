"""The last stage of the pipeline: scored batches into the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from barometer.buckets import Buckets
from barometer.errors import StaleWrite
from barometer.store.engine import Store, Way, is_away, way_of
from barometer.store.model_versions.versions import ensure_model
from barometer.store.stream.batch import Batch, Committed
from barometer.store.stream.writer import Writer
from barometer.store.waiting import say_away
from ingest.worker import metrics
from ingest.worker.batching import Work
from ingest.worker.generations import Generations
from ingest.worker.scoring import Scores
from ingest.worker.scoring_stage import ScoredWork
from ingest.worker.threaded_stage import ThreadedStage
from models.scoring.interface import TextScorer

log = structlog.get_logger(__name__)

LONGEST_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch; no ``committed``: it was refused as stale."""

    work: Work
    scores: Scores
    committed: Committed | None


class WritingStage(ThreadedStage[ScoredWork]):
    """Writes batches, each in one transaction; waits for a database that is away. Batches of an older generation are
    dropped.

    Args:
        on_outcome: told of each batch that was written or refused, in this stage's thread.
        on_state: told how the database is away, and ``running`` when it is back.
    """

    def __init__(
        self,
        store: Store,
        buckets: Buckets,
        generations: Generations,
        on_outcome: Callable[[Outcome], None],
        on_state: Callable[[str], None],
    ) -> None:
        super().__init__("worker-write")
        self._store, self._writer, self._generations = store, Writer(store, buckets), generations
        self._on_outcome, self._on_state = on_outcome, on_state
        self._model: tuple[str, int] | None = None
        """Name and id of the model that scored the last batch."""

    def process(self, item: ScoredWork) -> None:
        delay = 0.1
        away: Way | None = None
        while not self._closing.is_set():
            started = time.perf_counter()
            try:
                with self._generations.commit(item.work.generation) as writable:
                    if not writable:
                        return
                    committed = self._commit(item)
            except StaleWrite as e:
                log.warning("write refused", reason=str(e))
                metrics.STALE.inc()
                self._generations.refuse(item.work.generation)
                self._on_outcome(Outcome(item.work, item.scores, None))
                return
            except DBAPIError as e:
                if not is_away(e):
                    raise
                if way_of(e) != away:
                    away = way_of(e)
                    self._on_state(say_away(e))
                metrics.WAITS.labels("database").inc()
                # The commit may have gone through before the connection broke: then the repeat is refused as stale,
                # and the loop reads the store again.
                self._closing.wait(delay)
                delay = min(delay * 2, LONGEST_WAIT_SECONDS)
                continue
            metrics.STAGE.labels("write").observe(time.perf_counter() - started)
            if away is not None:
                log.info("database back")
                self._on_state("running")
            self._on_outcome(Outcome(item.work, item.scores, committed))
            return

    def _commit(self, item: ScoredWork) -> Committed:
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

    def _model_id(self, scorer: TextScorer) -> int:
        if self._model is None or self._model[0] != scorer.name:
            self._model = (scorer.name, ensure_model(self._store, scorer.name, scorer.precision, scorer.topics))
            log.info("model in use", model=scorer.name, precision=scorer.precision, id=self._model[1])
        return self._model[1]
