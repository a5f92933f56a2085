"""The monitor process with the two jobs that belong to ``ingest``, which ``monitor`` does not import: the relay of dead
letters and the check of the topics' settings."""

from __future__ import annotations

import structlog

from app.signals import stopped_by_signals
from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store.engine import Store

log = structlog.get_logger(__name__)

TOPICS_SECONDS = 30.0


def monitor_main(settings: Settings) -> None:
    """Run the monitor until SIGTERM or Ctrl-C."""
    from barometer.store.waiting import open_store_patiently
    from ingest.dead_letters.relay import Relay
    from monitor.leader import run_monitor

    with stopped_by_signals() as stop:
        store = open_store_patiently(settings, stop)
        if store is None:
            return
        relay = Relay(settings, store)

        def relay_job(_lease: object) -> None:
            relay.run()

        def topics_job(_lease: object) -> None:
            look_at_topics(settings, store)

        jobs = [("dead-letter-relay", 5.0, relay_job), ("topics", TOPICS_SECONDS, topics_job)]
        try:
            run_monitor(settings, store, stop, extra_jobs=jobs)
        finally:
            relay.close()
            store.close()


def look_at_topics(settings: Settings, store: Store) -> None:
    """Keep in the store what is wrong with the topics' settings; a broker that is away has an alarm of its own."""
    from barometer.store.stream.topic_settings import keep_topic_settings
    from ingest.topic.preconditions import report

    try:
        found = report(settings)
    except BarometerError as e:
        log.debug("the topics' settings could not be looked at", error=str(e))
        return
    keep_topic_settings(store, found)
