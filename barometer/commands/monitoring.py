"""Wires the monitor to what it must not import itself: the relay of dead letters belongs to ``ingest``."""

from __future__ import annotations

from typing import Any

from barometer.settings import Settings


def monitor_main(settings: Settings) -> None:
    """Run the monitor until SIGTERM or Ctrl-C."""
    from barometer.commands.roles import stopped_by_signals
    from barometer.store.waiting import open_store_patiently
    from ingest.dlq import Relay
    from monitor.leader import run_monitor

    with stopped_by_signals() as stop:
        store = open_store_patiently(settings, stop)
        if store is None:
            return
        relay = Relay(settings, store)

        def relay_job(_lease: Any) -> None:
            relay.run()

        try:
            run_monitor(settings, store, stop, extra_jobs=[("dead-letter-relay", 5.0, relay_job)])
        finally:
            relay.close()
            store.close()
