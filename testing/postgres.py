"""A PostgreSQL server of its own for tests and benches."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class PostgresServer:
    """A PostgreSQL server of the tests' own, which may be stopped and started again."""

    bin: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://barometer@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = (
            f"-h 127.0.0.1 -p {self.port} -k {self.data} -c fsync=off -c synchronous_commit=off"
            " -c full_page_writes=off -c max_connections=80 -c shared_buffers=64MB"
        )
        self._control("-w", "-o", options, "-l", str(self.data / "server.log"), "start")

    def stop(self, mode: str = "fast") -> None:
        self._control("-w", "-m", mode, "stop")

    def _control(self, *arguments: str) -> None:
        _as_postgres([str(self.bin / "pg_ctl"), "-D", str(self.data), *arguments])


def _as_postgres(command: list[str]) -> None:
    """Run a command as the user postgres where we are root: the server refuses to run as root."""
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    # pg_ctl's server inherits our pipes: with capture_output we would wait for as long as it runs.
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", check=False, **user)
        if done.returncode:
            out.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{out.read().decode(errors='replace')}")


def make_postgres() -> tuple[PostgresServer, Path] | str:
    """A running server and the folder to remove after it, or the reason why there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    binaries = found[-1].parent if found else Path(on_path).parent if on_path else None
    if binaries is None:
        return "no PostgreSQL: install Debian's postgresql, or name a server in BAROMETER_TEST_POSTGRES"
    folder = Path(tempfile.mkdtemp(prefix="barometer-pg-"))
    if os.geteuid() == 0:
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL refuses to run as root, and there is no user postgres"
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = PostgresServer(binaries, folder / "data", port)
    _as_postgres(
        [
            str(binaries / "initdb"),
            "-D",
            str(server.data),
            "-U",
            "barometer",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
    )
    server.start()
    return server, folder
