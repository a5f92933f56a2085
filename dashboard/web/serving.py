"""The dashboard's process under gunicorn: it starts, watches and ends it; :mod:`barometer.http_server` reads requests.

Gunicorn's own thread workers give a thread to a connection before its request is there: eight that never finish theirs
stop eight threads.
"""

from __future__ import annotations

import os

from gunicorn.workers.base import Worker

from barometer.http_server import HttpServer

APART = ("/health",)
"""Answered by a thread of its own: whoever restarts processes must not take a busy one for a dead one."""


class SlowProofWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """For ``gunicorn --worker-class``; ``threads`` and ``graceful_timeout`` are gunicorn's."""

    def run(self) -> None:
        apart = getattr(self.app, "apart", APART)
        server = HttpServer(self.wsgi, [s.sock for s in self.sockets], self.cfg.threads, apart)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            server.turn()
        server.close(max(0.5, self.cfg.graceful_timeout - 1))
