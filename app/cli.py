"""The roof: one command for everything. Parts are imported only when one of their commands is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from barometer.errors import BarometerError

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module with a typer app, one line of help)
    "demo": ("app.demo.command", "A broker, a store, all roles and a stream of our own: see it work"),
    "up": ("app.commands.roles", "Run all roles on this machine"),
    "worker": ("app.commands.roles", "Run a worker: Kafka to store"),
    "monitor": ("app.commands.roles", "Run the monitor: sealing, detection, alerts (one leads, others stand by)"),
    "dashboard": ("app.commands.roles", "Run the dashboard and the API"),
    "broker": ("app.commands.roles", "Run an embedded Kafka-compatible broker in memory, for trying things out"),
    "status": ("app.commands.operate", "Lag, throughput, counts, sources, jobs, leader"),
    "db": ("app.commands.operate", "The store's schema: upgrade, current"),
    "log": ("app.commands.operate", "The log under the store: show, accept a replacement"),
    "users": ("dashboard.cli", "Users of the dashboard and their tokens: add, passwd, role, disable, list, token"),
    "produce": ("ingest.cli", "Put files of texts into Kafka"),
    "dlq": ("ingest.cli", "Dead letters: list, show, replay"),
    "alerts": ("monitor.notify.cli.alerts", "Alerts: list, show, act on them, test routes, who is on call"),
    "silences": ("monitor.notify.cli.silences", "Silences and maintenance windows: add, list, expire"),
    "notify": ("monitor.notify.cli.messages", "What people are told: look at messages, send a test"),
    "rules": ("monitor.rules.cli", "Red-line rules: test them on texts, show them"),
    "backtest": ("monitor.cli", "What would have been alerted on a dated file of texts"),
    "score": ("models.cli", "Label texts with sentiment and topics"),
    "pretrain": ("models.cli", "Teach an encoder the language of the field before training"),
    "train": ("models.cli", "Train a model by a recipe"),
    "search": ("models.cli", "Search for better values of a recipe's fields"),
    "average": ("models.cli", "Make one run of several by the mean of their weights"),
    "distill": ("models.cli", "Train a small model on what larger ones say"),
    "evaluate": ("models.cli", "Measure a model on labelled sets"),
    "gold": ("models.cli", "Describe the gold set: sizes, and how far readers agree with it"),
    "export": ("models.cli", "Turn a trained network into a model folder"),
}


class _Lazy(TyperGroup):
    """Lists commands from the table above and imports a command's module when it is called."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name=name, help=line, callback=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(ctx, args)
        return (name, load(name), rest) if name in COMMANDS else (name, listed, rest)


def load(name: str) -> Any:
    """Import and return the command behind a name."""
    module = importlib.import_module(COMMANDS[name][0])
    command = typer.main.get_command(module.app)
    inner = getattr(command, "commands", {})
    found = inner.get(name, command)
    found.name = name
    return found


app = typer.Typer(cls=_Lazy, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Barometer 舆情晴雨表: watches financial news and comments, and tells you when the mood turns bad."""
    if version:
        from barometer import __version__

        print(__version__)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def main() -> None:
    """Entry point: errors meant for people are printed without a traceback, Ctrl-C ends with 130."""
    try:
        app()
    except BarometerError as e:
        print(f"barometer: {e}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as e:
        said = _database_away(e)
        if said is None:
            raise
        print(f"barometer: {said}", file=sys.stderr)
        sys.exit(1)


def _database_away(error: Exception) -> str | None:
    """What to say where a command lost its database, or never had it; None where the error is another."""
    if "sqlalchemy" not in sys.modules:
        return None
    from barometer.store.engine import is_away

    if not is_away(error):
        return None
    first = str(getattr(error, "orig", error)).strip().splitlines()[0]
    return (
        f"the database cannot be reached, or broke off ({first}). A transaction that was not finished left nothing: "
        "see that it runs and that database_url (BAROMETER_DATABASE_URL) is right, and run the command again"
    )
