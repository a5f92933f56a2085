"""One worker process on SQLite: an advisory lock beside the database, which the kernel drops with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from barometer.errors import StoreError
from barometer.store.engine import Store


@contextmanager
def only_worker(store: Store) -> Iterator[None]:
    """Hold the right to be the worker of this store; on PostgreSQL there may be many.

    Raises:
        StoreError: another worker process holds it.
    """
    if store.path is None:
        yield
        return
    path = store.path.with_name(store.path.name + ".worker")
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "?"
            raise StoreError(
                f"another worker (process {holder}) writes {store.path}: SQLite allows one. "
                "End it, or use PostgreSQL (BAROMETER_DATABASE_URL=postgresql://...) for several workers"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
