"""One member of the group: the product's worker in its own process, with a scorer that costs nothing or is slow."""

from __future__ import annotations

import signal
import threading
from typing import Any

import ingest.worker.main
from barometer.logs import configure_logging
from barometer.settings import load_settings
from barometer.store.migrate import open_store
from bench.kills.nursery import be_born
from testing.keyword_scorer import KeywordScorer


def work(values: dict[str, Any], log: str, seconds: float) -> None:
    """The process's whole life; SIGTERM ends it in order.

    Args:
        values: of the settings.
        seconds: that a batch is scored for.
    """
    be_born(log)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = load_settings(**values)
    configure_logging(settings)
    store = open_store(settings)
    try:
        ingest.worker.main.run_worker(settings, store, KeywordScorer(seconds), stop)
    finally:
        store.close()
