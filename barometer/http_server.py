"""An HTTP server that slow clients cannot block.

Waitress reads requests in one loop and gives a thread only to one that is there whole, so that connections which never
finish theirs cost a socket each and no thread. Beyond what it does by itself: a request must be complete within a time
limit, however little by little its bytes come; where connections become many, those that have been idle longest
are closed; and some paths have a thread of their own, which answers while all others are busy.
"""

from __future__ import annotations

import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

REQUEST_SECONDS = 20.0
"""So long a request may take to arrive, from its first byte (or the connection's beginning) to its last."""
IDLE_SECONDS = 60
"""A connection between two requests, or a reader that takes nothing of its answer, is closed after so long."""
CONNECTIONS = 800
"""At a time; fewer where the process may open fewer files."""
CROWDED = 0.75
"""From this share of them on, the oldest that owe a request are closed, then those that asked longest ago."""
MOST_HEADERS, MOST_BODY = 64 * 1024, 4 * 1024 * 1024
_TICK = 0.5
_OTHER_FILES = 200
"""What a process opens besides: the database, the model, logs."""
logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait for a thread is no news


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. ``owing``: it has begun a request, or never made one; ``since``: it began so, or last asked."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.owing, self.since = True, time.monotonic()

    def received(self, data: bytes) -> bool:
        done: bool = super().received(data)
        if self.request is not None and not self.owing:
            self.owing, self.since = True, time.monotonic()
        return done

    @property
    def waited_for(self) -> bool:
        """Neither at work nor being answered: it is the other side's turn."""
        return not (self.requests or self.total_outbufs_len or self.will_close)


class _Threads:
    """Threads for requests, and others for paths that must be answered whatever else goes on."""

    def __init__(self, threads: int, apart: frozenset[str]) -> None:
        self._apart = apart
        self._many, self._few = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._many.set_thread_count(threads)
        self._few.set_thread_count(1 if apart else 0)

    def add_task(self, channel: Any) -> None:
        """A channel has a request that is there whole."""
        channel.owing, channel.since = False, time.monotonic()
        alone = channel.requests[0].path in self._apart
        (self._few if alone else self._many).add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        ended = [d.shutdown(cancel_pending, timeout) for d in (self._few, self._many)]
        return all(ended)


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        late = time.monotonic() - REQUEST_SECONDS
        waiting = [c for c in self.active_channels.values() if c.waited_for]
        for channel in waiting:
            if channel.owing and channel.since < late:
                channel.will_close = True
        excess = len(self._map) - int(CROWDED * self.adj.connection_limit)
        if excess > 0:
            for channel in sorted(waiting, key=lambda c: (not c.owing, c.since))[:excess]:
                channel.will_close = True


class HttpServer:
    """Serves a WSGI application on sockets that listen already, until :meth:`close`.

    Args:
        apart: paths that have a thread of their own.
    """

    def __init__(self, app: Application, sockets: Sequence[socket.socket], threads: int, apart: Iterable[str] = ()):
        self._map: dict[int, Any] = {}
        self._threads = _Threads(threads, frozenset(apart))
        adjustments = Adjustments(
            sockets=list(sockets),
            connection_limit=_connections(),
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            max_request_header_size=MOST_HEADERS,
            max_request_body_size=MOST_BODY,
            ident="barometer",
            threads=threads,
            # Whether a proxy is believed is the application's matter.
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
            asyncore_use_poll=True,
        )
        self._listeners = [
            _Listener(
                app,
                self._map,
                True,
                s,
                dispatcher=self._threads,
                adj=adjustments,
                bind_socket=False,
                sockinfo=(s.family, s.type, s.proto, s.getsockname()),
            )
            for s in sockets
        ]

    def turn(self) -> None:
        """Serve for a moment; called again and again."""
        wasyncore.loop(timeout=_TICK, map=self._map, use_poll=True, count=1)

    def close(self, grace_seconds: float) -> None:
        """Take no more connections, finish what was asked, end."""
        for listener in self._listeners:
            listener.accepting = False
            listener.del_channel(self._map)
            listener.socket.close()
        until = time.monotonic() + grace_seconds
        while time.monotonic() < until and any(self._busy(c) for c in self._channels()):
            self.turn()
        self._threads.shutdown(timeout=max(0.1, until - time.monotonic()))
        for listener in self._listeners:
            listener.trigger.close()
        wasyncore.close_all(self._map, ignore_all=True)

    def _channels(self) -> list[Any]:
        return [c for listener in self._listeners for c in listener.active_channels.values()]

    @staticmethod
    def _busy(channel: Any) -> bool:
        return bool(channel.requests or channel.total_outbufs_len) and not channel.will_close


class ThreadedServer:
    """An :class:`HttpServer` beside the work of a process, in a thread; ``port`` is the one it got.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, app: Application, host: str, port: int, name: str, apart: Iterable[str] = ()) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=128)
        self.port = int(listening.getsockname()[1])
        self._stop = threading.Event()
        self._server = HttpServer(app, [listening], 2, apart)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._server.turn()
        self._server.close(1.0)

    def shutdown(self) -> None:
        self._stop.set()
        self._thread.join(3.0)


def _connections() -> int:
    """How many may be open: files are a limit of the process, which is lifted as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        lifted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lifted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = CONNECTIONS if soft == resource.RLIM_INFINITY else soft - _OTHER_FILES
    return max(32, min(CONNECTIONS, room))
