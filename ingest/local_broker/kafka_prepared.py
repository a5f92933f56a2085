"""What makes a broker start in about a second: formatted storage to copy, and Kafka's classes as the JVM keeps them.

Both are made once per Kafka, Java and machine, under the cache folder, with a lock: two processes that start brokers at
once make them once.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from barometer.errors import BarometerError
from ingest.local_broker.child_processes import die_with_parent
from ingest.local_broker.kafka_home import KafkaHome

FORMAT_SECONDS = 120.0
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Compiles less: up sooner where many start at once on few cores, slower at work; not for figures of speed."""
_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders>
    <Console name="out" target="SYSTEM_ERR"><PatternLayout pattern="%d{HH:mm:ss.SSS} %-5p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers><Root level="${sys:level:-info}"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


class Prepared:
    """The prepared files of one Kafka; made where they are missing."""

    def __init__(self, home: KafkaHome) -> None:
        self.home = home
        self.folder = cache_folder() / f"kafka-{home.digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log4j = self.folder / "log4j2.xml"
        self._archive = self.folder / "classes.jsa"
        with self._locked():
            if not self.log4j.exists():
                _write_whole(self.log4j, _LOG4J)

    def command(self, *args: str, level: str = "info", heap: str = "512m", options: tuple[str, ...] = ()) -> list[str]:
        """The command line that runs one of Kafka's classes."""
        return [
            self.home.java,
            f"-Xmx{heap}",
            *options,
            *self._shared_classes(),
            f"-Dlog4j2.configurationFile={self.log4j}",
            f"-Dlevel={level}",
            "-cp",
            self.home.classpath,
            *args,
        ]

    def _shared_classes(self) -> tuple[str, ...]:
        return (f"-XX:SharedArchiveFile={self._archive}", "-Xshare:auto") if self._archive.exists() else ()

    def format(self, data: Path, properties: Path, node: int, cluster_id: str, users: Mapping[str, str]) -> None:
        """Make the storage of a broker that has not run: a copy of one that Kafka's own tool formatted.

        Args:
            data: the broker's ``log.dirs``; must not exist.
            properties: a broker's settings, from which the tool formats.
            node: the broker's number.
            cluster_id: the cluster's id.
            users: names and passwords for SCRAM-SHA-512.

        Raises:
            BarometerError: Kafka's tool refused.
        """
        name = hashlib.sha256(repr(sorted(users.items())).encode()).hexdigest()[:12]
        template = self.folder / f"formatted-{name}"
        with self._locked():
            if not template.exists():
                self._format_template(template, properties, users)
        shutil.copytree(template, data)
        meta = {"version": "1", "cluster.id": cluster_id, "node.id": str(node), "directory.id": fresh_id()}
        (data / "meta.properties").write_text("".join(f"{k}={v}\n" for k, v in meta.items()))

    def archive_classes(self, properties: Path) -> None:
        """Let the JVM write down Kafka's classes, once: run a broker on these settings until it is up.

        Where the JVM cannot, brokers start without: about a second later.
        """
        with self._locked():
            if self._archive.exists() or (self.folder / "classes.refused").exists():
                return
            fresh = self.folder / f"classes-{os.getpid()}.jsa"
            command = self.command(
                "kafka.Kafka", str(properties), options=(*QUICK, f"-XX:ArchiveClassesAtExit={fresh}")
            )
            _run_until_started(command)
            if fresh.exists():
                fresh.rename(self._archive)
            else:
                (self.folder / "classes.refused").touch()

    def _format_template(self, template: Path, properties: Path, users: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            data, copy = Path(scratch) / "data", Path(scratch) / "server.properties"
            copy.write_text(re.sub(r"(?m)^log\.dirs=.*$", f"log.dirs={data}", properties.read_text()))
            scram = [f"--add-scram=SCRAM-SHA-512=[name={name},password={word}]" for name, word in users.items()]
            command = self.command(
                "kafka.tools.StorageTool",
                "format",
                "-t",
                fresh_id(),
                "-c",
                str(copy),
                *scram,
                level="error",
                heap="256m",
                options=QUICK,
            )
            done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False)
            if done.returncode:
                raise BarometerError(
                    f"Apache Kafka could not format its storage: {_last_line(done.stderr, done.stdout)}"
                )
            data.rename(template)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def fresh_id() -> str:
    """A new id in Kafka's way of writing: 16 bytes in 22 characters, never with a dash first."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _run_until_started(command: list[str]) -> None:
    with tempfile.TemporaryFile() as quiet:
        process = subprocess.Popen(
            command,
            stdout=quiet,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=die_with_parent(),  # noqa: PLW1509
        )
        limit = threading.Timer(FORMAT_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "Kafka Server started" in line:
                    process.terminate()
            process.wait()
        finally:
            limit.cancel()
            process.kill()


def cache_folder() -> Path:
    """Where what is made once per machine is kept; made if it is not there."""
    wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barometer"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass
    if os.access(wanted, os.W_OK):
        return wanted
    instead = Path(tempfile.gettempdir()) / f"barometer-cache-{os.getuid()}"
    instead.mkdir(mode=0o700, exist_ok=True)
    if instead.stat().st_uid != os.getuid():
        raise BarometerError(f"{instead} is another user's: set XDG_CACHE_HOME to a folder that you may write to")
    return instead


def _write_whole(path: Path, text: str) -> None:
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(text)
    scratch.rename(path)


def _last_line(*texts: str) -> str:
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
