"""Three brokers of Apache Kafka behind relays, and what can be done to them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from barometer.errors import BarometerError
from bench.kills.nursery import nursery
from bench.kills.relays import Route, relay
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.local_broker.kafka_properties import LISTENERS
from ingest.local_broker.ports import free_ports

WHOLE_SECONDS = 90.0
OBEY_SECONDS = 60.0
LOOK_SECONDS = 0.5
OFFSETS = "__consumer_offsets"


class Cluster(ApacheKafka):
    """Replication 3, ``min.insync.replicas`` 2. Clients and brokers find each broker at its relay's address.

    For the controller a broker is dead after 6 s without a word (``broker.session.timeout.ms``; Kafka's default: 9 s).
    """

    def __init__(self) -> None:
        super().__init__(brokers=3)
        ports = free_ports(len(LISTENERS) * len(self.nodes))
        self._relay_ports: dict[Route, int] = {(name, n): next(ports) for n in self.nodes for name in LISTENERS}
        self._relays: Any = None

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{self._relay_ports['PLAIN', n]}" for n in self.nodes)

    def _properties(self, node: int) -> dict[str, object]:
        at = {name: f"127.0.0.1:{self._relay_ports[name, node]}" for name in LISTENERS}
        told = [f"{name}://{address}" for name, address in at.items()]
        voters = [f"{n}@127.0.0.1:{self._relay_ports['CONTROLLER', n]}" for n in self.nodes]
        return super()._properties(node) | {
            "advertised.listeners": ",".join(told),
            "controller.quorum.voters": ",".join(voters),
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> Self:
        context = nursery("bench.kills.roles", "bench.kills.relays")
        self._pipe, theirs = context.Pipe()
        self._relay_log = Path(tempfile.mkstemp(prefix="barometer-relays-")[1])
        self._relays = context.Process(
            target=relay, args=(self._relay_ports, theirs, str(self._relay_log)), daemon=True
        )
        self._relays.start()
        theirs.close()
        super().start()
        return self

    def _spawn(self, node: int) -> None:
        super()._spawn(node)
        self._tell("up", node, self.pid(node), {name: self.port_of(node, name) for name in LISTENERS})

    def _tell(self, *command: object) -> None:
        self._pipe.send(command)
        if not self._pipe.poll(OBEY_SECONDS) or not self._pipe.recv():
            raise BarometerError(f"the relays did not obey {command[0]}: {self._relay_log.read_text()[-2_000:]}")

    def stop(self) -> None:
        super().stop()
        if self._relays is not None:
            self._pipe.close()
            self._relays.kill()
            self._relays.join()
            self._relays = None
            self._relay_log.unlink()

    # --- what is done to it ------------------------------------------------------------------------------------------

    def kill(self, node: int = 1) -> None:
        super().kill(node)
        self._tell("down", node)

    def terminate(self, node: int = 1) -> None:
        super().terminate(node)
        self._tell("down", node)

    def bring_back(self, *nodes: int) -> None:
        """Start brokers that ended, all at once, and wait for each: without a majority none serves."""
        for node in nodes:
            self._spawn(node)
            self._tell("mend", node)
        for node in nodes:
            self._wait(node)

    def swallow(self, node: int) -> None:
        """A black hole between this broker and everybody else."""
        self._tell("swallow", node)

    def mend(self, node: int) -> None:
        self._tell("mend", node)

    def lose_power(self, node: int) -> None:
        """The broker ends and nobody is told: its connections stay open on the other side until it is mended."""
        self._tell("swallow", node)
        super().kill(node)

    # --- who is what -------------------------------------------------------------------------------------------------

    @contextmanager
    def asking(self) -> Iterator[KafkaAdminClient]:
        client = self.admin(request_timeout_ms=10_000, bootstrap_timeout_ms=10_000)
        try:
            yield client
        finally:
            client.close()

    def controller(self) -> int:
        with self.asking() as client:
            return int(client.describe_metadata_quorum()["topics"][0]["partitions"][0]["leader_id"])

    def leader(self, topic: str, partition: int) -> int:
        return next(p["leader_id"] for p in self._partitions(topic) if p["partition_index"] == partition)

    def coordinator(self, group: str) -> int:
        """The leader of the partition that the group's name falls on, as Kafka counts it."""
        partitions = self._partitions(OFFSETS)
        return self.leader(OFFSETS, (_java_hash(group) & 0x7FFF_FFFF) % len(partitions))

    def _partitions(self, topic: str) -> Sequence[dict[str, Any]]:
        with self.asking() as client:
            return list(client.describe_topics([topic])[0]["partitions"])

    def whole(self, topics: Sequence[str]) -> bool:
        """Whether every partition of these topics has a leader and three replicas in sync."""
        try:
            with self.asking() as client:
                found = client.describe_topics([*topics, OFFSETS])
        except KafkaError:
            return False
        return all(
            len(p["isr_nodes"]) == len(self.nodes) and p["leader_id"] > 0 for t in found for p in t["partitions"]
        )

    def await_whole(self, topics: Sequence[str]) -> None:
        """Raises BarometerError: a replica did not come back in sync."""
        deadline = time.monotonic() + WHOLE_SECONDS
        while not self.whole(topics):
            if time.monotonic() > deadline:
                raise BarometerError(f"replicas are not in sync after {WHOLE_SECONDS:.0f} s: see {self.folder}")
            time.sleep(LOOK_SECONDS)


def _java_hash(text: str) -> int:
    """``String.hashCode`` of ASCII."""
    h = 0
    for c in text:
        h = (31 * h + ord(c)) & 0xFFFF_FFFF
    return h
