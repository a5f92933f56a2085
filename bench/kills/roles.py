"""The product's roles as the runs start them: forked from a process that has imported everything, so that a restart
costs milliseconds, and with a hook at one named point. Only the model is another one: it costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

import app.commands.monitoring
import barometer.broker.clients
import ingest.dead_letters.replay
import ingest.worker.consumer
import ingest.worker.main
import models.scoring.scorer
import monitor.leader
import monitor.notify.channels.webhook.sender
import monitor.notify.outbox.sending
import monitor.sealing.seal
from barometer.logs import configure_logging
from barometer.settings import Settings, load_settings
from barometer.store.migrate import open_store
from bench.kills.nursery import be_born
from bench.kills.points import Plan, install
from models.scoring.interface import ScoredText
from testing.keyword_scorer import KeywordScorer

STEP = 2
"""Buckets that one transaction of sealing takes here: many small ones are more to be killed in."""
PARTITION_FETCH_BYTES = 8_192
"""So little of a partition comes at a time that all are read side by side, and sealing goes on with the reading."""
SEND_SECONDS = 0.3
SENDING_TIMEOUT_MS = 4_000
"""So long a leader that kept its term over a loss of the database takes for an unfinished send to be gone."""


class CostsNothing(KeywordScorer):
    """What it says depends on the text alone. Languages may be left out, as the worker's warm-up does."""

    def score(
        self,
        texts: Sequence[str],
        kinds: Sequence[str | None],
        langs: Sequence[str | None] | None = None,
        titles: Sequence[str | None] | None = None,
    ) -> list[ScoredText]:
        none: list[str | None] = [None] * len(texts)
        return super().score(texts, kinds, langs or none, titles or none)


def run(
    role: str,
    values: dict[str, Any],
    log: str,
    pace: float,
    plan: dict[str, Any] | None,
    journal: str,
    pids: dict[str, str],
    idempotent: bool,
) -> None:
    """The child's whole life.

    Args:
        role: worker, monitor or upgrade.
        values: of the settings.
        pace: seconds that the scorer takes for a batch, so that there is something left to be killed at.
        idempotent: whether producers may be: see :class:`_Forgetful`.
    """
    be_born(log)
    settings = load_settings(**values)
    configure_logging(settings)
    if plan is not None:
        install(Plan(**plan), Path(journal), {k: Path(v) for k, v in pids.items()})
    if not idempotent:
        barometer.broker.clients.KafkaProducer = _Forgetful
    ingest.worker.consumer.PARTITION_FETCH_BYTES = PARTITION_FETCH_BYTES
    monitor.sealing.seal.STEP = STEP
    monitor.leader.SEND_SECONDS = SEND_SECONDS
    monitor.notify.outbox.sending.SENDING_TIMEOUT_MS = SENDING_TIMEOUT_MS
    sys.exit(_ROLES[role](settings, pace))


class _Forgetful(KafkaProducer):  # type: ignore[misc]
    """Without idempotence: on ``s3://`` Tansu notes a producer's sequence number before it stores the batch. Killed in
    between, it takes the repeated request for a duplicate, acknowledges it, and the records are lost."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "enable_idempotence": False})


def _worker(settings: Settings, pace: float) -> None:
    models.scoring.scorer.load_scorer = lambda *_: CostsNothing(pace)  # type: ignore[assignment]
    ingest.worker.main.worker_main(settings)


def _monitor(settings: Settings, _pace: float) -> None:
    app.commands.monitoring.monitor_main(settings)


def _upgrade(settings: Settings, _pace: float) -> None:
    """What ``barometer db upgrade`` and ``barometer up`` do first."""
    open_store(settings, migrate=True).close()


_ROLES = {"worker": _worker, "monitor": _monitor, "upgrade": _upgrade}
