"""``barometer users``: who may log in to the dashboard."""

from __future__ import annotations

import getpass
import secrets
import sys

import typer
from rich.console import Console
from rich.table import Table

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store import users as store_users
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from dashboard.format import stamp

app = typer.Typer(add_completion=False)
users = typer.Typer(help="Users of the dashboard.", no_args_is_help=True)
app.add_typer(users, name="users")

_STDIN = typer.Option(False, "--password-stdin", help="Read the password from standard input.")
_GENERATE = typer.Option(False, "--generate", help="Make a password and print it, once.")


@app.callback()
def _root() -> None:
    """The dashboard's commands."""


@users.command("add")
def add(
    name: str,
    role: str = typer.Option("viewer", help="viewer sees; analyst acts on alerts; admin may do everything."),
    password_stdin: bool = _STDIN,
    generate: bool = _GENERATE,
) -> None:
    """Make a user."""
    store = _open()
    password = _password(password_stdin, generate)
    store_users.add_user(store, name, password, role, actor=_actor())
    _tell(f"added {name} ({role})", password if generate else None)


@users.command("passwd")
def passwd(name: str, password_stdin: bool = _STDIN, generate: bool = _GENERATE) -> None:
    """Change a password; ends all sessions of the user."""
    store = _open()
    password = _password(password_stdin, generate)
    store_users.set_password(store, name, password, actor=_actor())
    _tell(f"changed the password of {name}; all sessions are ended", password if generate else None)


@users.command("role")
def role(name: str, role: str) -> None:
    """Change a role: viewer, analyst or admin; ends all sessions of the user."""
    store_users.set_role(_open(), name, role, actor=_actor())
    _tell(f"{name} is {role} now; all sessions are ended", None)


@users.command("list")
def list_() -> None:
    """All users."""
    zone = settings().zone
    table = Table("name", "role", "active", "last log-in", "made", box=None)
    with _open().read() as c:
        for user in store_users.list_users(c):
            made, last = stamp(user.created_at, zone), stamp(user.last_login_at, zone)
            table.add_row(user.name, user.role, "yes" if user.active else "no", last, made)
    Console().print(table)


def _open() -> Store:
    return open_store(settings(), migrate=settings().database_url.startswith("sqlite"))


def _actor() -> str:
    return f"{getpass.getuser()} (command line)"


def _password(from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise BarometerError("choose one of --password-stdin and --generate")
    if generate:
        return secrets.token_urlsafe(15)
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise BarometerError("no terminal to ask for a password at: use --password-stdin or --generate")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise BarometerError("the two passwords differ; nothing was changed")
    return first


def _tell(line: str, password: str | None) -> None:
    print(line)
    if password is not None:
        print(f"password: {password}")
