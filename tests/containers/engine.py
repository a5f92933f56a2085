"""A Docker engine of the tests' own, with the images that docker-compose.yml names.

``python -m tests.containers.engine`` (``make test-compose``) prepares it once: Compose 2, a Python image, Kafka and
PostgreSQL, from a registry where one can be reached, else made from Debian's packages. All of it is kept in the cache
folder, so that a later build of ours costs no more than our own files. The engine's data, socket, containers and
networks are apart from those of an engine that this machine may run, and it changes no firewall rules.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from ingest.local_broker.child_processes import die_with_parent
from ingest.local_broker.kafka_home import find_kafka
from ingest.local_broker.kafka_prepared import cache_folder

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SUITE = "bookworm"
"""The Debian that a base image is made of: its Python is the one that the tests run on."""
COMPOSE_SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
GATEWAY = "10.213.0.1"
"""Where containers reach this machine: the first address of the network that the engine makes first."""
PULL_SECONDS, START_SECONDS, LOCK_SECONDS = 600.0, 60.0, 240.0


class NoEngine(Exception):
    """No container can be started here; the message says why, and what to do."""


class Engine:
    """Runs ``dockerd`` between enter and exit; one at a time on a machine, others wait.

    Raises:
        NoEngine: this machine has none, or may start none.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise NoEngine("an engine of the tests' own needs root")
        for program in ("dockerd", "docker"):
            if not shutil.which(program, path=_path()):
                raise NoEngine(f"no {program} (Debian: apt-get install docker.io debootstrap)")
        self.folder = cache_folder() / "engine"
        self.folder.mkdir(exist_ok=True)
        socket = self.folder / "docker.sock"
        if len(str(socket)) > 100:
            raise NoEngine(f"{socket}: too long a path for a socket; set XDG_CACHE_HOME")
        self.environment = {
            "PATH": _path(), "HOME": str(self.folder), "DOCKER_HOST": f"unix://{socket}",
            "DOCKER_CONFIG": str(self.folder / "config"), "DOCKER_BUILDKIT": "0",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        self._lock = (self.folder / "lock").open("w")
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise NoEngine("another run of the tests holds the engine") from None
                time.sleep(0.5)
        (self.folder / "dockerd.pid").unlink(missing_ok=True)
        with (self.folder / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "dockerd", "--data-root", self.folder / "data", "--exec-root", self.folder / "run",
                    "--pidfile", self.folder / "dockerd.pid", "--host", self.environment["DOCKER_HOST"],
                    "--containerd-namespace", "barometer", "--containerd-plugins-namespace", "barometer-plugins",
                    "--bridge=none", "--iptables=false", "--ip6tables=false",
                    "--default-address-pool", "base=10.213.0.0/16,size=24",
                ],
                stdout=log, stderr=log, env={**os.environ, "PATH": _path()}, preexec_fn=die_with_parent(signal.SIGTERM),
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while self.run("docker", "info", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                said = (self.folder / "dockerd.log").read_text(errors="replace").strip().rsplit("\n", 1)[-1]
                raise NoEngine(f"dockerd does not start here: {said}")
            time.sleep(0.2)
        self._clear()
        self.run("docker", "network", "create", "gateway")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            # Its bridge would stay.
            self.run("docker", "network", "rm", "gateway", check=False)
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._lock.close()

    def _clear(self) -> None:
        """Remove what a run that was killed left: all but images."""
        left = self.run("docker", "ps", "-aq").stdout.split()
        if left:
            self.run("docker", "rm", "-f", *left)
        self.run("docker", "network", "prune", "-f")
        volumes = self.run("docker", "volume", "ls", "-q").stdout.split()
        if volumes:
            self.run("docker", "volume", "rm", *volumes)

    def run(self, *command: Any, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command against this engine; its output is captured.

        Raises:
            AssertionError: it failed, and ``check`` is set.
        """
        done = subprocess.run(
            [str(c) for c in command], env=self.environment, capture_output=True, text=True, check=False, **more
        )
        assert not (check and done.returncode), f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr)[-4000:]}"
        return done

    def has(self, image: str) -> bool:
        return self.run("docker", "image", "inspect", image, check=False).returncode == 0

    def compose_version(self) -> str:
        """Of the plugin ``docker compose``; empty where there is none."""
        said = self.run("docker", "compose", "version", "--short", check=False)
        return said.stdout.strip() if said.returncode == 0 else ""

    def missing(self) -> list[str]:
        """What :func:`prepare` has not made yet."""
        found = [] if self.compose_version() else ["Compose 2"]
        found += [image for image in (base(), *served()) if not self.has(image)]
        kept = self.folder / "layers"
        return found + ([] if kept.exists() and kept.read_text() == layers() else ["the packages that ours needs"])

    def build(self) -> None:
        """Build ours, as ``docker compose`` would name it."""
        build = ("docker", "build", "--network", "host")
        self.run(*build, "-t", "barometer:latest", ROOT)
        # The stage that has the packages keeps a name, so that what earlier builds left can go: a gigabyte each.
        self.run(*build, "--target", "build", "-t", "barometer:build", ROOT)
        self.run("docker", "image", "prune", "-f")


def layers() -> str:
    """A name for what ours is built on; building on another takes minutes."""
    files = ("Dockerfile", "pyproject.toml", "constraints.txt")
    return hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in files)).hexdigest()


def base() -> str:
    """The image that the Dockerfile starts from."""
    found = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.M)
    assert found
    return found[1]


def served() -> list[str]:
    """Images of docker-compose.yml that are not ours."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"].values()
    return sorted({s["image"] for s in services if "build" not in s})


def prepare(engine: Engine) -> None:
    """Get or make what is missing; some minutes the first time.

    Raises:
        NoEngine: something can neither be fetched nor made.
    """
    if not engine.compose_version():
        print(f"Compose 2, from Debian {COMPOSE_SUITE} ...", flush=True)
        _fetch_compose(engine)
    for image in (base(), *served()):
        if engine.has(image):
            continue
        print(f"{image} ...", flush=True)
        if engine.run("docker", "pull", image, check=False, timeout=PULL_SECONDS).returncode == 0:
            continue
        print("  no registry has it: made from Debian's packages", flush=True)
        if image == base():
            _make_base(engine, image)
        else:
            _make_stand_in(engine, image)
    print("barometer:latest ...", flush=True)
    engine.build()
    (engine.folder / "layers").write_text(layers())


def _fetch_compose(engine: Engine) -> None:
    plugins = engine.folder / "config" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources.list").write_text(
            f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {COMPOSE_SUITE} main\n"
        )
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        options = [
            f"-oDir::Etc::SourceList={folder}/sources.list", "-oDir::Etc::SourceParts=/dev/null",
            f"-oDir::State::Lists={folder}/lists", f"-oDir::Cache={folder}/cache", "-oAPT::Sandbox::User=root",
        ]  # fmt: skip
        try:
            engine.run("apt-get", *options, "-qq", "update")
            engine.run("apt-get", *options, "-qq", "download", "docker-compose", cwd=folder)
            (package,) = folder.glob("*.deb")
            engine.run("dpkg-deb", "-x", package, folder / "x")
            (program,) = folder.glob("x/**/cli-plugins/docker-compose")
        except (AssertionError, OSError, ValueError) as e:
            raise NoEngine(f"no Compose 2 (the plugin `docker compose`), and none to be had: {e}") from None
        shutil.copy(program, plugins / "docker-compose")


def _make_base(engine: Engine, image: str) -> None:
    """A small Debian with Python and pip, which trusts whom this machine trusts."""
    if not shutil.which("debootstrap", path=_path()):
        raise NoEngine(f"no {image}, and no debootstrap to make one (Debian: apt-get install debootstrap)")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        include = "python3,python3-venv,python3-pip,ca-certificates"
        engine.run("debootstrap", "--variant=minbase", f"--include={include}", SUITE, root)
        (root / "usr/bin/python").symlink_to("python3")
        for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
            shutil.copy(certificate, root / "usr/local/share/ca-certificates")
        engine.run("chroot", root, "update-ca-certificates")
        (root / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        engine.run("bash", "-ec", f"set -o pipefail; tar -C {root} -c . | docker import - {image}")


def _make_stand_in(engine: Engine, image: str) -> None:
    kind = image.split(":", maxsplit=1)[0].rsplit("/", 1)[-1]
    with tempfile.TemporaryDirectory() as name:
        context = Path(name) / kind
        shutil.copytree(HERE / kind, context)
        if kind == "kafka":
            shutil.copytree(find_kafka().libs, context / "libs")
        engine.run("docker", "build", "--network", "host", "--build-arg", f"BASE={base()}", "-t", image, context)


def _path() -> str:
    """Debian puts dockerd and debootstrap where only root's log-in shell looks."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin"


def main() -> int:
    try:
        with Engine() as engine:
            prepare(engine)
    except Exception as e:
        print(f"the engine could not be prepared: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
