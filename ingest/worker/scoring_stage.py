"""The first stage of the pipeline: what the model and the red-line rules say of a batch's texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from barometer.records import Document
from barometer.rules import Match, RuleSet
from barometer.vocabulary import stated_kind
from ingest.worker import metrics
from ingest.worker.batching import Work
from ingest.worker.generations import Generations
from ingest.worker.scoring import Scores, score_documents
from ingest.worker.stage import Stage
from ingest.worker.threaded_stage import TICK_SECONDS, ThreadedStage
from models.scoring.interface import TextScorer


@dataclass(frozen=True, slots=True)
class ScoredWork:
    """A batch with what was said of it."""

    work: Work
    scorer: TextScorer
    scores: Scores
    hits: list[tuple[Document, Match]]
    """Red-line rules that documents match."""


class ScoringStage(ThreadedStage[Work]):
    """Scores batches and hands them on.

    Args:
        following: the stage that scored batches are handed to.
        provider: gives the scorer to use; asked before each batch, so that models change between two batches.
        rules: gives the red-line rules; asked before each batch.
    """

    def __init__(
        self,
        following: Stage[ScoredWork],
        generations: Generations,
        provider: Callable[[], TextScorer],
        rules: Callable[[], RuleSet],
    ) -> None:
        super().__init__("worker-score")
        self._following, self._generations = following, generations
        self._provider, self._rules = provider, rules

    def process(self, item: Work) -> None:
        if not self._generations.writable(item.generation):
            return
        started = time.perf_counter()
        scorer = self._provider()
        scores = score_documents(scorer, item.documents)
        metrics.STAGE.labels("score").observe(time.perf_counter() - started)
        scored = ScoredWork(item, scorer, scores, self._hits(item.documents))
        while not self._closing.is_set() and not self._following.submit(scored, TICK_SECONDS):
            self._following.poll()

    def _hits(self, documents: Sequence[Document]) -> list[tuple[Document, Match]]:
        """What the rules match. A late text raises nothing: its bucket is sealed already."""
        rules = self._rules()
        hits = []
        for d in documents:
            if not d.late:
                kind, symbols = stated_kind(d.kind) or "", d.symbols or ()
                found = rules.match(
                    d.text, kind=kind, observed_at=d.observed_at, title=d.title, source=d.source, symbols=symbols
                )
                hits += [(d, match) for match in found]
        return hits
