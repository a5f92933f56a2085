"""Pings an external dead man's switch (healthchecks.io, Dead Man's Snitch, Uptime Kuma, or what Alertmanager's Watchdog
goes to), so that an outage is noticed even if all of Barometer is down."""

from __future__ import annotations

import httpx

from barometer import outbound
from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.jobs import last_runs
from barometer.store.leases import Lease
from barometer.unreached import unreached

NEEDED = ("alarms", "outbox", "reminders", "seal")
"""Jobs without which the leader only seems alive."""
FRESH_MS = 180_000
TIMEOUT_SECONDS = 10.0


class Heartbeat:
    """Sends one ping a call, unless the leader runs but does not do its work."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._url = store, settings.heartbeat_url

    def beat(self, lease: Lease) -> None:
        """Raises:
        BarometerError: a job fails or hangs, so nothing was sent; or it was sent and not taken.
        """
        if not self._url:
            return
        with self._store.read() as c:
            now = self._store.now_ms(c)
            jobs = last_runs(c, NEEDED)
        for name in NEEDED:
            row = jobs.get(name)
            if row is None or row.ok is False or row.finished_at is None or now - row.finished_at > FRESH_MS:
                raise BarometerError(f"no heartbeat is sent: the job {name} " + ("fails" if row else "has not run"))
        ping = {"product": "barometer", "leader": lease.holder, "term": lease.term, "at": now}
        try:
            url = self._url.get_secret_value()
            with outbound.client(url, TIMEOUT_SECONDS) as client:
                answer = client.post(url, json=ping)
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            why = unreached(e, outbound.called(url), TIMEOUT_SECONDS).replace(url, "***")  # which holds a token
            raise BarometerError(f"the heartbeat was not taken: {why}") from None
        if answer.status_code >= 300:
            raise BarometerError(f"the heartbeat was not taken: HTTP {answer.status_code}")
