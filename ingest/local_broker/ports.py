"""Ports on this machine for brokers to listen on."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator


def free_ports(count: int) -> Iterator[int]:
    """Free ports below those that the kernel gives to outgoing connections.

    A broker that is started again needs its port: a client's connection could have got it meanwhile.
    """
    chosen: list[int] = []
    draw = random.SystemRandom()
    while len(chosen) < count:
        port = draw.randrange(15_000, 32_000)
        if port not in chosen and not is_taken(port):
            chosen.append(port)
    return iter(chosen)


def is_taken(port: int) -> bool:
    """Whether something listens on a port of 127.0.0.1."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a broker, too
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
