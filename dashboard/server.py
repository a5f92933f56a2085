"""``barometer dashboard``: gunicorn, set up from the settings."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
import threading
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication

from barometer.settings import Settings
from barometer.store.waiting import open_store_patiently
from dashboard.web.prefix import prefix_of
from dashboard.web.serving import APART, SlowProofWorker

log = structlog.get_logger(__name__)
THREADS = 8
"""Screens ask every few seconds and answers take milliseconds; threads are for those that wait for the database."""
_M_ARENA_MAX, _ARENAS = -8, 2


class _Server(BaseApplication):
    def __init__(self, settings: Settings, options: dict[str, Any]) -> None:
        self._settings, self._options = settings, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    @property
    def apart(self) -> tuple[str, ...]:
        """Paths that have a thread of their own."""
        return (*APART, *(prefix_of(self._settings) + path for path in APART))

    def load(self) -> Any:
        # In the child: each process has connections of its own.
        from dashboard.app import CACHE_MB, create_app

        store = open_store_patiently(self._settings, threading.Event(), cache_mb=CACHE_MB)
        assert store is not None
        return create_app(self._settings, store)


def run_dashboard(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        StoreError: the store is at another revision.
    """
    store = open_store_patiently(settings, threading.Event())  # says what is wrong before any child is started
    assert store is not None
    store.close()
    _share_arenas()
    folder, parent = tempfile.mkdtemp(prefix="barometer-dashboard-"), os.getpid()
    try:
        # Metrics of all children together. The library chooses at its import where it keeps its figures.
        if "prometheus_client" not in sys.modules:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        _Server(
            settings,
            {
                "bind": f"{settings.dashboard_host}:{settings.dashboard_port}",
                "workers": settings.dashboard_workers,
                "worker_class": SlowProofWorker,
                "threads": THREADS,
                "worker_tmp_dir": folder,
                "preload_app": False,
                "timeout": 60,
                "graceful_timeout": 5,
                "proc_name": "barometer-dashboard",
                "loglevel": settings.log_level.lower(),
                "child_exit": _forget,
                "control_socket_disable": True,
            },
        ).run()
    finally:
        if os.getpid() == parent:  # children leave through here as well
            shutil.rmtree(folder, ignore_errors=True)


def _share_arenas() -> None:
    """glibc gives each thread memory of its own, and what one frees no other uses: the server would grow for hours."""
    with contextlib.suppress(OSError, AttributeError):  # another C library: nothing to set
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _forget(_server: Any, worker: Any) -> None:
    from prometheus_client import multiprocess

    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)
