"""What docs/deploy.md says of Docker Compose, done word for word: containers, a stream, and people told of it."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from testing.post_box import PostBox, post_box
from tests.containers.engine import GATEWAY, ROOT, Engine, NoEngine
from tests.support.stream import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OURS = ("worker", "monitor", "dashboard")
WORKERS = 3
PASSWORD = "a long enough password"
DOCUMENT = {"text": "某村镇银行出现挤兑，储户连夜排队", "kind": "news", "source": "新华社"}
CALM = {"text": "沪深两市今日成交平稳", "kind": "news", "source": "证券时报"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    try:
        with Engine() as running:
            missing = running.missing()
            if missing:
                pytest.skip(f"not prepared ({', '.join(missing)}): `make test-compose` does it, in some minutes")
            running.build()
            yield running
    except NoEngine as e:
        pytest.skip(f"no container can be started here: {e}")


@dataclass
class Site:
    """The folder in which somebody followed the documentation, and what they told people by."""

    engine: Engine
    folder: Path
    port: int
    mail: list[tuple[str, Any]]
    box: PostBox

    def compose(self, *words: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.engine.run("docker", "compose", *words, cwd=self.folder, check=check, **more)

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container, by its name."""
        ids = self.compose("ps", "-aq").stdout.split()
        found = json.loads(self.engine.run("docker", "inspect", *ids).stdout)
        return {c["Name"].strip("/"): c for c in found}

    def of(self, service: str) -> list[dict[str, Any]]:
        label = "com.docker.compose.service"
        return [c for c in self.containers().values() if c["Config"]["Labels"][label] == service]

    def wait_healthy(self) -> None:
        def health() -> dict[str, str]:
            return {
                name: c["State"].get("Health", {}).get("Status", c["State"]["Status"])
                for name, c in self.containers().items()
                if "migrate" not in name and "topics" not in name
            }

        deadline = time.monotonic() + 240
        while (states := health()) and set(states.values()) != {"healthy"}:
            assert time.monotonic() < deadline, f"{states}\n{self.compose('logs', '--tail', '30').stdout[-6000:]}"
            time.sleep(0.5)

    def sql(self, query: str) -> str:
        return self.compose("exec", "-T", "postgres", "psql", "-U", "barometer", "-tAc", query).stdout.strip()


def shown(kind: str) -> list[str]:
    """The commands of the section about Compose that begin with a word, in their order, without comments."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    section = text.split("## With Docker Compose", 1)[1].split("\n## ", 1)[0]
    found = re.findall(rf"^    ({kind} .*?)(?:\s+#.*)?$", section, re.M)
    assert found
    return found


def one_shown(part: str, folder: Path = Path()) -> list[str]:
    """The words of the one command of ``docker compose`` that has a part, said in a folder."""
    (found,) = [c for c in shown("docker") if part in c]
    said = found.split(" < ")[0].replace("$(id -u)", str(os.getuid())).replace("$PWD", str(folder))
    return shlex.split(said)[2:]


def fill_in(folder: Path, values: dict[str, str]) -> None:
    """Fill .env in: what the file's own commands make, passwords, and lines that were commented out."""
    file, told, lines = folder / ".env", "", []
    for line in file.read_text("utf-8").splitlines():
        name = line.removeprefix("# ").partition("=")[0]
        if line.startswith("# python3 -c"):
            told = line[2:]
        if name in values:
            lines.append(f"{name}={values.pop(name)}")
        elif line == f"{name}=":
            made = subprocess.run(["bash", "-c", told], capture_output=True, text=True, check=True).stdout.strip()
            assert made, f"nothing says what to fill in for {name}"
            lines.append(f"{name}={made}")
        else:
            lines.append(line)
    assert not values, "lines that the example does not have"
    file.write_text("\n".join(lines) + "\n", "utf-8")


class _Mailbox:
    def __init__(self) -> None:
        self.taken: list[tuple[str, Any]] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.taken += [(to, mail) for to in envelope.rcpt_tos]
        return "250 taken"


@contextmanager
def followed(engine: Engine, folder: Path) -> Iterator[Site]:
    """Do the documentation's steps up to the first command of Compose; mail and a webhook come to this machine."""
    for name in ("docker-compose.yml", "deploy"):
        (shutil.copytree if name == "deploy" else shutil.copy)(ROOT / name, folder / name)
    for command in shown("cp"):
        subprocess.run(["bash", "-ec", command], cwd=folder, check=True)
    people = folder / "deploy" / "notify.yaml"
    people.write_text(re.sub(r"^(\s+)# (- \{type: webhook)", r"\1\2", people.read_text("utf-8"), flags=re.M), "utf-8")
    mailbox = _Mailbox()
    with post_box(host=GATEWAY) as box:
        mail = Controller(mailbox, hostname=GATEWAY, port=free_port(GATEWAY))
        mail.start()
        port = free_port("127.0.0.1")
        values = {
            "POSTGRES_PASSWORD": "'p@$s/w #rd%41:?'",
            "BAROMETER_SMTP_HOST": GATEWAY, "BAROMETER_SMTP_PORT": str(mail.port),
            "BAROMETER_LISTEN": f"127.0.0.1:{port}", "BAROMETER_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "ONCALL_WEBHOOK_URL": box.url, "ONCALL_WEBHOOK_SECRET": "hook-secret",
        }  # fmt: skip
        fill_in(folder, values)
        try:
            yield Site(engine, folder, port, mailbox.taken, box)
        finally:
            mail.stop()


def free_port(host: str) -> int:
    with socket.socket() as s:
        s.bind((host, 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="module")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All services, started as documented, and healthy."""
    folder = tmp_path_factory.mktemp("compose")
    with followed(engine, folder) as laid_out:
        try:
            started = laid_out.compose(*one_shown(" up "), check=False)
            assert started.returncode == 0, f"{started.stderr[-3000:]}\n{laid_out.compose('logs').stdout[-6000:]}"
            laid_out.wait_healthy()
            yield laid_out
        finally:
            laid_out.compose("down", "-v", "--remove-orphans", "-t", "5", check=False)


def test_all_run_healthy_with_no_more_rights_than_said(site: Site) -> None:
    for service in OURS:
        found = site.of(service)
        assert len(found) == (WORKERS if service == "worker" else 1)
        for container in found:
            assert container["Config"]["User"] == "10001"
            host = container["HostConfig"]
            assert host["ReadonlyRootfs"] and list(host["Tmpfs"]) == ["/tmp"] and not host["Privileged"]
            assert "no-new-privileges:true" in host["SecurityOpt"]
            assert container["RestartCount"] == 0
        probe = "import os; print(os.getuid(), os.access('.', os.W_OK), os.access('/tmp', os.W_OK))"
        assert site.compose("exec", "-T", service, "python", "-c", probe).stdout.split() == ["10001", "False", "True"]
    for service in ("migrate", "topics"):
        (ended,) = site.of(service)
        assert (ended["State"]["Status"], ended["State"]["ExitCode"]) == ("exited", 0)


def test_a_user_is_made_and_logs_in(site: Site) -> None:
    words = [w.replace("NAME", "wang") for w in one_shown("users add")]
    assert typed(site, words, PASSWORD) == 0
    url = f"http://127.0.0.1:{site.port}"
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        assert client.get("/health").status_code == 200
        form = client.get("/login").text
        found = re.search(r'name="csrf_token" value="([^"]+)"', form)
        assert found
        fields = {"name": "wang", "password": PASSWORD, "csrf_token": found[1]}
        assert client.post("/login", data=fields).status_code == 302
        assert client.get("/").status_code == 200
        report = client.get("/api/v1/status").json()
        assert report["log"]


def test_a_stream_is_scored_and_people_are_told(site: Site) -> None:
    texts = [DOCUMENT] + [{**CALM, "text": f"{CALM['text']}，第{i}次报道"} for i in range(40)]
    send(site, texts)
    wait_for(lambda: site.sql("select count(*) from documents where scored") == "41", 120, "41 texts scored")
    wait_for(lambda: {"risk-desk@example.com", "on-call@example.com"} <= {to for to, _ in site.mail}, 120, "mail")
    mail = next(m for to, m in site.mail if to == "risk-desk@example.com")
    assert "挤兑" in mail["Subject"]
    body = mail.get_body(("plain",))
    assert body is not None and f"http://127.0.0.1:{site.port}/alerts/" in body.get_content()
    wait_for(lambda: site.box.received, 120, "the webhook whose address is a secret of .env")
    assert "挤兑" in json.dumps(site.box.bodies()[0], ensure_ascii=False)


def test_status_is_well_and_a_backup_is_written(site: Site) -> None:
    # A firing alert is no trouble of Barometer's own.
    verb, *words = one_shown(" status")
    assert "nothing is wrong" in site.compose(verb, "-T", *words).stdout
    for command in shown("mkdir"):
        subprocess.run(["bash", "-ec", command], cwd=site.folder, check=True)
    site.compose(*one_shown(" db backup ", site.folder))
    (backup,) = (site.folder / "backups").iterdir()
    assert backup.stat().st_size > 10_000


def test_what_was_stored_outlives_the_containers(site: Site) -> None:
    """Volumes stay, and with them and the cluster's id the log that the store remembers."""
    before = site.sql("select count(*), max(row_id) from documents")
    site.compose("down")
    site.compose(*one_shown(" up "))
    assert site.sql("select count(*), max(row_id) from documents") == before
    assert site.sql("select count(*) from logs") == "1"
    send(site, [{**CALM, "text": "央行今日开展逆回购操作"}])
    rows = int(before.split("|")[0]) + 1
    wait_for(lambda: site.sql("select count(*) from documents where scored") == str(rows), 120, "one text more")


def test_without_the_file_of_receivers_nothing_is_started(engine: Engine, tmp_path: Path) -> None:
    with followed(engine, tmp_path) as laid_out:
        (tmp_path / "deploy" / "notify.yaml").unlink()
        try:
            done = laid_out.compose(*one_shown(" up "), check=False)
            assert done.returncode != 0
            assert "deploy/notify.yaml" in done.stderr
            assert not [c for c in laid_out.containers().values() if c["State"]["Running"]]
            assert not (tmp_path / "deploy" / "notify.yaml").exists(), "no folder in its place"
        finally:
            laid_out.compose("down", "-v", "-t", "5", check=False)


def send(site: Site, texts: list[dict[str, str]]) -> None:
    said = "".join(json.dumps(t, ensure_ascii=False) + "\n" for t in texts)
    site.compose(*one_shown(" produce "), input=said)


def typed(site: Site, words: list[str], text: str) -> int:
    """Run a command of Compose at a terminal of its own, and type at whatever asks; its exit status."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(site.folder)
        os.execvpe("docker", ["docker", "compose", *words], site.engine.environment)
    said = b""
    try:
        while piece := os.read(terminal, 1024):
            said += piece
            if piece.rstrip().endswith(b":"):
                os.write(terminal, text.encode() + b"\n")
    except OSError:
        pass  # the other side has hung up
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
