"""``python -m tests.support.worker_process JSON``: a worker with the keyword scorer, ended by SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
import threading

from barometer.logs import configure_logging
from barometer.settings import load_settings
from barometer.store.migrate import open_store
from ingest.worker.main import run_worker
from testing.keyword_scorer import KeywordScorer


def main() -> None:
    values = json.loads(sys.argv[1])
    settings = load_settings(**{k: v for k, v in values["settings"].items() if v is not None})
    configure_logging(settings)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    store = open_store(settings)
    try:
        run_worker(settings, store, KeywordScorer(values["seconds"]), stop)
    finally:
        store.close()


if __name__ == "__main__":
    main()
