"""A relay to PostgreSQL that cuts the connection inside a COPY, after so many bytes of rows."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class Cutter:
    """Relays 127.0.0.1:``port`` to ``target`` and reads what the client says (the frontend messages of PostgreSQL's
    protocol 3.0: a letter, a length that includes itself, the content).

    Args:
        target: the server's port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut_after: list[int] = []
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, copied: int) -> None:
        """The next COPY to send more than so many bytes of rows loses its connection there (0: at its first row)."""
        self._cut_after.append(copied)

    @property
    def waiting(self) -> bool:
        """Whether a cut is still to come."""
        return bool(self._cut_after)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._from_server, args=(server, client), daemon=True).start()
            threading.Thread(target=self._from_client, args=(client, server), daemon=True).start()

    def _from_server(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _end(server, client)

    def _from_client(self, client: socket.socket, server: socket.socket) -> None:
        copied = 0
        stream = client.makefile("rb")
        started = False
        with contextlib.suppress(OSError, struct.error):
            while True:
                letter = stream.read(1) if started else b""
                size = stream.read(4)
                content = stream.read(struct.unpack(">I", size)[0] - 4)
                # An answer to the request for TLS is "N" here: the startup message follows, without a letter too.
                started = started or content[:4] == struct.pack(">I", 196608)
                if letter == b"d":
                    copied += len(content)
                    if self._cut_after and copied > self._cut_after[0]:
                        keep = max(0, len(content) - (copied - self._cut_after.pop(0)))
                        server.sendall(letter + size + content[:keep])
                        self.cuts += 1
                        break
                else:
                    copied = 0
                server.sendall(letter + size + content)
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for s in sockets:
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)
