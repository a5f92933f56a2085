"""``barometer users``: who may log in to the dashboard."""

from __future__ import annotations

import getpass
import secrets
import sys

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.accounts import tokens
from barometer.store.accounts import users as store_users
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from dashboard.format import stamp

app = typer.Typer(add_completion=False)
users = typer.Typer(help="Users of the dashboard.", no_args_is_help=True)
app.add_typer(users, name="users")
token = typer.Typer(help="Tokens of users, for programs that call the API.", no_args_is_help=True)
users.add_typer(token, name="token")

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


@users.command("disable")
def disable(name: str) -> None:
    """Keep a user out: ends all sessions, and no token works; nothing that they did is lost."""
    store_users.set_active(_open(), name, False, actor=_actor())
    _tell(f"{name} is kept out; all sessions are ended", None)


@users.command("enable")
def enable(name: str) -> None:
    """Let a user in again."""
    store_users.set_active(_open(), name, True, actor=_actor())
    _tell(f"{name} may come in again", None)


@users.command("link")
def link(name: str, subject: str = typer.Argument(help="Issuer, a space, and the subject there.")) -> None:
    """Let a user come in by the OpenID provider, too; ends all sessions of the user."""
    store_users.link_user(_open(), name, subject, actor=_actor())
    _tell(f"{name} is linked; all sessions are ended", None)


@token.command("add")
def token_add(
    user: str = typer.Argument(help="Whose token it is; it can never do more than this user."),
    name: str = typer.Argument(help="What it is for."),
    scope: str = typer.Option("read", help="read, or act: acts on alerts as well, where the user may."),
    days: int = typer.Option(90, min=1, max=tokens.MAX_DAYS, help="Days until it expires."),
) -> None:
    """Make a token and print it, once."""
    store = _open()
    with store.write() as c:
        made, secret = tokens.add_token(c, user, name, scope, days, store.now_ms(c), actor=_actor())
    print(f"token {made.id} of {user} ({scope}), until {stamp(made.expires_at, settings().zone)}")
    print(secret)


@token.command("list")
def token_list(user: str | None = typer.Argument(None, help="Only this user's.")) -> None:
    """Tokens, without their secrets."""
    zone, store = settings().zone, open_store(settings())
    table = Table("id", "user", "name", "scope", "state", "made", "expires", "last used", box=None)
    with store.read() as c:
        now = store.now_ms(c)
        for t in tokens.list_tokens(c, user):
            table.add_row(
                str(t.id),
                t.user,
                escape(t.name),
                t.scope,
                t.state(now),
                stamp(t.created_at, zone),
                stamp(t.expires_at, zone),
                stamp(t.last_used_at, zone),
            )
    Console().print(table)


@token.command("revoke")
def token_revoke(token_id: int) -> None:
    """End a token at once."""
    store = _open()
    with store.write() as c:
        ended = tokens.revoke_token(c, token_id, store.now_ms(c), actor=_actor())
    _tell(f"token {ended.id} ({ended.name}) of {ended.user} is revoked", None)


@users.command("list")
def list_() -> None:
    """All users."""
    zone = settings().zone
    table = Table("name", "role", "active", "last log-in", "made", box=None)
    with open_store(settings()).read() as c:
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
