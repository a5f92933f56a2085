"""Relays before every listener of three brokers: all traffic between a broker and its clients and the other brokers can
be swallowed there, as by a cable that was pulled.

All that comes to a broker comes through its relays, and what a broker sends to another through the other's: whose a
connection is, is told by its port and the processes' open sockets. A swallowed connection is not closed; what was under
way arrives when the hole is mended, as TCP would repeat it. New connections to the broker are not answered.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from bench.kills.nursery import be_born

BACKLOG = 128
Route = tuple[str, int]
"""(listener, node)."""


def relay(ports: Mapping[Route, int], pipe: Connection, log: str) -> None:
    """The relays' process: obeys ``(command, node, ...)`` from the pipe and answers each with True.

    Args:
        ports: where to listen for each listener of each broker.
    """
    be_born(log)
    asyncio.run(_Relays(ports, pipe).run())


class _Relays:
    def __init__(self, ports: Mapping[Route, int], pipe: Connection) -> None:
        self._ports, self._pipe = ports, pipe
        self._listeners: dict[Route, socket.socket] = {}
        self._targets: dict[Route, int] = {}
        self._pids: dict[int, int] = {}
        self._open = {node: asyncio.Event() for _, node in ports}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        for event in self._open.values():
            event.set()
        for route in self._ports:
            self._bind(route)
        over = asyncio.Event()

        def obey() -> None:
            try:
                command, *arguments = self._pipe.recv()
            except EOFError:
                over.set()
                return
            getattr(self, f"_{command}")(*arguments)
            self._pipe.send(True)

        self._loop.add_reader(self._pipe.fileno(), obey)
        await over.wait()

    # --- commands ----------------------------------------------------------------------------------------------------

    def _up(self, node: int, pid: int, targets: Mapping[str, int]) -> None:
        """The broker runs, or is about to."""
        self._pids[node] = pid
        for route in self._routes(node):
            self._targets[route] = targets[route[0]]
            if route not in self._listeners:
                self._bind(route)

    def _down(self, node: int) -> None:
        """The broker's process is gone and its machine is not: connections are refused."""
        for route in self._routes(node):
            s = self._listeners.pop(route, None)
            if s is not None:
                self._loop.remove_reader(s)
                s.close()

    def _swallow(self, node: int) -> None:
        self._open[node].clear()
        for route in self._routes(node):
            if (s := self._listeners.get(route)) is not None:
                self._loop.remove_reader(s)
                s.listen(0)  # a connection more than this is not even accepted: its SYN stays without an answer

    def _mend(self, node: int) -> None:
        self._open[node].set()
        for route in self._routes(node):
            if route in self._listeners:
                self._listen(route)

    def _routes(self, node: int) -> list[Route]:
        return [r for r in self._ports if r[1] == node]

    def _bind(self, route: Route) -> None:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self._ports[route]))
        s.setblocking(False)
        self._listeners[route] = s
        if self._open[route[1]].is_set():
            self._listen(route)

    def _listen(self, route: Route) -> None:
        self._listeners[route].listen(BACKLOG)
        self._loop.add_reader(self._listeners[route], self._accept, route)

    # --- connections -------------------------------------------------------------------------------------------------

    def _accept(self, route: Route) -> None:
        try:
            client, (_, port) = self._listeners[route].accept()
        except OSError:
            return
        client.setblocking(False)
        task = self._loop.create_task(self._serve(client, port, route))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, port: int, route: Route) -> None:
        whose = owner(port, self._ports[route], self._pids)
        gates = [self._open[route[1]], *([self._open[whose]] if whose else [])]
        await _passed(gates)
        broker = socket.socket()
        broker.setblocking(False)
        for s in (client, broker):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.sock_connect(broker, ("127.0.0.1", self._targets.get(route, 0)))
            async with asyncio.TaskGroup() as both:  # the end of one direction is the other's
                both.create_task(self._pump(client, broker, gates))
                both.create_task(self._pump(broker, client, gates))
        except* OSError:
            pass
        finally:
            await _passed(gates)
            for s in (client, broker):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
                s.close()

    async def _pump(self, source: socket.socket, sink: socket.socket, gates: list[asyncio.Event]) -> None:
        while data := await self._loop.sock_recv(source, 1 << 16):
            await _passed(gates)
            await self._loop.sock_sendall(sink, data)
        raise ConnectionResetError


async def _passed(gates: list[asyncio.Event]) -> None:
    while not all(g.is_set() for g in gates):
        for g in gates:
            await g.wait()


def owner(port: int, to: int, pids: Mapping[int, int]) -> int | None:
    """Which broker a connection from ``port`` to ``to`` (both on 127.0.0.1) comes from; None: from a client."""
    inode = _inode(port, to)
    for node, pid in pids.items():
        folder = f"/proc/{pid}/fd"
        try:
            for fd in os.listdir(folder):
                try:
                    if os.readlink(f"{folder}/{fd}") == f"socket:[{inode}]":
                        return node
                except FileNotFoundError:
                    continue
        except FileNotFoundError:
            continue
    return None


def _inode(port: int, to: int) -> str:
    """The client's end of a connection, by the kernel's tables; Java's sockets are in the second."""
    ends = f":{port:04X}", f":{to:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for line in lines:
                fields: list[Any] = line.split()
                if fields[1].endswith(ends[0]) and fields[2].endswith(ends[1]):
                    return str(fields[9])
    return ""
