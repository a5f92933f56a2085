"""Time of the worker's stages, by wrapping the functions that do them. Stages nest: a stage's own time is what is left
without the stages inside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import getmodule
from typing import Any


@dataclass
class StageTimes:
    """Own time of each stage: {stage: [thread, wall seconds, CPU seconds of the thread, calls]}."""

    spent: dict[str, list[Any]] = field(default_factory=dict)

    def table(self, documents: int, seconds: float) -> str:
        """Markdown; microseconds a document."""
        lines = ["| thread | stage | wall µs | CPU µs | wall share of the run |", "|---|---|---|---|---|"]
        for name, (thread, wall, cpu, _) in sorted(self.spent.items(), key=lambda x: (x[1][0], -x[1][1])):
            lines.append(
                f"| {thread} | {name} | {wall / documents * 1e6:.1f} | {cpu / documents * 1e6:.1f}"
                f" | {wall / seconds:.1%} |"
            )
        return "\n".join(lines)


class _Stack(threading.local):
    def __init__(self) -> None:
        self.inner: list[list[float]] = []


def _wrap(times: StageTimes, stack: _Stack, thread: str, stage: str, f: Callable[..., Any]) -> Callable[..., Any]:
    total = times.spent.setdefault(stage, [thread, 0.0, 0.0, 0])

    @wraps(f)
    def timed(*a: Any, **k: Any) -> Any:
        stack.inner.append([0.0, 0.0])
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return f(*a, **k)
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            w, c = stack.inner.pop()
            total[1] += wall - w
            total[2] += cpu - c
            total[3] += 1
            if stack.inner:
                stack.inner[-1][0] += wall
                stack.inner[-1][1] += cpu

    return timed


@contextmanager
def timed_stages(times: StageTimes, on: bool) -> Iterator[None]:
    """While the block runs, all workers of this process are measured (if ``on``)."""
    if not on:
        yield
        return
    from sqlalchemy.engine.base import RootTransaction

    import ingest.messages.decoding
    import models.text.language
    from barometer.store.stream import writer
    from barometer.store.stream.rollups import RollupCounts
    from ingest.worker.batching import Assembler
    from ingest.worker.outcomes import CommittedBatches
    from ingest.worker.reader import Reader
    from ingest.worker.scoring_stage import ScoringStage
    from ingest.worker.session import Session
    from ingest.worker.session_watch import SessionWatch
    from ingest.worker.writing_stage import WritingStage

    poll, score, write = "poll", "score", "write"
    wanted: list[tuple[Any, str, str, str]] = [
        (Session, "_turn", poll, "the loop itself"),
        (Reader, "poll", poll, "poll (client; waiting)"),
        (Reader, "collect", poll, "decode: the rest"),
        (ingest.messages.decoding, "parse_object", poll, "decode: JSON"),
        (ingest.messages.decoding.Decoder, "_document", poll, "decode: validate, document"),
        (ingest.messages.decoding, "fingerprint", poll, "decode: fingerprint"),
        (ingest.messages.decoding, "hash64", poll, "decode: hashes"),
        (Assembler, "add", poll, "assemble, lateness"),
        (Session, "_hand_over", poll, "hand over (waiting)"),
        (Session, "_take_outcomes", poll, "count results, metrics"),
        (SessionWatch, "check", poll, "check log, report"),
        (CommittedBatches, "commit_to_kafka", poll, "offsets to Kafka"),
        (getmodule(ScoringStage), "score_documents", score, "to and from the scorer"),
        (models.text.language, "detect", score, "language"),
        (ScoringStage, "_next", score, "waiting for a batch, or to hand on"),
        (WritingStage, "_next", write, "waiting for a batch"),
        (writer.Writer, "commit", write, "the rest"),
        (writer, "hold_offsets", write, "offsets: guard"),
        (writer.Writer, "_move", write, "offsets: move, count"),
        (writer, "claim_identities", write, "identities"),
        (writer.Writer, "_documents", write, "documents"),
        (writer.Writer, "_predictions", write, "predictions"),
        (writer.Writer, "_memberships", write, "memberships"),
        (RollupCounts, "add", write, "rollups: add up"),
        (RollupCounts, "write", write, "rollups: write"),
        (writer.Writer, "_sources", write, "sources"),
        (RootTransaction, "_do_commit", write, "commit"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _, _ in wanted]
    stack = _Stack()
    for owner, name, thread, stage in wanted:
        setattr(owner, name, _wrap(times, stack, thread, stage, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, f in before:
            setattr(owner, name, f)
