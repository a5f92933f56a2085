"""The supervisor of roles: lines arrive, the dead come back, all end together."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from app import supervise
from app.supervise import Supervisor


@pytest.fixture
def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ``python``: a program that says hello, then waits, then ends well on SIGTERM."""
    program = tmp_path / "role"
    program.write_text(
        f"#!{sys.executable}\n"
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('hello from', sys.argv[3], flush=True)\n"
        "time.sleep(60)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(supervise.sys, "executable", str(program))
    return program


def wait_for(lines: list[tuple[str, str]], wanted: tuple[str, str], count: int = 1) -> None:
    deadline = time.monotonic() + 10
    while lines.count(wanted) < count:
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)


@pytest.mark.usefixtures("role")
def test_roles_start_speak_and_end() -> None:
    lines: list[tuple[str, str]] = []
    supervisor = Supervisor(on_line=lambda r, line: lines.append((r, line)))
    supervisor.start("worker")
    supervisor.start("worker", 2)
    wait_for(lines, ("worker", "hello from worker"))
    wait_for(lines, ("worker-2", "hello from worker"))
    assert supervisor.check() == []
    supervisor.stop()
    wait_for(lines, ("worker", "bye"))
    assert [r.process.returncode for r in supervisor.roles.values()] == [0, 0]


@pytest.mark.usefixtures("role")
def test_a_killed_role_is_started_again() -> None:
    lines: list[tuple[str, str]] = []
    supervisor = Supervisor(on_line=lambda r, line: lines.append((r, line)))
    supervisor.start("monitor")
    wait_for(lines, ("monitor", "hello from monitor"))
    os.kill(supervisor.roles["monitor"].process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while lines.count(("monitor", "hello from monitor")) < 2:
        supervisor.check()
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)
    assert any("ended with code -9" in line for _, line in lines)
    supervisor.stop()
