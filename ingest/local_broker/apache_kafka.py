"""A real Apache Kafka in child processes, for tests, for ``bench/`` and for ``make kafka``: one broker, or three.

KRaft mode, every broker a controller, too. The embedded broker (:mod:`ingest.local_broker.embedded_broker`) needs no
Java and starts sooner; this one is what people run.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from kafka.admin import KafkaAdminClient

from barometer.errors import BarometerError
from ingest.local_broker.certificates import Authority
from ingest.local_broker.child_processes import die_with_parent
from ingest.local_broker.kafka_home import KafkaHome, NoKafka, find_kafka
from ingest.local_broker.kafka_prepared import QUICK, Prepared, fresh_id
from ingest.local_broker.kafka_properties import LISTENERS, SECURE_LISTENERS, broker_properties, secure_properties
from ingest.local_broker.kafka_rights import add_rights, remove_rights, resource_of
from ingest.local_broker.ports import free_ports, is_taken

__all__ = ["ApacheKafka", "KafkaHome", "NoKafka", "find_kafka"]

log = structlog.get_logger(__name__)

READY_SECONDS = 120.0
END_SECONDS = 20.0
USERS = {name: f"{name}-secret" for name in ("worker", "monitor", "produce", "dlq", "nobody")}
"""Users and passwords of the secure listener, for SCRAM-SHA-512 and PLAIN alike; none has a right at first."""
TOOLS = {
    "acls": "org.apache.kafka.tools.AclCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "configs": "org.apache.kafka.tools.ConfigCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "reassign": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}
"""The names of Kafka's ``bin/kafka-NAME.sh`` and the classes behind them."""
_OFFLINE_TOOLS = ("dump-log",)
# The kernel kills a child whose spawning *thread* ends, so all brokers are spawned from this one, which lives as long
# as the process: a test may restart a broker from a thread that ends.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="kafka-spawner")


class ApacheKafka:
    """Runs the brokers between :meth:`start` and :meth:`stop`; a context manager does both.

    Brokers are numbered from 1. They end with this process, however it ends (Linux: prctl(2), PR_SET_PDEATHSIG).

    Args:
        brokers: 1, or 3 with replication factor 3 and ``min.insync.replicas`` 2.
        secure: adds a listener for TLS with SASL (SCRAM-SHA-512, PLAIN, OAUTHBEARER), one for client certificates, and
            ACLs; whoever comes to the plain listener is the super user.
        properties: more broker properties, or others than ours.
        users: names and passwords of the secure listener.
        quick: starts sooner and works slower; False for figures of speed.
        home: the Kafka to run; None: :func:`find_kafka`'s.
        folder: where logs and settings are kept, and found again at the next start; None: a temporary folder, removed
            at the end.
        port: port of the first broker's plain listener; 0 takes a free one.
        cluster_id: id of the cluster; None makes a new one.
        advertised_ports: ports that clients of the plain listener are told to use, by broker, where something forwards
            to it.

    Raises:
        NoKafka: there is no Kafka or no Java on this machine.
    """

    def __init__(
        self,
        brokers: int = 1,
        secure: bool = False,
        properties: Mapping[str, object] | None = None,
        *,
        users: Mapping[str, str] = USERS,
        quick: bool = True,
        home: KafkaHome | None = None,
        folder: Path | None = None,
        port: int = 0,
        cluster_id: str | None = None,
        advertised_ports: Mapping[int, int] | None = None,
    ) -> None:
        if brokers not in (1, 3):
            raise BarometerError(f"brokers={brokers}: 1 or 3")
        self.nodes = tuple(range(1, brokers + 1))
        self.secure, self.users, self._quick = secure, dict(users) if secure else {}, quick
        self._extra, self._advertised, self._wanted_port = dict(properties or {}), dict(advertised_ports or {}), port
        self._prepared = Prepared(home or find_kafka())
        self._own_folder = folder is None
        self._given_folder = folder
        self.folder = folder or Path()
        self._wanted_id = cluster_id
        self.cluster_id = cluster_id or ""
        self._ports: dict[tuple[str, int], int] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    # --- where it is -------------------------------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """Addresses of the plain listener, whose clients are super users."""
        return self._addresses("PLAIN")

    @property
    def secure_bootstrap(self) -> str:
        """Addresses of the listener for SASL over TLS."""
        return self._addresses("SECURE")

    @property
    def mtls_bootstrap(self) -> str:
        """Addresses of the listener that asks for a client's certificate."""
        return self._addresses("MTLS")

    @property
    def tls(self) -> Path:
        """Folder of the certificates: ``ca.pem``; ``client.crt`` and ``client.key`` (principal ``User:CN=worker``)."""
        return self.folder / "tls"

    @property
    def version(self) -> str:
        """Apache Kafka's version."""
        return self._prepared.home.version

    @property
    def port(self) -> int:
        """Port of the first broker's plain listener."""
        return self._ports["PLAIN", 1]

    def port_of(self, node: int, listener: str = "PLAIN") -> int:
        """Port of a broker's listener: PLAIN, SECURE, MTLS, or INTERNAL and CONTROLLER, which brokers use."""
        return self._ports[listener, node]

    def pid(self, node: int = 1) -> int | None:
        """The broker's process id while it runs."""
        process = self._processes.get(node)
        return process.pid if process is not None and process.poll() is None else None

    def log_file(self, node: int = 1) -> Path:
        """The broker's own messages."""
        return self.folder / f"broker-{node}.log"

    def data(self, node: int = 1) -> Path:
        """The folder with the broker's log segments."""
        return self.folder / f"data-{node}"

    # --- its life ----------------------------------------------------------------------------------------------------

    def start(self) -> ApacheKafka:
        """Start all brokers, and return when they serve clients.

        Raises:
            BarometerError: the port is taken, or a broker did not come up.
        """
        if self._wanted_port and is_taken(self._wanted_port):
            raise BarometerError(f"port {self._wanted_port} on 127.0.0.1 is taken: choose another")
        for attempt in range(3):
            self._lay_out()
            try:
                for node in self.nodes:
                    self._spawn(node)
                for node in self.nodes:
                    self._wait(node)
                break
            except BarometerError:
                # Between the look for a free port and its use somebody else may have taken it.
                taken = any("Address already in use" in _tail(self.log_file(n)) for n in self.nodes)
                self._end_all(signal.SIGKILL)
                if not taken or attempt == 2:
                    raise
        log.info("Apache Kafka started", bootstrap=self.bootstrap, version=self.version)
        return self

    def stop(self) -> None:
        """End all brokers: in order where the folder is kept, at once where it goes. Nothing happens if none runs."""
        self._end_all(signal.SIGKILL if self._own_folder else signal.SIGTERM)
        if self._own_folder and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, node: int = 1) -> None:
        """SIGKILL: a broker that crashes. Its connections are closed by the kernel."""
        self._send(node, signal.SIGKILL)
        self._processes[node].wait(END_SECONDS)

    def terminate(self, node: int = 1) -> None:
        """SIGTERM, and wait: a broker that an operator stops, which hands over its partitions first."""
        self._send(node, signal.SIGTERM)
        self._processes[node].wait(READY_SECONDS)

    def freeze(self, node: int = 1) -> None:
        """SIGSTOP: a broker that no longer answers and closes nothing, as when its machine or network is gone."""
        self._send(node, signal.SIGSTOP)

    def thaw(self, node: int = 1) -> None:
        """SIGCONT: the end of :meth:`freeze`."""
        self._send(node, signal.SIGCONT)

    def restart(self, node: int = 1, wait: bool = True) -> None:
        """Start a broker that ended, on its own log.

        Args:
            node: the broker.
            wait: until it serves clients; without a majority of the three it cannot.
        """
        if self.pid(node) is not None:
            raise BarometerError(f"broker {node} still runs")
        self._spawn(node)
        if wait:
            self._wait(node)

    def wipe(self, node: int = 1) -> None:
        """Empty the storage of a broker that ended, and format it anew: a machine with new disks."""
        if self.pid(node) is not None:
            raise BarometerError(f"broker {node} still runs")
        shutil.rmtree(self.data(node))
        self._format(node)

    def __enter__(self) -> ApacheKafka:
        return self.start()

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.stop()

    # --- what an operator does ---------------------------------------------------------------------------------------

    def admin(self, **options: Any) -> KafkaAdminClient:
        """An administrator's client on the plain listener; close it."""
        return KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","), **options)

    def allow(self, user: str, *operations: str, topic: str = "", group: str = "", cluster: bool = False) -> None:
        """Give a user rights: ``allow("worker", "Read", topic="barometer.documents")``.

        Args:
            user: its name (``worker``; ``CN=worker`` for a client certificate).
            operations: ``Read``, ``Write``, ``Describe``, ``DescribeConfigs``, ...
            topic: the topic they are for; ``*``: all.
            group: or the consumer group.
            cluster: or the cluster.
        """
        with closing(self.admin()) as client:
            add_rights(client, user, operations, resource_of(topic, group, cluster))

    def withdraw(self, user: str, *operations: str, topic: str = "", group: str = "", cluster: bool = False) -> None:
        """Take away rights that :meth:`allow` gave."""
        with closing(self.admin()) as client:
            remove_rights(client, user, operations, resource_of(topic, group, cluster))

    def tool(self, name: str, *args: str, timeout: float = 120.0) -> str:
        """Run one of Kafka's own commands (:data:`TOOLS`), and return what it printed.

        Raises:
            BarometerError: the command failed; the message is its own.
        """
        where = () if name in _OFFLINE_TOOLS else ("--bootstrap-server", self._addresses("PLAIN"))
        command = self._prepared.command(TOOLS[name], *where, *args, level="error", heap="256m", options=QUICK)
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode:
            raise BarometerError(f"kafka-{name} {' '.join(args)}: {(done.stderr + done.stdout).strip()}")
        return done.stdout

    # --- inside ------------------------------------------------------------------------------------------------------

    def _addresses(self, listener: str) -> str:
        return ",".join(f"127.0.0.1:{self._ports[listener, node]}" for node in self.nodes)

    def _lay_out(self) -> None:
        """Folder, ports, certificates, settings and formatted storage; a kept folder's are taken as they are."""
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True) if self.folder != Path() else None
            self.folder = Path(tempfile.mkdtemp(prefix="barometer-kafka-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / "cluster.id"
        self.cluster_id = kept.read_text().strip() if kept.exists() else self._wanted_id or fresh_id()
        kept.write_text(self.cluster_id)
        listeners = LISTENERS + (SECURE_LISTENERS if self.secure else ())
        free = free_ports(len(listeners) * len(self.nodes))
        self._ports = {(listener, node): next(free) for node in self.nodes for listener in listeners}
        if self._wanted_port:
            self._ports["PLAIN", 1] = self._wanted_port
        if self.secure and not (self.tls / "server.pem").exists():
            authority = Authority(self.tls)
            authority.issue("server", "127.0.0.1")
            authority.issue("client", "worker")
        for node in self.nodes:
            lines = self._properties(node)
            self._settings(node).write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
            if not self.data(node).exists():
                self._format(node)
        self._archive_classes()

    def _settings(self, node: int) -> Path:
        return self.folder / f"server-{node}.properties"

    def _format(self, node: int) -> None:
        self._prepared.format(self.data(node), self._settings(node), node, self.cluster_id, self.users)

    def _archive_classes(self) -> None:
        """Once per machine: see :meth:`Prepared.archive_classes`."""
        if len(self.nodes) > 1 or self.secure or not self._own_folder:
            return
        scratch = self.folder / "classes"
        settings = self.folder / "classes.properties"
        lines = self._properties(1) | {"log.dirs": str(scratch)}
        settings.write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
        self._prepared.format(scratch, settings, 1, fresh_id(), {})
        self._prepared.archive_classes(settings)
        shutil.rmtree(scratch)

    def _properties(self, node: int) -> dict[str, object]:
        ports = {listener: port for (listener, n), port in self._ports.items() if n == node}
        controllers = {n: self._ports["CONTROLLER", n] for n in self.nodes}
        lines = broker_properties(
            node, ports, controllers, self.data(node), advertised_port=self._advertised.get(node), quick=self._quick
        )
        if self.secure:
            lines |= secure_properties(self.tls, self.users)
        return lines | self._extra

    def _spawn(self, node: int) -> None:
        options = QUICK if self._quick else ()
        command = self._prepared.command("kafka.Kafka", str(self._settings(node)), options=options)
        self._processes[node] = _spawner.submit(self._launch, node, command).result()

    def _launch(self, node: int, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log_file(node).open("wb") as out:  # from its beginning: :meth:`_wait` looks for this start's words
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us: we stop it after its clients
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )

    def _wait(self, node: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.pid(node) is not None:
            if "Kafka Server started" in self.log_file(node).read_text(errors="replace"):
                return
            time.sleep(0.05)
        raise BarometerError(
            f"broker {node} of Apache Kafka did not come up; its last words:\n{_tail(self.log_file(node))}"
        )

    def _send(self, node: int, number: int) -> None:
        process = self._processes.get(node)
        if process is None or process.poll() is not None:
            raise BarometerError(f"broker {node} does not run")
        process.send_signal(number)

    def _end_all(self, number: int) -> None:
        running = [p for p in self._processes.values() if p.poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        deadline = time.monotonic() + END_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def _tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
