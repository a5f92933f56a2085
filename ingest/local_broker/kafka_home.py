"""Finds an Apache Kafka and a Java that runs it: what tests, benches and ``make kafka`` start brokers from."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from barometer.errors import BarometerError

JAVA_LEAST = 17
ROOT = Path(__file__).resolve().parents[2]


class NoKafka(BarometerError):
    """This machine has no Apache Kafka, or no Java for it; the message says where to get it."""


@dataclass(frozen=True)
class KafkaHome:
    """A folder with Kafka's jars, and the Java that runs them."""

    libs: Path
    java: str

    @property
    def classpath(self) -> str:
        return str(self.libs / "*")

    @property
    def version(self) -> str:
        """Kafka's version, from the name of its jar: ``4.4.0``; empty where the name does not say."""
        found = [re.fullmatch(r"kafka-clients-(.+)\.jar", jar.name) for jar in self.libs.glob("kafka-clients-*.jar")]
        return next((m[1] for m in found if m), "")

    @property
    def digest(self) -> str:
        """A name for exactly these jars and this Java: what was prepared for others cannot be used."""
        jars = "".join(f"{jar}:{jar.stat().st_size};" for jar in sorted(self.libs.glob("*.jar")))
        return hashlib.sha256(f"{jars}{self.java}{_version_text(self.java)}".encode()).hexdigest()[:16]


def find_kafka() -> KafkaHome:
    """The Kafka named by ``BAROMETER_KAFKA_HOME``, else the one among the shared data.

    Raises:
        NoKafka: there is none, or no Java of at least version 17.
        BarometerError: ``BAROMETER_KAFKA_HOME`` is set, and is not a Kafka's folder.
    """
    named = os.environ.get("BAROMETER_KAFKA_HOME")
    if named:
        libs = Path(named).expanduser() / "libs"
        if not _has_broker(libs):
            raise BarometerError(
                f"BAROMETER_KAFKA_HOME={named} is no Apache Kafka: {libs} has no kafka_2.13-*.jar; "
                "name the folder that the download was unpacked to"
            )
    else:
        libs = Path(os.environ.get("BAROMETER_SHARED", ROOT.parent / "shared")) / "kafka" / "libs"
        if not _has_broker(libs):
            raise NoKafka(
                "no Apache Kafka: download one from https://kafka.apache.org/downloads (binary, Scala 2.13), "
                "unpack it, and set BAROMETER_KAFKA_HOME to its folder"
            )
    return KafkaHome(libs.resolve(), find_java())


@functools.cache
def find_java() -> str:
    """The path of a Java of at least version 17: JAVA_HOME's, the one on the path, or one under /usr/lib/jvm.

    Raises:
        NoKafka: there is none.
    """
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    candidates += [on_path] if on_path else []
    candidates += [str(p) for p in sorted(Path("/usr/lib/jvm").glob("*/bin/java"))]
    older = []
    for java in candidates:
        if not os.access(java, os.X_OK):
            continue
        version = _java_version(java)
        if version >= JAVA_LEAST:
            return java
        older.append(f"{java} is {version or 'of an unknown version'}")
    raise NoKafka(
        f"no Java {JAVA_LEAST} or newer, which Apache Kafka needs{f' ({older[0]})' if older else ''}: install one "
        "(Debian: apt-get install openjdk-17-jre-headless; others: https://adoptium.net), or set JAVA_HOME"
    )


def _has_broker(libs: Path) -> bool:
    return any(libs.glob("kafka_2.*.jar"))


def _java_version(java: str) -> int:
    found = re.search(r'version "(\d+)(?:\.(\d+))?', _version_text(java))
    if not found:
        return 0
    first = int(found[1])
    return int(found[2] or 0) if first == 1 else first  # "1.8.0_292" is Java 8


@functools.cache
def _version_text(java: str) -> str:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout
