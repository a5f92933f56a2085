"""The consumer's connections to brokers: which are live, which are new, and which have gone silent.

A broker that loses power or its network closes nothing: requests to it wait for their timeout. The client has one
timeout for all requests, and it must be long enough for a large fetch over a slow line. So it isn't the whole time of a
request that is limited here but the silence: a connection on which a request waits and not one byte arrives.
"""

from __future__ import annotations

import time
from functools import partial

import structlog
from kafka import KafkaConsumer
from kafka.errors import RequestTimedOutError

from ingest.worker import metrics

log = structlog.get_logger(__name__)

SILENT_SECONDS = 5.0
"""A connection on which a request has waited for so long without a byte is closed; the broker is asked anew."""
LONGEST_SECONDS = 30.0
"""A broker that answers more slowly gets more time after each closing, up to the limit of the client itself."""
FORGIVE_SECONDS = 300.0
"""After so long without a closing a broker is judged as at first."""


class Connections:
    """The consumer's live connections to brokers.

    Records that came over a connection that nobody looked at yet may come from another log: a broker that was replaced
    between two fetches answers the next one as if nothing had happened, and metadata say so seconds later.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._manager = consumer._manager
        self._seen: list[object] = []
        """The connections themselves: their identities would be reused."""
        self._patience: dict[object, tuple[float, float]] = {}
        """node -> (seconds of silence that it is granted, when a connection to it was closed last)."""

    def _live(self) -> list[object]:
        return [c for c in list(self._manager._conns.values()) if c.connected]

    def changed(self) -> bool:
        """Whether connections came or went since the last call of :meth:`trust`."""
        live = self._live()
        return len(live) != len(self._seen) or any(all(c is not s for s in self._seen) for c in live)

    def trust(self) -> None:
        """Take the present connections for verified; call it before the verification begins."""
        self._seen = self._live()

    def __bool__(self) -> bool:
        """Whether any broker is connected just now."""
        return bool(self._live())

    def close_silent(self) -> list[object]:
        """Close the connections that have gone silent; returns the names of their nodes.

        The one over which the group's join waits is left alone: a broker holds a join back until all members have
        joined (:class:`ingest.worker.membership.Membership` looks after that one).
        """
        now = time.monotonic()
        held = self._joining()
        closed = []
        for node, conn in list(self._manager._conns.items()):
            if node == held or not conn.connected:
                continue
            try:
                asked = conn.in_flight_requests[0][2]
                heard = conn.transport.last_read
            except (IndexError, AttributeError):  # answered or closed in the meantime, by the client's own thread
                continue
            silent = now - max(asked, heard)
            limit, last = self._patience.get(node, (SILENT_SECONDS, -FORGIVE_SECONDS))
            if now - last > FORGIVE_SECONDS:
                limit = SILENT_SECONDS
            if silent <= limit:
                continue
            self._patience[node] = (min(2 * limit, LONGEST_SECONDS), now)
            metrics.SILENT_CONNECTIONS.inc()
            log.warning("broker does not answer: connection closed", node=str(node), seconds=round(silent, 1))
            error = RequestTimedOutError(f"no byte for {silent:.1f} s while a request waited")
            self._manager.call_soon(partial(conn.close, error))
            closed.append(node)
        return closed

    def _joining(self) -> object | None:
        coordinator = self._consumer._coordinator
        task = coordinator._join_task
        return None if task is None or task.is_done else coordinator.coordinator_id
