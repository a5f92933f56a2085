"""Child processes that run roles: started together, restarted when one dies, ended together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

GRACE_SECONDS = 12.0
_MARK = "BAROMETER_SUPERVISED"


@dataclass
class Role:
    """One child: ``barometer <name>``."""

    name: str
    copy: int
    process: subprocess.Popen[bytes]
    started_at: float
    failures: int = 0
    next_start: float = 0.0
    threads: list[threading.Thread] = field(default_factory=list)


class Supervisor:
    """Runs ``barometer ROLE`` children.

    Args:
        environment: added to this process's for the children.
        on_line: called with (role, line) for each line a child prints to stderr or stdout.
        restart: start a child again when it ends by itself (after 1, 2, 4 ... 30 s).
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] | None = None,
        restart: bool = True,
    ) -> None:
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1", _MARK: "1"}
        self._on_line = on_line or (lambda role, line: print(f"{role:<10} {line}", file=sys.stderr, flush=True))
        self._restart = restart
        self.roles: dict[str, Role] = {}
        self._stopping = False

    def start(self, name: str, copy: int = 1) -> None:
        """Start one role; further copies of it are told apart by number."""
        key = name if copy == 1 else f"{name}-{copy}"
        process = subprocess.Popen(
            [sys.executable, "-m", "app", name],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor alone, which ends the rest in order
        )
        old = self.roles.get(key)
        role = Role(name, copy, process, time.monotonic(), failures=old.failures if old else 0)
        reader = threading.Thread(target=self._read, args=(key, process), daemon=True)
        reader.start()
        role.threads.append(reader)
        self.roles[key] = role

    def _read(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            self._on_line(name, raw.decode("utf-8", "replace").rstrip())

    def check(self) -> list[str]:
        """Restart what has ended; returns the names of roles that are down now."""
        down = []
        now = time.monotonic()
        for key, role in list(self.roles.items()):
            code = role.process.poll()
            if code is None:
                if now - role.started_at > 60:
                    role.failures = 0
                continue
            down.append(key)
            if self._stopping or not self._restart:
                continue
            if role.next_start == 0.0:
                role.failures += 1
                role.next_start = now + min(2.0 ** (role.failures - 1), 30.0)
                self._on_line(key, f"ended with code {code}; starting again in {role.next_start - now:.0f} s")
            elif now >= role.next_start:
                self.start(role.name, role.copy)
        return down

    def stop(self) -> None:
        """SIGTERM to all, in reverse order of their start; SIGKILL for those that do not end in time."""
        self._stopping = True
        running = [r for r in reversed(self.roles.values()) if r.process.poll() is None]
        for role in running:
            role.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for role in running:
            try:
                role.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._on_line(role.name, "did not end in time: killed")
                os.killpg(role.process.pid, signal.SIGKILL)
                role.process.wait()


def die_with_supervisor() -> None:
    """Called by a role at its start: where a supervisor started it, its death ends the role too (Linux: prctl(2),
    PR_SET_PDEATHSIG), so that a killed supervisor leaves no orphans."""
    if os.environ.get(_MARK) and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
