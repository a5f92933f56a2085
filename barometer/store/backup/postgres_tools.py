"""``pg_dump`` and ``pg_restore``: found, of a version that will do, and given the connection by the environment (an
argument can be read by everybody on the machine)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg

from barometer.errors import StoreError

_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
}
"""Connection parameters and the variables of libpq that say the same
(https://www.postgresql.org/docs/current/libpq-envars.html)."""


def find_tool(name: str, at_least: int) -> Path:
    """The newest of the tools of this name.

    Args:
        at_least: major version of the server: an older tool does not understand it.

    Raises:
        StoreError: there is none, or an older one.
    """
    on_path = shutil.which(name)
    places = [*([Path(on_path)] if on_path else []), *Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    found = [(version, path) for path in places if (version := _major(path)) is not None]
    advice = (
        f"install PostgreSQL's client tools, version {at_least} or later (Debian, Ubuntu: apt install "
        f"postgresql-client-{at_least}; others: https://www.postgresql.org/download/)"
    )
    if not found:
        raise StoreError(f"{name} is not there: {advice}")
    version, path = max(found)
    if version < at_least:
        raise StoreError(f"{name} is of version {version}, the server is of version {at_least}: {advice}")
    return path


def _major(path: Path) -> int | None:
    try:
        output = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, check=False, timeout=20
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(match[1]) if match else None


def environment(raw: psycopg.Connection) -> dict[str, str]:
    """Environment variables with which libpq's tools connect to the same server as ``raw``, as the same user."""
    parameters = raw.info.get_parameters()
    env = {k: v for k, v in os.environ.items() if k not in _VARIABLES.values()}
    env |= {variable: parameters[name] for name, variable in _VARIABLES.items() if parameters.get(name)}
    env |= {"PGHOST": raw.info.host, "PGPORT": str(raw.info.port), "PGAPPNAME": "barometer backup"}
    if raw.info.password:
        env["PGPASSWORD"] = raw.info.password
    return env
