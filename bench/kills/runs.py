"""One run: a fresh store, the one log, kills until it is read, sealed and told; then the comparison."""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from barometer.settings import Settings, load_settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from bench.kills.actors import Company, Killing
from bench.kills.outside import deliveries_wrong, relayed_wrong
from bench.kills.rows import Rows, differences, read_rows
from bench.kills.servers import DurableBroker, Postgres
from bench.kills.texts import Filled, Shape, fill
from testing.post_box import PostBox, post_box

LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 180.0


@dataclass
class Outcome:
    """What a run came to. ``wrong`` is empty where nothing was lost, doubled or changed."""

    kills: list[str]
    restarts: int
    seconds: float
    wrong: list[str]
    rows: int = 0
    repeats_sent: int = 0
    """Notifications that arrived once more than needed."""
    stored: Rows = field(default_factory=dict, repr=False)
    url: str = ""


@dataclass
class Stage:
    """Everything that the runs share: servers, the log, who is told."""

    broker: DurableBroker
    postgres: Postgres | None
    folder: Path
    filled: Filled
    topic: str
    box: PostBox
    pace: float
    shape: Shape
    receivers: int
    """Each told of every alert by two hooks: enough notifications to be killed between send and mark."""
    template: str | None = None

    def settings(self, group: str, folder: Path, url: str) -> Settings:
        return run_settings(self.broker.bootstrap, self.topic, group, folder, url, self.box, self.shape, self.receivers)


def run_settings(
    bootstrap: str,
    topic: str,
    group: str,
    folder: Path,
    url: str,
    box: PostBox,
    shape: Shape,
    receivers: int,
    session_timeout_ms: int = 1_500,
) -> Settings:
    """Small steps and short leases; each receiver is told of every alert by two hooks."""
    notify = folder / "notify.yaml"
    hooks = [{"type": "webhook", "url": box.url}] * 2
    names = [f"people-{i}" for i in range(receivers)]
    notify.write_text(
        yaml.safe_dump(
            {
                "receivers": [{"name": n, "channels": hooks} for n in names],
                "routes": [{"type": "system", "receivers": []}, {"receivers": names}],
            }
        )
    )
    return load_settings(
        database_url=url,
        kafka_bootstrap=bootstrap,
        topic_documents=topic,
        topic_dlq=f"{topic}.dlq.{group}",
        topic_partitions=shape.partitions,
        consumer_group=group,
        session_timeout_ms=session_timeout_ms,
        worker_batch=24,
        worker_linger_ms=20,
        bucket_seconds=shape.bucket_ms // 1000,
        lease_seconds=2,
        tick_seconds=0.15,
        metrics_port_worker=0,
        metrics_port_monitor=0,
        notify_file=notify,
        lag_alarm_records=10**9,
        log_level="INFO",
        author_salt="the same in each store",
    )


@contextmanager
def stage(
    broker: DurableBroker,
    postgres: Postgres | None,
    folder: Path,
    *,
    shape: Shape,
    seed: int,
    pace: float,
    receivers: int = 4,
) -> Iterator[Stage]:
    """Fill the topic, make a database to copy, open the post box."""
    topic = f"documents-{uuid.uuid4().hex[:8]}"
    with post_box() as box:
        made = Stage(broker, postgres, folder, Filled({}, 0), topic, box, pace, shape, receivers)
        plain = made.settings("filler", folder, f"sqlite:///{folder / 'none.db'}")
        made.filled = fill(plain, shape, seed)
        if postgres is not None:
            made.template = postgres.database()
            open_store(plain.model_copy(update={"database_url": made.template}), migrate=True).close()
        yield made


def run(
    stage: Stage,
    killings: Sequence[Killing],
    seed: str,
    *,
    sqlite: bool = False,
    workers: int = 3,
    want: Rows | None = None,
    migrated: bool = True,
    keep: bool = False,
) -> Outcome:
    """One run from an empty store to the end of the log.

    Args:
        killings: what is killed; none: an undisturbed run.
        want: the rows of the undisturbed run.
        migrated: whether the store has its tables already.
        keep: leave the store there, for :attr:`Outcome.url`.
    """
    began = time.monotonic()
    group = f"g-{uuid.uuid4().hex[:8]}"
    folder = Path(tempfile.mkdtemp(prefix=f"{group}-", dir=stage.folder))
    if sqlite:
        url = f"sqlite:///{folder / 'store.db'}"
    else:
        assert stage.postgres is not None
        url = stage.postgres.database(stage.template if migrated else None)
    settings = stage.settings(group, folder, url)
    store = Store(url)
    company = Company(
        settings,
        folder,
        stage.broker,
        stage.postgres,
        tuple(killings),
        random.Random(seed),
        stage.pace,
        lambda: leader_of(store),
    )
    stage.box.received.clear()
    wrong: list[str] = []
    try:
        if migrated:
            open_store(settings, migrate=True).close()
        elif not sqlite:  # there each role brings the store up to date itself
            company.start("upgrade")
        company.start("worker", 1 if sqlite else workers)
        company.start("monitor", 2)
        wrong += until_done(stage.filled, store, settings, company, time.monotonic() + PATIENCE_SECONDS)
        wrong += company.stop()
        wrong += company.faults
    finally:
        company.kill_all()
    repair(stage)
    stored: Rows = {}
    if not wrong:
        stored = read_rows(store)
        keys = Counter(r["headers"]["Idempotency-Key"] for r in stage.box.received)
        wrong += deliveries_wrong(store, keys)
        wrong += relayed_wrong(settings, store)
        wrong += differences(stored, want) if want is not None else []
        repeats = sum(keys.values()) - len(keys)
    else:
        repeats = 0
    store.close()
    if wrong:
        wrong.append(f"logs are in {keep_logs(folder)}")
    elif stage.postgres is not None and not sqlite and not keep:
        stage.postgres.drop(url)
    return Outcome(
        company.kills,
        company.restarts,
        time.monotonic() - began,
        wrong,
        sum(map(len, stored.values())),
        repeats,
        stored,
        url,
    )


def repair(stage: Stage) -> None:
    """What the last strike of a run left dead."""
    if not stage.broker.alive:
        stage.broker.start()
    if stage.postgres is not None and not stage.postgres.alive:
        stage.postgres.start()


def keep_logs(folder: Path) -> Path:
    kept = Path(tempfile.mkdtemp(prefix="barometer-kills-failed-"))
    for f in folder.iterdir():
        if f.suffix in (".log", "") and f.is_file():
            (kept / f.name).write_bytes(f.read_bytes())
    return kept


# --- is it done? -----------------------------------------------------------------------------------------------------


def until_done(filled: Filled, store: Store, settings: Settings, company: Company, deadline: float) -> list[str]:
    """Watch the company until all is consumed, sealed, relayed and told; says what is not if time is up."""
    leased = False
    while True:
        missing = ["the store does not answer"]
        try:
            if not leased:
                leased = importing(store, settings)
            missing = left_over(store, filled)
        except SQLAlchemyError as e:
            missing = [f"the store does not answer: {str(e).splitlines()[0][:200]}"]
        company.look(bool(missing))
        if not missing:
            return []
        if time.monotonic() > deadline:
            return [f"not done in time: {'; '.join(missing)}", *diagnosis(company)]
        time.sleep(LOOK_SECONDS)


def importing(store: Store, settings: Settings) -> bool:
    """The topic is an archive whose progress its importer wrote: the leader, which would add the present, must see
    that somebody holds the lease."""
    return leases.acquire(store, leases.progress_lease(settings.topic_documents), "produce@bench", 86_400) is not None


def leader_of(store: Store) -> int | None:
    """The leading process, by the name that it gave itself: monitor-HOST-PID-RANDOM."""
    try:
        held = leases.holder_of(store, leases.LEADER)
    except SQLAlchemyError:
        return None
    return int(held.holder.split("-")[-2]) if held is not None else None


def left_over(store: Store, filled: Filled) -> list[str]:
    """What is still to be done; nothing at the end."""
    out = []
    with store.read() as c:
        have = {r.partition: r.next_offset for r in c.execute(select(t.Offset.partition, t.Offset.next_offset))}
        sealed = c.execute(select(t.SealingState.sealed_until)).scalar()
        letters = c.execute(select(func.count()).where(t.DeadLetter.relayed_at.is_(None))).scalar_one()
        untold = c.execute(
            select(func.count()).where(t.Notification.state.in_(("pending", "sending", "failed")))
        ).scalar_one()
    behind = {p: (have.get(p), end) for p, end in filled.ends.items() if have.get(p) != end}
    if behind:
        out.append(f"partitions at (offset, end) {behind}")
    if sealed != filled.sealed_until:
        out.append(f"sealed until {sealed} of {filled.sealed_until}")
    if letters:
        out.append(f"{letters} dead letters not relayed")
    if untold:
        out.append(f"{untold} notifications not sent")
    return out


def diagnosis(company: Company) -> list[str]:
    alive = [f"{a.name} {'alive' if a.process.is_alive() else a.process.exitcode}" for a in company.actors]
    tail = company.log.read_bytes()[-3_000:].decode("utf-8", "replace") if company.log.exists() else ""
    return [f"processes: {', '.join(alive)}; kills so far {len(company.kills)}", *tail.splitlines()[-12:]]


def undisturbed(stage: Stage, *, sqlite: bool = False) -> Outcome:
    """The run that all others are compared with: one worker, nothing killed. Its store is kept."""
    return run(stage, (), "undisturbed", sqlite=sqlite, workers=1, keep=True)
