"""One topic, one group, one store, and what is read of what is there."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from barometer.settings import Settings, load_settings
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.health.processes import list_processes
from bench.kills.servers import Postgres
from bench.rebalances.member import work
from ingest.local_broker.apache_kafka import ApacheKafka

SESSION_MS = 6_000
"""The shortest session that a broker allows as it comes (``group.min.session.timeout.ms``)."""
BATCH = 8
SLOW_SECONDS = 0.1
"""So long a batch is scored where the member is to be busy."""
WAITING = 40
"""Records that a partition always has before it where members are busy: a batch is held all the time."""
FEED_SECONDS = 0.25
IDLE_SECONDS = 1.0
"""Between two records where members are idle."""
USER = "worker"
"""Has only the rights that he is given."""
AT_WORK = ("running", "standing by")


@dataclass(frozen=True)
class World:
    """What all lives share: one Kafka with rights, one PostgreSQL, a producer and an administrator, who may all."""

    kafka: ApacheKafka
    postgres: Postgres
    template: str
    folder: Path
    nursery: Any
    producer: KafkaProducer
    admin: KafkaAdminClient
    admin_lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)


class Stopped(Exception):
    """Ctrl-C."""


class Life:
    """A topic and its readers, from nothing to the end.

    Args:
        busy: the scorer is slower than the stream, so that a batch is always held; else it waits for every record.
        locked: members log in as a user who must be given each right.
    """

    def __init__(self, world: World, name: str, chance: random.Random, *, busy: bool, locked: bool) -> None:
        self.world, self.chance, self.busy, self.locked = world, chance, busy, locked
        self.topic, self.group = f"t-{name}", f"g-{name}"
        self.log = world.folder / f"{name}.log"
        self.url = world.postgres.database(world.template)
        self.store = Store(self.url)
        self.partitions = 0
        self.members: list[Any] = []
        self._values = self._settings()
        self._sent = 0
        self._ends: dict[int, int] = {}
        self._lock = threading.Lock()
        self._feeding, self._over = threading.Event(), threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _settings(self) -> dict[str, Any]:
        kafka = self.world.kafka
        where: dict[str, Any] = {"kafka_bootstrap": kafka.bootstrap}
        if self.locked:
            where = {
                "kafka_bootstrap": kafka.secure_bootstrap,
                "kafka_options": {
                    "security_protocol": "SASL_SSL",
                    "ssl_cafile": str(kafka.tls / "ca.pem"),
                    "sasl_mechanism": "PLAIN",
                    "sasl_plain_username": USER,
                    "sasl_plain_password": kafka.users[USER],
                },
            }
        made: Settings = load_settings(
            **where,
            database_url=self.url,
            topic_documents=self.topic,
            topic_dlq=f"{self.topic}.dlq",
            topic_partitions=self.chance.choice((2, 3, 4, 6)),
            consumer_group=self.group,
            worker_batch=BATCH,
            worker_linger_ms=20,
            session_timeout_ms=SESSION_MS,
            metrics_port_worker=0,
            log_level="INFO",
        )
        values = made.model_dump(mode="json", exclude={"author_salt"})
        return {k: v for k, v in values.items() if v is not None}

    # --- the topic ---------------------------------------------------------------------------------------------------

    @property
    def wanted_partitions(self) -> int:
        return int(self._values["topic_partitions"])

    def make_topic(self) -> None:
        """As an administrator would, with the one for dead letters."""
        options = {"configs": {"retention.ms": "-1"}}
        with self.world.admin_lock:
            self.world.admin.create_topics(
                {self.topic: {**options, "num_partitions": self.wanted_partitions}}, wait_for_metadata=True
            )
        self.know_partitions(self.wanted_partitions)

    def make_dead_letters(self) -> None:
        with self.world.admin_lock:
            self.world.admin.create_topics({f"{self.topic}.dlq": {"num_partitions": 1}}, wait_for_metadata=True)

    def topic_is_there(self) -> bool:
        with self.world.admin_lock:
            found = self.world.admin.describe_topics([self.topic])
        return bool(found) and found[0]["error_code"] == 0

    def raise_partitions(self, to: int) -> None:
        with self.world.admin_lock:
            self.world.admin.create_partitions({self.topic: to})
        self.know_partitions(to)

    def know_partitions(self, count: int) -> None:
        """Wait until the producer may write to all partitions."""
        while len(self.world.producer.partitions_for(self.topic) or ()) < count:
            self.wait(0.05)
        self.partitions = count

    def grant(self, *rights: str) -> None:
        """Give the user of the locked members rights: ``Read topic``, ``Describe topic``, ``Read group``."""
        for operation, topic, group in map(self._right, rights):
            self.world.kafka.allow(USER, operation, topic=topic, group=group)

    def withdraw(self, *rights: str) -> None:
        for operation, topic, group in map(self._right, rights):
            self.world.kafka.withdraw(USER, operation, topic=topic, group=group)

    def _right(self, said: str) -> tuple[str, str, str]:
        operation, of = said.split()
        topic = {"topic": self.topic, "letters": f"{self.topic}.dlq", "group": ""}[of]
        return operation, topic, "" if topic else self.group

    # --- members -----------------------------------------------------------------------------------------------------

    def come(self) -> Any:
        """Start a member."""
        seconds = SLOW_SECONDS if self.busy else 0.0
        member = self.world.nursery.Process(target=work, args=(self._values, str(self.log), seconds), daemon=True)
        member.start()
        self.members.append(member)
        return member

    def leave(self, signal_number: int) -> None:
        """End a member, chosen at random."""
        member = self.chance.choice(self.members)
        os.kill(member.pid, signal_number)
        member.join()
        self.members.remove(member)

    def freeze(self, members: list[Any], seconds: float) -> None:
        for m in members:
            os.kill(m.pid, signal.SIGSTOP)
        try:
            self.wait(seconds)
        finally:
            for m in members:
                os.kill(m.pid, signal.SIGCONT)

    # --- records -----------------------------------------------------------------------------------------------------

    def feed(self, on: bool) -> None:
        """Keep the members busy, or give them a record now and then."""
        (self._feeding.set if on else self._feeding.clear)()

    def _feed(self) -> None:
        idle = 0.0
        while not self._over.wait(FEED_SECONDS):
            if not self._feeding.is_set():
                continue
            if not self.busy:
                idle += FEED_SECONDS
                if idle >= IDLE_SECONDS:
                    idle = 0.0
                    self.send({self.chance.randrange(self.partitions): 1})
                continue
            try:
                have = self.positions()
            except DBAPIError:
                continue
            with self._lock:
                ends = dict(self._ends)
            self.send({p: WAITING - (ends.get(p, 0) - have.get(p, 0)) for p in range(self.partitions)})

    def send(self, counts: dict[int, int]) -> None:
        """So many fresh records into each partition."""
        for p, count in counts.items():
            for _ in range(count):
                with self._lock:
                    self._sent += 1
                    text = f"第 {self._sent} 条, {self.topic}"
                value = json.dumps({"text": text, "kind": "comment"}, ensure_ascii=False).encode()
                self.world.producer.send(self.topic, value, partition=p).add_callback(self._arrived)

    def _arrived(self, metadata: Any) -> None:
        with self._lock:
            self._ends[metadata.partition] = max(self._ends.get(metadata.partition, 0), metadata.offset + 1)

    def fresh(self) -> None:
        """One more record into every partition, acknowledged."""
        self.send(dict.fromkeys(range(self.partitions), 1))
        self.world.producer.flush(timeout=30)

    # --- what is read ------------------------------------------------------------------------------------------------

    def positions(self) -> dict[int, int]:
        with self.store.read() as c:
            return {r[0]: r[1] for r in c.execute(select(t.Offset.partition, t.Offset.next_offset))}

    def unread(self) -> list[str]:
        """What of the log is not in the store; nothing when every partition is read to its end."""
        have = self.positions()
        with self.store.read() as c:
            rows = int(c.execute(select(func.count()).select_from(t.Document)).scalar_one())
        with self._lock:
            ends, sent = dict(self._ends), self._sent
        behind = {p: f"{have.get(p, 0)} of {end}" for p, end in sorted(ends.items()) if have.get(p, 0) != end}
        out = [f"partitions read {behind}"] if behind else []
        if len(ends) != self.partitions:
            out.append(f"only {len(ends)} of {self.partitions} partitions have records")
        if rows != sent:
            out.append(f"{rows} of {sent} rows")
        return out

    def unsettled(self, since: int) -> list[str]:
        """What is wrong by the members' own word; nothing when each partition is somebody's and all are at work.

        Args:
            since: what a member said before does not count, as epoch milliseconds.
        """
        with self.store.read() as c:
            said = {r.pid: r for r in list_processes(c)}
        out, held = [], []
        for m in self.members:
            row = said.get(m.pid)
            if row is None or row.seen_at < since:
                out.append(f"{m.pid} said nothing")
            elif row.state not in AT_WORK:
                out.append(f"{m.pid} is {row.state}")
            else:
                held += row.info.get("partitions", [])
        if sorted(held) != list(range(self.partitions)):
            out.append(f"partitions held {sorted(held)} of {self.partitions}")
        return out

    def dead(self) -> list[str]:
        return [f"{m.pid} ended by itself with code {m.exitcode}" for m in self.members if not m.is_alive()]

    def wait(self, seconds: float) -> None:
        """Raises Stopped at Ctrl-C."""
        if self.world.stop.wait(seconds):
            raise Stopped

    def said(self) -> list[str]:
        """What the members say of themselves, and the end of their log."""
        with self.store.read() as c:
            out = [f"{r.pid} {r.state} {json.dumps(r.info, ensure_ascii=False)}" for r in list_processes(c)]
        tail = self.log.read_text("utf-8", "replace").splitlines()[-30:] if self.log.exists() else []
        return out + tail

    def end(self) -> None:
        """Everything of it goes; a member that does not end by SIGTERM is killed."""
        self._over.set()
        self._feeder.join()
        for m in self.members:
            m.kill()
        for m in self.members:
            m.join()
        self.store.close()
        self.world.postgres.drop(self.url)
        with self.world.admin_lock:
            self.world.admin.delete_topics([self.topic, f"{self.topic}.dlq"], raise_errors=False)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
