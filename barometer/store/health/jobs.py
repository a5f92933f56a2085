"""The last run of each of the monitor's jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.tables import Job


class JobRun(NamedTuple):
    """When a job ran last (epoch ms) and whether it went well; ``message`` says why not."""

    name: str
    started_at: int
    finished_at: int | None
    ok: bool | None
    message: str | None


def last_runs(c: Connection, names: Iterable[str]) -> dict[str, JobRun]:
    """Name of a job -> its last run, of those that have run."""
    columns = [Job.__table__.c[name] for name in JobRun._fields]
    return {row.name: JobRun(*row) for row in c.execute(select(*columns).where(Job.name.in_(list(names))))}


def record_run(store: Store, run: JobRun) -> None:
    """Put a run in the place of the job's last one, in a transaction of its own."""
    statement = upsert(store, Job).values(**run._asdict())
    changed = {name: statement.excluded[name] for name in run._fields if name != "name"}
    with store.write() as c:
        c.execute(statement.on_conflict_do_update(index_elements=[Job.name], set_=changed))
