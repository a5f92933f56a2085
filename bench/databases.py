"""An empty database for a bench: SQLite in a temporary folder, or PostgreSQL, if need be on a server of its own.

The server keeps its promises (fsync and synchronous commits are on, unlike in the tests): what is measured is what a
production server does. Only memory and the checkpoint distance are larger than PostgreSQL's defaults.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

_OPTIONS = "-c shared_buffers=512MB -c max_wal_size=4GB -c checkpoint_timeout=15min -c max_connections=80"


@contextmanager
def empty_database(kind: str, server: str = "") -> Iterator[str]:
    """The URL of an empty database, which is removed after use.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        server: URL of a PostgreSQL server on which databases may be made; empty: one of our own is started.
    """
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="barometer-bench-") as folder:
            yield f"sqlite:///{folder}/bench.db"
        return
    if not server:
        with postgres_server() as own, empty_database(kind, own) as url:
            yield url
        return
    plain = make_url(server).set(drivername="postgresql")
    name = f"bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name}")
    try:
        yield plain.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as c:
            c.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def postgres_server(kept: Path | None = None) -> Iterator[str]:
    """A PostgreSQL server for as long as the block runs; gives its URL.

    Args:
        kept: where its files are and stay; without, in a folder that is removed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise SystemExit("no PostgreSQL here: install it, or name a server with --postgres URL")
    binaries = found[-1].parent if found else Path(str(on_path)).parent
    with ExitStack() as stack:
        s = stack.enter_context(socket.socket())
        folder = str(kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="barometer-bench-pg-")))
        Path(folder).mkdir(parents=True, exist_ok=True)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            entry = pwd.getpwnam("postgres")
            user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        data = Path(folder) / "data"

        def run(*command: str) -> None:
            with (Path(folder) / "out").open("wb") as out:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", **user)  # noqa: PLW1510
            if done.returncode:
                raise SystemExit(f"{' '.join(command)}:\n{(Path(folder) / 'out').read_text(errors='replace')}")

        if not data.exists():
            run(str(binaries / "initdb"), "-D", str(data), "-U", "barometer", "-A", "trust", "-E", "UTF8", "--locale=C")
        control = (str(binaries / "pg_ctl"), "-w", "-D", str(data))
        options = f"-h 127.0.0.1 -p {port} -k {data} {_OPTIONS}"
        run(*control, "-o", options, "-l", str(data / "server.log"), "start")
        try:
            yield f"postgresql://barometer@127.0.0.1:{port}/postgres"
        finally:
            run(*control, "-m", "fast" if kept else "immediate", "stop")
