"""Every command of README and docs is one that the program has; all that can run here are run, as they stand, against
a store, a broker and a dashboard; the rest are listed with the reason.

What a page calls by a made-up name (``FILE``, ``/backups``, alert 12) is laid out beforehand.
"""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from sqlalchemy import delete, insert, select, update
from typer.testing import CliRunner

from app.cli import COMMANDS, app, load
from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.accounts import tokens
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import Alert, AlertStep, DeadLetter, Silence, User
from ingest.local_broker.embedded_broker import EmbeddedBroker
from testing.post_box import PostBox, post_box
from tests.browser.test_dashboard import free_port
from tests.support.seed import seed

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
FIRST = ("barometer", "curl", "make", "docker", "python", "pip", "cp", "export", "collector", "gunicorn", "kubectl")

NOT_RUN = {
    r"make |make$": "`make demo` and the tests of `make test` are tests themselves; `make kafka` needs Apache Kafka",
    r"docker compose ": "in containers, where there is an engine: tests/containers",
    r"cp deploy/": "the files are checked by test_deploy.py",
    r"kafka-(topics|acls|configs)\.sh ": "Apache Kafka's own tools; test_kafka_doc.py, test_rights.py, test_topics.py",
    r"export BAROMETER_KAFKA_": "loaded as settings by test_kafka_doc.py",
    r"(python -m )?pip install ": "installs packages",
    r"python (-m bench|bench/|run\.py)": "benches: minutes to an hour; each has a smoke test or a figure of its own",
    r"barometer up$": "runs until it is stopped: test_supervise.py and the demo",
    r"barometer (train|pretrain|distill|average|export|search) ": "data sets that are not shipped: tests/unit/models",
    r"barometer evaluate ": "measures on thousands of texts: tests/unit/models/test_figures.py",
    r"barometer gold$": "reads four thousand labels: tests/unit/models/test_held_out.py",
    r"barometer score archive\.jsonl\.gz --backend torch": "twelve processes with PyTorch: test_bulk.py",
    r"barometer db restore ": "takes the place of the store: test_backup.py",
    r"barometer log accept": "only where a log was replaced: test_log_replaced.py",
    r"barometer dlq replay ": "asks the log for a record that is made up: test_dead_letters.py",
}  # fmt: skip
"""Commands that are not run, by pattern, and why."""


class Shown(NamedTuple):
    """A command as a page shows it."""

    page: str
    line: int
    command: str


def blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, lines) of every block of shell commands: fenced, or indented after an empty line."""
    lines = text.split("\n")
    i = 0
    while i < len(lines):
        if fence := re.match(r"\s*```(\w*)", lines[i]):
            end = next((j for j in range(i + 1, len(lines)) if lines[j].strip() == "```"), len(lines))
            if fence[1] in ("", "sh", "bash", "console"):
                yield i + 2, lines[i + 1 : end]
            i = end
        elif lines[i].startswith("    ") and not lines[i - 1].strip():
            end = next((j for j in range(i, len(lines)) if not lines[j].startswith("    ")), len(lines))
            yield i + 1, [x[4:] for x in lines[i:end]]
            i = end
        i += 1


def commands(page: Path) -> list[Shown]:
    """Commands without their comments; a line that ends in a backslash goes on."""
    found = []
    for number, lines in blocks(page.read_text("utf-8")):
        whole = ""
        for offset, raw in enumerate(lines):
            line = re.split(r"\s+#(?=\s|$)", raw)[0].strip()
            whole = f"{whole} {line}".strip()
            if whole.endswith("\\"):
                whole = whole[:-1].strip()
                continue
            word = whole.split(" ", 1)[0]
            if word in FIRST or re.fullmatch(r"kafka-\w+\.sh", word):
                found.append(Shown(page.name, number + offset, whole))
            whole = ""
    return found


ALL = [c for page in PAGES for c in commands(page)]
RUN = [c for c in ALL if not any(re.match(p, c.command) for p in NOT_RUN)]


def named(shown: Shown) -> str:
    return f"{shown.page}:{shown.line}"


def words_of(command: str) -> list[str]:
    """What follows ``barometer``, without pipes and redirections."""
    ours = command.split("barometer ", 1)[1]
    return [w for w in shlex.split(re.split(r"\s[<>|]", ours)[0]) if w != "..."]


def test_both_readmes_show_the_same_commands_and_lead_to_the_same_pages() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh.md"
    assert [c.command for c in commands(english)] == [c.command for c in commands(chinese)]
    assert len(re.findall("^## ", english.read_text("utf-8"), re.M)) == len(
        re.findall("^## ", chinese.read_text("utf-8"), re.M)
    )
    links = [
        set(re.findall(r"\]\(((?:docs|models|findings|deploy)/[^)]*)\)", p.read_text("utf-8")))
        for p in (english, chinese)
    ]
    assert {x.removesuffix("README.md") for x in links[0]} == {x.removesuffix("README.md") for x in links[1]}


def test_the_pages_have_commands_and_the_list_of_what_is_not_run_has_no_dead_entry() -> None:
    assert len(ALL) > 100
    assert len(RUN) > 45
    assert [p for p in NOT_RUN if not any(re.match(p, c.command) for c in ALL)] == []
    known = {c.command for c in ALL}
    assert any(c.startswith("curl ") for c in known)


@pytest.mark.parametrize("shown", [c for c in ALL if "barometer " in c.command and c.command.split()[0] in
                                   ("barometer", "collector")], ids=named)  # fmt: skip
def test_the_program_has_the_command_and_its_options(shown: Shown) -> None:
    words = words_of(shown.command)
    assert words[0] in COMMANDS, shown
    command: Any = load(words.pop(0))
    while getattr(command, "commands", None):
        assert words[0] in command.commands, shown
        command = command.commands[words.pop(0)]
    options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    asked = [w.split("=")[0] for w in words if w.startswith("--")]
    assert [o for o in asked if o not in options] == [], shown


# --- run against what a person would have started --------------------------------------------------------------------


class Site(NamedTuple):
    folder: Path
    store: Store
    box: PostBox
    port: int
    token: str


NEWS = (
    "银行门口排起长队",
    "出口订单连续三个月下滑",
    "Profits rose by a fifth",
    "某公司中标大单",
    "房企债券没有按时兑付",
)


def lay_out(folder: Path, box: PostBox) -> None:
    """The files that the pages name."""
    rows = [f"{text},2026-05-01T10:00:{i:02d}+08:00,600519" for i, text in enumerate(NEWS)]
    news, posts = "\n".join(["content,time,code", *rows]), "\n".join(["content,time,code", *rows])
    (folder / "news.csv").write_text(news)
    (folder / "corpus.csv").write_text(news)
    for name, text in (("news.csv.gz", news.replace("content", "text")), ("posts.csv.gz", posts)):
        (folder / name).write_bytes(gzip.compress(text.encode()))
    lines = [
        json.dumps({"text": t, "kind": "news", "source": "示例", "published_at": f"2026-05-01T10:00:0{i}+08:00"})
        for i, t in enumerate(NEWS)
    ]
    for name in ("news.jsonl", "texts.jsonl"):
        (folder / name).write_text("\n".join(lines))
    (folder / "file").write_text("a long enough password\n")
    shutil.copy(ROOT / "barometer" / "rules" / "redlines.yaml", folder / "my_rules.yaml")
    channel = {"type": "webhook", "url": f"{box.url}/hook"}
    people = {
        "receivers": [{"name": n, "channels": [channel]} for n in ("oncall", "property")],
        "routes": [{"series": "topic:*", "receivers": "oncall"}],
        "rosters": [{"name": "night", "people": ["oncall", "property"], "start": "2026-01-05 09:00"}],
    }
    (folder / "notify.yaml").write_text(yaml.safe_dump(people))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, embedded_broker: EmbeddedBroker) -> Iterator[Site]:
    """A seeded store, a broker, and the dashboard's real server."""
    folder = tmp_path_factory.mktemp("documented")
    port = free_port()
    with post_box() as box, pytest.MonkeyPatch.context() as patch:
        lay_out(folder, box)
        environment = {
            "DATABASE_URL": f"sqlite:///{folder / 'site.db'}", "KAFKA_BOOTSTRAP": embedded_broker.bootstrap,
            "TOPIC_DOCUMENTS": "documented", "TOPIC_DLQ": "documented.dlq", "NOTIFY_FILE": str(folder / "notify.yaml"),
            "TOPIC_PARTITIONS": "1", "DASHBOARD_PORT": str(port), "DASHBOARD_WORKERS": "1",
        }  # fmt: skip
        for name, value in environment.items():
            patch.setenv(f"BAROMETER_{name}", value)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        patch.setenv("COLUMNS", "160")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.chdir(folder)
        settings.cache_clear()
        store = open_store(settings(), migrate=True)
        seed(store, settings(), days=0.1)
        with store.write() as c:
            _, token = tokens.add_token(c, "analyst", "tests", "read", 1, store.now_ms(c), actor="tests")
        server = subprocess.Popen([sys.executable, "-m", "app", "dashboard"], stderr=subprocess.DEVNULL)
        try:
            _wait(f"http://127.0.0.1:{port}/health", server)
            yield Site(folder, store, box, port, token)
        finally:
            server.terminate()
            server.wait(20)
            store.close()
    settings.cache_clear()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, "the dashboard did not start"
            assert server.poll() is None, "the dashboard did not start"
            time.sleep(0.2)


def as_the_page_found_it(store: Store, command: str) -> None:
    """What the pages' examples act on, as it is before each: alert 12 fires, silence 3 holds, nobody is called wang
    who is to be added, and a dead letter waits."""
    with store.write() as c:
        now = store.now_ms(c)
        row = dict(c.execute(select(Alert.__table__).where(Alert.id == 1)).one()._mapping)
        row |= {"id": 12, "state": "firing", "fingerprint": "topic:macro", "incident_id": None, "level": None,
                "acknowledged_by": None, "resolved_at": None, "resolved_by": None, "resolution": None,
                "assignee": None, "snoozed_until": None}  # fmt: skip
        c.execute(delete(AlertStep).where(AlertStep.alert_id == 12))
        if c.execute(select(Alert.id).where(Alert.id == 12)).one_or_none() is None:
            c.execute(insert(Alert).values(row))
        else:
            c.execute(update(Alert).where(Alert.id == 12).values({k: x for k, x in row.items() if k != "id"}))
        if " step " in command:
            c.execute(update(Alert).where(Alert.id == 12).values(level="major", level_at=now))
            due = {"alert_id": 12, "step": "assess", "state": "open", "due_at": now + 60_000}
            c.execute(insert(AlertStep).values(due))
        if c.execute(select(Silence.id).where(Silence.id == 3)).one_or_none() is None:
            c.execute(insert(Silence).values(id=3, series="topic:macro", starts_at=now, ends_at=now + 86_400_000,
                                             comment="x", created_by="li", created_at=now))  # fmt: skip
        letter = dict(c.execute(select(DeadLetter.__table__).limit(1)).one()._mapping)
        if c.execute(select(DeadLetter.row_id).where(DeadLetter.row_id == 4504699138998274)).one_or_none() is None:
            c.execute(insert(DeadLetter).values({**letter, "row_id": 4504699138998274}))
        if match := re.match(r"barometer users add (\w+)", command):
            c.execute(
                update(User).where(User.name == match[1]).values(name=User.name + f"-before-{time.monotonic_ns()}")
            )
        elif "wang" in command and c.execute(select(User.id).where(User.name == "wang")).one_or_none() is None:
            viewer = dict(c.execute(select(User.__table__).where(User.name == "analyst")).one()._mapping)
            c.execute(insert(User).values({**viewer, "id": 99, "name": "wang"}))


def at_a_terminal(words: list[str], typed: str) -> tuple[int, str]:
    """Run a command at a terminal of its own, and type at whatever asks; returns the exit status and what it said."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "app", *words])
    said = b""
    try:
        while piece := os.read(terminal, 1024):
            said += piece
            if piece.rstrip().endswith(b":"):
                os.write(terminal, typed.encode() + b"\n")
    except OSError:
        pass  # the other side has hung up
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode("utf-8", "replace")


@pytest.mark.parametrize("shown", [c for c in RUN if "barometer " in c.command and c.command.split()[0] != "curl"],
                         ids=named)  # fmt: skip
def test_a_command_of_the_pages_runs(site: Site, shown: Shown) -> None:
    as_the_page_found_it(site.store, shown.command)
    words = [w.replace("/backups", str(site.folder)) for w in words_of(shown.command)]
    given = ""
    if re.match(r"barometer users add ", shown.command):
        status, said = at_a_terminal(words, "a long enough password")
        assert status == 0, f"{shown}: {said}"
        return
    if shown.command.startswith("collector"):
        given = json.dumps({"text": "一条收集来的消息"}, ensure_ascii=False) + "\n"
    elif redirected := re.search(r"<\s*(\w+)", shown.command):
        given = (site.folder / redirected[1]).read_text()
    done = CliRunner().invoke(app, words, input=given)
    why = str(done.exception) if isinstance(done.exception, BarometerError) else done.output
    assert done.exit_code == 0, f"{shown}: {why}"


@pytest.mark.parametrize("shown", [c for c in RUN if c.command.startswith("curl ")], ids=named)
def test_a_curl_of_the_pages_is_answered(site: Site, shown: Shown) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here (apt install curl)")
    command = shown.command.replace("127.0.0.1:8050", f"127.0.0.1:{site.port}")
    environment = {**os.environ, "TOKEN": site.token}
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl -sS --fail-with-body ", 1)],
        capture_output=True, text=True, timeout=30, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, f"{shown}: {done.stdout}{done.stderr}"
    assert "error" not in json.loads(done.stdout), shown
