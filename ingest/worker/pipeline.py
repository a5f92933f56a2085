"""The stages behind the poll loop: score, then write, each in a thread of its own with a short queue before it.

Scoring a batch overlaps writing the one before and reading the one after. The poll loop never waits for long: where
the queues are full it pauses its partitions and goes on polling, so that the group keeps the worker however slow
scoring is. Nothing is written whose generation is over.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from barometer.buckets import Buckets
from barometer.rules import RuleSet
from barometer.store.engine import Store
from ingest.worker.batching import Work
from ingest.worker.generations import Generations
from ingest.worker.scoring_stage import ScoringStage
from ingest.worker.writing_stage import Outcome, WritingStage
from models.scoring.interface import TextScorer


class Pipeline:
    """Scores and writes batches in the order they are submitted; keeps the contract of ``Stage``.

    Args:
        provider: gives the scorer to use; asked before each batch, so that models change between two batches.
        rules: gives the red lines that every text is held against; asked before each batch.
        on_state: told ``database away`` (or full, read-only) and ``running`` as they come.
    """

    def __init__(
        self,
        store: Store,
        buckets: Buckets,
        provider: Callable[[], TextScorer],
        on_state: Callable[[str], None],
        rules: Callable[[], RuleSet] = RuleSet,
    ) -> None:
        self._provider = provider
        self.generations = Generations()
        self.outcomes: deque[Outcome] = deque()
        """What became of the batches, for the caller to take from the left."""
        self._writing = WritingStage(store, buckets, self.generations, self.outcomes.append, on_state)
        self._scoring = ScoringStage(self._writing, self.generations, provider, rules)

    def start(self) -> None:
        self._writing.start()
        self._scoring.start()

    def submit(self, item: Work, timeout: float) -> bool:
        return self._scoring.submit(item, timeout)

    def poll(self) -> None:
        self._writing.poll()
        self._scoring.poll()

    def drain(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        return self._scoring.drain(timeout) and self._writing.drain(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._scoring.close(0.0)
        self._writing.close(timeout)
        self._scoring.close(max(0.0, deadline - time.monotonic()))

    @property
    def model(self) -> str:
        """The model version that scores the next batch."""
        return self._provider().name
