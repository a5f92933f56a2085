"""``barometer demo``: the whole product on a stream of our own, on this machine, with nothing to set up."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from app.demo.scenario import LIVE_MS, TURNING_TOPIC
from app.demo.story import Story
from app.demo.verdict import judge, surges
from app.signals import stopped_by_signals
from app.supervise import Supervisor
from barometer.errors import BarometerError
from barometer.logs import configure_logging
from barometer.settings import Settings, load_settings
from barometer.store.alerts.surges import SurgeAlert
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.series.sealing import furthest_sealed
from barometer.store.stream.offsets import StoredCounts, stored_counts

if TYPE_CHECKING:
    from app.demo.inbox import Inbox, ReceivedMessage

app = typer.Typer(add_completion=False)

TURN_AT = 0.35
OPEN_AT = 4.4
"""Stricter than the default: twenty topics over ten days would else show an alarm of mere chance now and then."""
LIVE_SECONDS = 60.0
MIN_SECONDS = 60.0
PAST_SECONDS = 24.0
"""Time set aside for the past; on a slower machine the live stretch ends that much before the present."""
TAIL_SECONDS = 10.0
"""After the live stretch, for the last buckets to be sealed."""
DELIVERY_SECONDS = 6.0
"""After the end, for what is on its way to people."""


@app.command()
def demo(
    seconds: float = typer.Option(0.0, help="End by itself after so long (60 at least) and judge; 0: Ctrl-C."),
    calm: bool = typer.Option(False, "--calm", help="Leave the bad turn out: then no alert must fire."),
    port: int = typer.Option(8050, help="The dashboard's port; another one is taken if it is in use."),
    keep: bool = typer.Option(False, help="Keep the folder of this run (store and logs)."),
) -> None:
    """Start a broker, a store, a worker, the monitor and the dashboard, and put a stream through them in which one
    topic turns bad while another is merely loud. Who is told of it is shown on a page, as mail and as cards."""
    if seconds and seconds < MIN_SECONDS:
        raise BarometerError(f"--seconds: the demo needs at least {MIN_SECONDS:.0f} seconds, got {seconds:g}")
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="barometer-demo-"))
    try:
        code = _Demo(folder, console, seconds, not calm, port).run()
    finally:
        if keep:
            console.print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


class _Demo:
    """One run of the demo."""

    def __init__(self, folder: Path, console: Console, seconds: float, bad_turn: bool, port: int) -> None:
        self.folder, self.console, self.seconds = folder, console, seconds
        live = LIVE_SECONDS
        self.begun = time.monotonic()
        if seconds:
            live = max(20.0, seconds - PAST_SECONDS - TAIL_SECONDS - 8)
        self.story = Story(live, bad_turn)
        self.port = _free_port(port)
        self.password = secrets.token_urlsafe(9)
        self.shown: dict[int, str] = {}
        self.failure: BaseException | None = None
        self.log = (folder / "roles.log").open("w", encoding="utf-8")
        self.supervisor: Supervisor | None = None

    def run(self) -> int:
        """Run to the end; returns the exit code."""
        from ingest.local_broker.embedded_broker import EmbeddedBroker

        inbox = self._inbox()
        with (
            stopped_by_signals() as stop,
            EmbeddedBroker(log_file=self.folder / "broker.log") as broker,
            inbox,
        ):
            environment = self._environment(broker.bootstrap, inbox)
            os.environ.update(environment)
            settings = load_settings()
            inbox.zone = ZoneInfo(settings.timezone)
            configure_logging(settings)
            store = open_store(settings, migrate=True)
            self._make_user(store)
            self.supervisor = Supervisor(environment, self._line)
            try:
                for role in ("worker", "dashboard"):
                    self.supervisor.start(role)
                self._welcome(settings, inbox)
                producer = threading.Thread(target=self._produce, args=(settings, store), daemon=True)
                producer.start()
                # Whoever writes progress first says how far time is: that must be the past, not the monitor's present.
                while not self.story.sent_past and self.failure is None and not stop.wait(0.05):
                    pass
                self.supervisor.start("monitor")
                return self._watch(store, stop, inbox)
            finally:
                self.story.stop.set()
                self.supervisor.stop()
                store.close()
                self.log.close()

    def _inbox(self) -> Inbox:
        try:
            from app.demo.inbox import Inbox
        except ImportError as e:
            raise BarometerError(
                f"the demo's mail server is not installed ({e}): pip install 'barometer[broker]'"
            ) from None
        return Inbox(self.folder / "messages", _free_port(0), self._on_message)

    def _environment(self, bootstrap: str, inbox: Inbox) -> dict[str, str]:
        from app.demo.people import write_people

        people = self.folder / "notify.yaml"
        write_people(people, inbox.url)
        values = {
            "database_url": f"sqlite:///{self.folder / 'demo.db'}",
            "kafka_bootstrap": bootstrap,
            "topic_partitions": "4",
            "session_timeout_ms": "6000",
            "public_url": f"http://127.0.0.1:{self.port}",
            "dashboard_port": str(self.port),
            "dashboard_workers": "1",
            "metrics_port_worker": "0",
            "metrics_port_monitor": "0",
            "tick_seconds": "0.5",
            "detector_open": str(OPEN_AT),
            "secret_key": secrets.token_urlsafe(32),
            "author_salt": secrets.token_urlsafe(16),
            "notify_file": str(people),
            "smtp_port": str(inbox.mail_port),
            "smtp_user": inbox.user,
            "smtp_password": inbox.password,
            "mail_from": "Barometer <barometer@demo.example>",
            "log_level": "INFO",
        }
        # What is for this machine does not go through a proxy of the environment.
        direct = {n: ",".join(filter(None, (os.environ.get(n), "127.0.0.1"))) for n in ("NO_PROXY", "no_proxy")}
        return {f"BAROMETER_{k.upper()}": v for k, v in values.items()} | direct

    def _make_user(self, store: Store) -> None:
        from barometer.store.accounts.users import add_user

        add_user(store, "demo", self.password, "admin", actor="demo")

    def _welcome(self, settings: Settings, inbox: Inbox) -> None:
        self.console.print(f"\n[bold]Barometer 舆情晴雨表[/bold]  {settings.public_url}")
        self.console.print(f"user [bold]demo[/bold]   password [bold]{self.password}[/bold]   (made for this run)")
        self.console.print(f"mail and cards, as they arrive:  {inbox.url}/\n")

    def _on_message(self, message: ReceivedMessage) -> None:
        """A message arrived; called by the thread that took it."""
        self.console.print(f"[cyan]told[/cyan]  {message.way} to {escape(message.to)}: {escape(message.title)}")

    def _line(self, role: str, line: str) -> None:
        self.log.write(f"{role:<10} {line}\n")
        self.log.flush()

    def _produce(self, settings: Settings, store: Store) -> None:
        from ingest.producing.produce import produce_rows

        try:
            rows = self.story.rows(PAST_SECONDS)
            produce_rows(settings, store, rows)
            if not self.seconds:
                produce_rows(settings, store, self.story.afterwards(), progress=False)
        except Exception as e:  # shown by the watcher: a thread's own traceback would be lost
            self.failure = e

    def _watch(self, store: Store, stop: threading.Event, inbox: Inbox) -> int:
        """Show what happens until the end; returns the exit code."""
        self._watch_past(store, stop)
        self.console.print(
            f"live: three hours of the stream in {self.story.live_seconds:.0f} s, "
            f"{LIVE_MS / 1000 / self.story.live_seconds:.0f} times the clock"
        )
        shown_at, before = 0.0, self._counts(store)
        present = False
        while not stop.is_set() and not self._over():
            self._raise_failure()
            self._check_children()
            self._show_alerts(store)
            now = time.monotonic()
            if now - shown_at >= 5:
                counts = self._counts(store)
                rate = max(0, counts.texts - before.texts) / (now - shown_at) if shown_at else 0.0
                self._line_of_state(store, counts, rate)
                shown_at, before = now, counts
            if self.story.phase == "present" and not present:
                present = True
                goes_on = "the calm goes on at the pace of the clock; Ctrl-C ends"
                what = "the monitor keeps time from here" if self.seconds else goes_on
                self.console.print(f"the stream has reached the present: {what}")
            stop.wait(0.25)
        self._show_alerts(store)
        if stop.is_set():
            self.console.print("\nstopping ...")
            return 0 if not self.seconds else 130
        return self._verdict(store, inbox)

    def _watch_past(self, store: Store, stop: threading.Event) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>6.0f} texts/s"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("a calm past of ten days", total=None, rate=0.0)
            begun: float | None = None
            while not stop.is_set():
                self._raise_failure()
                self._check_children()
                done = self._counts(store).texts
                if done and begun is None:
                    begun = time.monotonic()
                rate = done / max(0.1, time.monotonic() - begun) if begun else 0.0
                sent = self.story.sent_past
                progress.update(task, completed=done, total=max(sent, 1), rate=rate)
                if self.story.handed_over.is_set() and done >= sent:
                    break
                if self._over():
                    raise BarometerError(
                        f"the past was not worked off in {self.seconds:g} s: give more --seconds, "
                        "or look into roles.log with --keep"
                    )
                stop.wait(0.2)
        self.story.worked_off.set()

    def _counts(self, store: Store) -> StoredCounts:
        with store.read() as c:
            return stored_counts(c)

    def _line_of_state(self, store: Store, counts: StoredCounts, rate: float) -> None:
        with store.read() as c:
            sealed = furthest_sealed(c)
        until = _clock(sealed) if sealed else "-"
        self.console.print(f"  {counts.texts:>6,} texts   {rate:>5.1f} texts/s   judged up to {until}", style="dim")

    def _show_alerts(self, store: Store) -> None:
        for a in surges(store):
            state = f"{a.state}/{a.severity}"
            if self.shown.get(a.alert_id) != state:
                self.shown[a.alert_id] = state
                self.console.print(_alert_line(a))

    def _turn_at(self) -> int:
        return int(self.story.live_start + TURN_AT * LIVE_MS)

    def _verdict(self, store: Store, inbox: Inbox) -> int:
        right, wrong = judge(surges(store), self._turn_at())
        for a in wrong:
            self.console.print(f"[red]wrong alert:[/red] {a.series} ({a.severity}), detected {_clock(a.detected_at)}")
        if not right:
            self.console.print(
                f"[red]the right alert is missing:[/red] topic:{TURNING_TOPIC} did not fire "
                f"after {_clock(self._turn_at())}"
            )
        untold = self._silent_channels(store, inbox) if right else []
        for way in untold:
            self.console.print(f"[red]nobody was told by {way}[/red] of the right alert")
        if right and not wrong and not untold:
            with_it = sorted({a.series for a in surges(store) if a.series != f"topic:{TURNING_TOPIC}"})
            others = f"; with it, for the same texts: {', '.join(with_it)}" if with_it else ""
            self.console.print(f"[green]right:[/green] topic:{TURNING_TOPIC} alerted, and nothing wrongly{others}")
            self.console.print(f"[green]told:[/green] {len(inbox.messages)} messages, by mail and by card")
        return 0 if right and not wrong and not untold else 1

    def _silent_channels(self, store: Store, inbox: Inbox) -> list[str]:
        """The ways by which nobody heard of the incident."""
        until = time.monotonic() + DELIVERY_SECONDS
        while True:
            # One message tells of all alerts of an incident, and leads to one of them.
            links = [f"/alerts/{a.alert_id}" for a in surges(store)]
            told = {m.way for m in inbox.messages if any(link in m.text for link in links)}
            untold = [way for way in ("mail", "card") if way not in told]
            if not untold or time.monotonic() > until:
                return untold
            time.sleep(0.2)

    def _over(self) -> bool:
        return bool(self.seconds) and time.monotonic() - self.begun >= self.seconds

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _check_children(self) -> None:
        assert self.supervisor is not None
        self.supervisor.check()


def _alert_line(a: SurgeAlert) -> str:
    colour = {"critical": "bold red", "warning": "yellow"}.get(a.severity, "dim")
    if a.state == "resolved":
        return f"[green]resolved[/green]  {a.series}"
    return (
        f"[{colour}]ALERT {a.severity}[/]  {a.series}: {a.seen_negative} negative of {a.seen_total}, "
        f"{a.expected_negative:.1f} expected; since {_clock(a.started_at)}, noticed {_clock(a.detected_at)}"
    )


def _clock(time_ms: int) -> str:
    """Of the zone that the dashboard has, which is named: the console's own may be another."""
    return f"{datetime.fromtimestamp(time_ms / 1000, _zone()):%m-%d %H:%M %z}"


@cache
def _zone() -> ZoneInfo:
    return load_settings().zone


def _free_port(wanted: int) -> int:
    """The wanted port on 127.0.0.1, or any free one if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(s.getsockname()[1])
    raise BarometerError("no free port on 127.0.0.1")
