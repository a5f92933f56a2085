"""The stages behind the poll loop, on a real store: each keeps the contract of ``Stage``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from barometer.buckets import Buckets
from barometer.rules import RuleSet
from barometer.store.engine import Store
from barometer.store.stream.batch import Move
from barometer.store.stream.log_epochs import register_log
from ingest.worker import metrics
from ingest.worker.batching import Work
from ingest.worker.generations import Generations
from ingest.worker.pipeline import Pipeline
from ingest.worker.scoring import Scores
from ingest.worker.scoring_stage import ScoredWork, ScoringStage
from ingest.worker.stage import Stage
from ingest.worker.writing_stage import Outcome, WritingStage
from testing.keyword_scorer import KeywordScorer
from tests.support.stream import totals

BUCKETS = Buckets(600, ZoneInfo("UTC"))


def work(log_id: int, expected: int, generation: int = 1) -> Work:
    move = Move(0, expected or None, expected + 2, 2, tombstones=2)
    return Work(generation, log_id, [move], [], [], time.monotonic())


class Provider:
    """Gives the scorer; can be held up, and can fail."""

    def __init__(self) -> None:
        self.going, self.fails = threading.Event(), False
        self.going.set()

    def __call__(self) -> KeywordScorer:
        assert self.going.wait(20)
        if self.fails:
            raise ValueError("no model")
        return KeywordScorer()

    @contextmanager
    def held(self) -> Iterator[None]:
        self.going.clear()
        try:
            yield
        finally:
            self.going.set()


class Case:
    """A stage whose batches end in a store, and the means to hold it up and to break it."""

    def __init__(self, kind: str, store: Store) -> None:
        self.log_id = int(register_log(store, "cluster", "topic", 1).id)
        self.store, provider = store, Provider()
        self.stage: Stage[Any]
        self.held: Callable[[], AbstractContextManager[object]] = provider.held
        self.others: list[Stage[Any]] = []
        """The stages behind it."""
        if kind == "pipeline":
            self.stage = pipeline = Pipeline(store, BUCKETS, provider, lambda _state: None)
            self.outcomes, generations = pipeline.outcomes, pipeline.generations
        else:
            self.outcomes, generations = deque[Outcome](), Generations()
            writing = WritingStage(store, BUCKETS, generations, self.outcomes.append, lambda _state: None)
            if kind == "writing":
                self.stage, self.held = writing, lambda: generations.commit(1)
            else:
                self.stage, self.others = ScoringStage(writing, generations, provider, RuleSet), [writing]
        self._kind, self._provider = kind, provider
        assert generations.begin(1, 1.0)
        for stage in (*self.others, self.stage):
            stage.start()

    def item(self, expected: int, scores: Scores = Scores([], [], [])) -> Work | ScoredWork:
        batch = work(self.log_id, expected)
        return ScoredWork(batch, KeywordScorer(), scores, []) if self._kind == "writing" else batch

    def bad_item(self, expected: int) -> Work | ScoredWork:
        """One whose like cannot come about: there is a fault in the program."""
        self._provider.fails = True
        return self.item(expected, Scores([None], ["zh"], ["scorer_error"]))

    def written(self) -> list[int]:
        """Next offsets of the batches that are written, in their order."""
        for stage in self.others:
            assert stage.drain(10)
        return [o.work.moves[0].next_offset for o in self.outcomes if o.committed is not None]

    def close(self) -> None:
        for stage in (self.stage, *self.others):
            stage.close(5.0)


@pytest.fixture(params=["scoring", "writing", "pipeline"])
def case(request: pytest.FixtureRequest, store: Store) -> Iterator[Case]:
    made = Case(request.param, store)
    yield made
    made.close()


def test_items_are_worked_on_in_order_and_drained(case: Case) -> None:
    for n in (0, 2, 4):
        assert case.stage.submit(case.item(n), 10)
    case.stage.poll()
    assert case.stage.drain(10)
    assert case.written() == [2, 4, 6]
    assert case.stage.submit(case.item(6), 10)  # it goes on afterwards
    assert case.stage.drain(10)
    assert case.written() == [2, 4, 6, 8]
    assert totals(case.store)["tombstones"] == 8


def test_without_room_an_item_stays_its_owners(case: Case) -> None:
    with case.held():
        n = 0
        began = time.monotonic()
        while case.stage.submit(case.item(n), 0.3):
            n += 2
        assert 2 <= n <= 8
        assert not case.stage.submit(case.item(n), 0.0)
        case.stage.poll()
        assert not case.stage.drain(0.05)
        assert time.monotonic() - began < 5
    assert case.stage.submit(case.item(n), 10)
    assert case.stage.drain(10)
    assert case.written() == list(range(2, n + 3, 2))


def test_a_failure_is_raised_to_who_polls(case: Case) -> None:
    assert case.stage.submit(case.bad_item(0), 10)
    began = time.monotonic()
    assert not case.stage.drain(10)
    assert time.monotonic() - began < 5
    for _ in range(2):
        with pytest.raises(ValueError):
            case.stage.poll()
    assert not case.stage.submit(case.item(2), 0.1)
    assert case.written() == []


def test_a_closed_stage_begins_nothing(case: Case) -> None:
    with case.held():
        assert case.stage.submit(case.item(0), 10)
        assert case.stage.submit(case.item(2), 10)  # as soon as the first is taken up
        began = time.monotonic()
        case.stage.close(0.1)
        assert time.monotonic() - began < 1
        assert not case.stage.submit(case.item(4), 0.1)
    case.stage.close(10)
    assert case.written() in ([], [2])  # what was under way may end


def test_what_was_read_behind_a_refused_batch_is_not_tried(store: Store) -> None:
    """It was read on from where the refused one ended: each would be refused in its turn."""
    log_id = int(register_log(store, "cluster", "topic", 1).id)
    pipeline = Pipeline(store, BUCKETS, KeywordScorer, lambda _state: None)
    refused = metrics.STALE._value.get()
    pipeline.generations.begin(1, 1.0)
    for n in range(3):
        while not pipeline.submit(work(log_id, 10 + 2 * n), timeout=1.0):
            pass
        if n == 0:
            pipeline.start()
    assert pipeline.drain(10)
    assert metrics.STALE._value.get() == refused + 1
    assert [o.committed for o in pipeline.outcomes] == [None]
    pipeline.outcomes.clear()
    pipeline.generations.begin(2, 1.0)
    assert pipeline.submit(work(log_id, 0, 2), timeout=1.0)
    assert pipeline.drain(10)
    assert totals(store)["tombstones"] == 2
    pipeline.close(1.0)
