"""Connections that never finish what they ask for, and threads that are all busy, stop nobody else."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from barometer import http_server
from barometer.http_server import HttpServer, ThreadedServer
from barometer.metrics import serve
from barometer.settings import Settings
from barometer.store.migrate import open_store

HALF = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
UNFINISHED = {
    "nothing sent": b"",
    "half a line": b"GET /lo",
    "headers without an end": HALF,
    "a body without an end": HALF + b"\r\nname=",
    "chunks without an end": b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
}


def ask(port: int, path: str, timeout: float = 20) -> tuple[int, bytes]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return answer.status, answer.read()


@contextlib.contextmanager
def connections(port: int, n: int, begin: bytes) -> Iterator[list[socket.socket]]:
    opened = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(n)]
    try:
        for s in opened:
            s.sendall(begin)
        yield opened
    finally:
        for s in opened:
            s.close()


def closed(s: socket.socket, within: float) -> bool:
    """Whether the other side hangs up."""
    s.settimeout(within)
    try:
        while s.recv(4096):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.fixture
def dashboard(settings_for: Callable[..., Settings], tmp_path: Path) -> Iterator[int]:
    """The dashboard as the command serves it, with one process."""
    settings = settings_for(database_url=f"sqlite:///{tmp_path / 'site.db'}")
    open_store(settings, migrate=True).close()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = int(s.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "dashboard"],
        env={**os.environ, "BAROMETER_DATABASE_URL": settings.database_url, "BAROMETER_DASHBOARD_PORT": str(port),
             "BAROMETER_DASHBOARD_WORKERS": "1"},
        cwd=tmp_path,
    )  # fmt: skip
    until = time.monotonic() + 60
    try:
        while True:
            with contextlib.suppress(OSError):
                if ask(port, "/health")[0] == 200:
                    break
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.2)
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()


def test_the_dashboard_answers_beside_a_hundred_unfinished_requests(dashboard: int) -> None:
    with contextlib.ExitStack() as held:
        for begin in UNFINISHED.values():
            held.enter_context(connections(dashboard, 40, begin))
        for path in ("/health", "/login", "/metrics"):
            status, body = ask(dashboard, path)
            assert status == 200 and body


def app_of(release: threading.Event) -> http_server.Application:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            release.wait(30)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body) + 2))])
        return [b"ok" + body]

    return app


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def served(release: threading.Event) -> Iterator[ThreadedServer]:
    server = ThreadedServer(app_of(release), "127.0.0.1", 0, "test", ("/health",))
    yield server
    release.set()
    server.shutdown()


@pytest.mark.parametrize("begin", UNFINISHED.values(), ids=UNFINISHED.keys())
def test_a_request_has_to_arrive_in_time_however_slowly_it_drips(
    served: ThreadedServer, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 2.0)
    with connections(served.port, 1, begin) as (s,):
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while begin and time.monotonic() - began < 15:
                s.sendall(b"a" if b"\r\n\r\n" in begin else b"X")
                time.sleep(0.2)
        assert closed(s, 15)
        assert time.monotonic() - began < 15


def test_whole_requests_are_answered_piece_by_piece_and_one_after_the_other(served: ThreadedServer) -> None:
    with connections(served.port, 1, b"") as (s,):
        for piece in (
            b"POST /a HTTP/1.1\r\nHo",
            b"st: x\r\nContent-Length: 4\r\n\r\nwx",
            b"yzGET /b HTTP/1.1\r\nHost: x\r\n",
        ):
            s.sendall(piece)
            time.sleep(0.1)
        s.sendall(b"Connection: close\r\n\r\n")
        s.settimeout(20)
        got = b"".join(iter(lambda: s.recv(4096), b""))
    assert got.count(b"200 OK") == 2
    assert b"okwxyz" in got and got.endswith(b"ok")


def test_health_is_answered_while_all_threads_are_busy(served: ThreadedServer, release: threading.Event) -> None:
    line = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connections(served.port, 6, line) as busy:
        time.sleep(0.5)
        assert ask(served.port, "/health")[1] == b"ok"
        with pytest.raises(OSError):
            ask(served.port, "/other", timeout=1)
        release.set()
        assert all(b"200 OK" in s.recv(4096) for s in busy)
        assert ask(served.port, "/other")[1] == b"ok"


def test_where_connections_are_many_the_oldest_that_ask_for_nothing_go(
    served: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for listener in served._server._listeners:
        monkeypatch.setattr(listener.adj, "connection_limit", 40)
    with connections(served.port, 25, HALF) as first, connections(served.port, 35, b"GET"):
        assert ask(served.port, "/new")[1] == b"ok"
        assert sum(closed(s, 3) for s in first[:5]) == 5


def test_too_long_headers_and_bodies_are_refused(served: ThreadedServer) -> None:
    long = [b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"]  # fmt: skip
    for request in long:
        with connections(served.port, 1, b"") as (s,):
            with contextlib.suppress(OSError):
                s.sendall(request)
            assert s.recv(4096).split(b" ")[1] in (b"413", b"431")


def test_what_was_asked_is_answered_before_the_end(release: threading.Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = HttpServer(app_of(release), [listening.dup()], 2)
        with connections(port, 1, b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as (s,):
            for _ in range(3):
                server.turn()
            threading.Timer(0.5, release.set).start()
            server.close(10)
            assert b"200 OK" in s.recv(4096)


def test_metrics_of_worker_and_monitor_are_served_beside_unfinished_requests() -> None:
    server = serve("127.0.0.1", 0)
    threads = threading.active_count()
    with contextlib.ExitStack() as held:
        for begin in UNFINISHED.values():
            held.enter_context(connections(server.port, 20, begin))
        assert ask(server.port, "/health")[0] == 200
        assert ask(server.port, "/metrics")[0] == 200
        assert threading.active_count() == threads
    server.shutdown()
