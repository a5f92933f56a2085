"""Child processes that end with their parent, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child is to call before it becomes another program (``preexec_fn``); None where there is no such thing.

    The kernel sends the child this signal when the *thread* that started it ends (Linux: prctl(2), PR_SET_PDEATHSIG).
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child may not allocate much
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
