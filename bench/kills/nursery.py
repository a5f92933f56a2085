"""Where the processes of a run are born: forked from one that has imported everything, so a start costs little."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from multiprocessing import forkserver
from typing import Any


def nursery(*modules: str) -> Any:
    """A context of multiprocessing whose processes find ``modules`` imported; the first call of a run says which."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context


def be_born(log: str) -> None:
    """What a forked process does first: it writes to ``log`` and ends with the run.

    Nothing of ours outlives the run: the nursery ends when nobody holds its pipe any more, and we with it
    (PR_SET_PDEATHSIG).
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    pipe = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if pipe is not None:
        os.close(pipe)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
