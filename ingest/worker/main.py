"""The worker: reads the topic, labels the texts, writes the store. Nothing lost, nothing twice.

Offsets live in the transaction that writes the rows they cover, so a worker may die at any instant and any number of
them may share the topic. What Kafka stores of our offsets is for lag tools only and is never read.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from kafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from barometer.broker.clients import check_access, explain
from barometer.broker.errors import BrokerError, BrokerUnreachable
from barometer.errors import BarometerError, LogReplaced
from barometer.rules import RuleSet, load_rules
from barometer.settings import Settings
from barometer.store.engine import Store, is_away
from barometer.store.exclusive import only_worker
from barometer.store.stream import log_epochs
from barometer.store.waiting import say_away
from barometer.watched_file import WatchedFile
from ingest.worker import metrics
from ingest.worker.errors import NoBroker, SessionOver
from ingest.worker.heartbeat import Heartbeat, OnEvent
from ingest.worker.session import Session
from models.scoring.interface import TextScorer

log = structlog.get_logger(__name__)


def run_worker(
    settings: Settings,
    store: Store,
    scorer: TextScorer | Callable[[], TextScorer],
    stop: threading.Event,
    on_event: OnEvent | None = None,
) -> None:
    """Work until ``stop`` is set. Waits for a broker or a database that is away.

    Args:
        scorer: a scorer, or a callable that gives the present one; asked before each batch.
        on_event: told ('batch', {...}) after each commit and ('state', {...}) at each change of state.

    Raises:
        StoreError: another worker process holds this SQLite store.
        sqlalchemy.exc.DBAPIError: the database refuses a batch for another reason than being away.
    """
    provider = scorer if callable(scorer) else partial(_same, scorer)
    Worker(settings, store, provider, stop, on_event).run()


def _same(scorer: TextScorer) -> TextScorer:
    return scorer


class Worker:
    """One member of the consumer group; see :func:`run_worker`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        provider: Callable[[], TextScorer],
        stop: threading.Event,
        on_event: OnEvent | None = None,
    ) -> None:
        self._settings, self._store, self._provider, self._stop = settings, store, provider, stop
        self.id = f"worker-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._heartbeat = Heartbeat(store, self.id, on_event)
        self._rules = WatchedFile("rules_file", settings.rules_file, partial(load_rules, settings.rules_file))
        self._said = ""
        """The last trouble with the broker that was logged."""

    def health(self) -> tuple[bool, dict[str, Any]]:
        """For ``/health``; see :meth:`Heartbeat.health`."""
        return self._heartbeat.health()

    def _red_lines(self) -> RuleSet:
        """The rules of now; the last good ones where the file is wrong, which the heartbeat tells."""
        rules = self._rules.current()
        self._heartbeat.set_field("rules_fault", self._rules.fault)
        return rules

    def run(self) -> None:
        """Sessions with the broker, one after another, until stopped."""
        with only_worker(self._store):
            self._heartbeat.start()
            delay = 0.5
            try:
                while not self._stop.is_set():
                    began = time.monotonic()
                    self._heartbeat.loop_turned()
                    try:
                        Session(
                            self._settings, self._store, self._provider, self._red_lines, self._stop, self._heartbeat
                        ).run()
                    except SessionOver as e:
                        log.info("beginning anew", reason=str(e))
                    except LogReplaced as e:
                        self._wait_for_operator(e)
                    except DBAPIError as e:
                        if not is_away(e):
                            raise
                        metrics.WAITS.labels("database").inc()
                        self._heartbeat.set_state(say_away(e))
                        self._stop.wait(delay)
                        self._heartbeat.reading()
                    except (KafkaError, NoBroker, BrokerError) as e:
                        self._no_broker(e, delay)
                    if time.monotonic() - began > 30:
                        delay, self._said = 0.5, ""
                    else:
                        delay = min(delay * 2, 5.0)
            finally:
                self._heartbeat.set_state("stopped")
                self._heartbeat.stop()

    def _no_broker(self, error: BaseException, delay: float) -> None:
        """The broker is away, refuses our login, or a right is missing: waited for, and said once."""
        metrics.WAITS.labels("broker").inc()
        cause = error.__cause__ if isinstance(error, NoBroker) else error
        if isinstance(cause, BarometerError):
            found = cause if isinstance(cause, BrokerError) else BrokerUnreachable(str(cause))
        else:
            found = explain(cause or error, self._settings)
        if str(found) != self._said:
            self._said = str(found)
            log.warning(found.state, error=self._said)
        self._heartbeat.set_state(found.state, reason=str(found))
        self._stop.wait(delay)
        self._heartbeat.reading()

    def _wait_for_operator(self, error: LogReplaced) -> None:
        log.error("log replaced: reading stops until an operator runs `barometer log accept`", reason=str(error))
        metrics.WAITS.labels("operator").inc()
        self._heartbeat.set_state("log replaced", reason=str(error))
        while not self._stop.wait(1.0):
            self._heartbeat.loop_turned()
            try:
                with self._store.read() as c:
                    row = log_epochs.current_log(c, self._settings.topic_documents)
            except DBAPIError as e:
                if not is_away(e):
                    raise
                continue
            if row is None or row.replaced_reason is None:
                self._heartbeat.reading()
                return


def worker_main(settings: Settings, on_model: Callable[[Store, Any], object] | None = None) -> None:
    """``barometer worker``: open the store, load the model, serve metrics, work until SIGTERM or Ctrl-C.

    Args:
        on_model: called with the scorer before it scores anything for the store; what it raises stops nothing.

    Raises:
        BarometerError: a message for the operator (wrong settings, no model, a second worker on SQLite).
    """
    from barometer.metrics import serve
    from barometer.store.waiting import open_store_patiently
    from models.scoring.scorer import load_scorer

    check_access(settings)
    stop = threading.Event()
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        store = open_store_patiently(settings, stop)
        if store is None:
            return
        try:
            scorer = load_scorer(settings.model_path, settings.scorer_threads or None, settings.scorer_backend)
            # The first doubtful text loads the language detector, which takes seconds: not while somebody waits for it.
            scorer.score(["Fresenius Kabi Introduces Generic"], ["news"])
            if on_model is not None:
                try:
                    on_model(store, scorer)
                except Exception:
                    log.exception("model not measured: a change of its share may raise alerts", model=scorer.name)
            worker = Worker(settings, store, partial(_same, scorer), stop)
            server = serve(settings.metrics_host, settings.metrics_port_worker, worker.health, fall_back=True)
            log.info("worker starts", group=settings.consumer_group, topic=settings.topic_documents)
            try:
                worker.run()
            finally:
                server.shutdown()
        finally:
            store.close()
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
