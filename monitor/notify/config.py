"""Who is told of what: receivers and routes, from one YAML file (``docs/notify.md``).

Without a file nobody is told, and alerts are on the dashboard only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
import yaml
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator

from barometer.errors import SettingsError
from barometer.settings import Settings
from monitor.notify.policy import DUTY, Guide, LevelRule, Names, QuietHours, Roster, Route, Strict, listed

log = structlog.get_logger(__name__)


def _text(value: Any) -> Any:
    """YAML reads a telephone number as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Ids = Annotated[list[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]], BeforeValidator(listed)]
_Phone = Annotated[str, BeforeValidator(_text), Field(pattern=r"^\+?[0-9-]{3,20}$")]


class _Http(Strict):
    timeout_seconds: float = Field(10.0, gt=0, le=60)


class WebhookChannel(_Http):
    """POST of JSON in the shape of Alertmanager's version 4 payload."""

    type: Literal["webhook"]
    url: SecretStr
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    secret: SecretStr | None = None


class MailChannel(Strict):
    """Mail by the SMTP server of the settings."""

    type: Literal["mail"]
    to: Annotated[list[Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]], BeforeValidator(listed)] = Field(
        min_length=1
    )


class FeishuChannel(_Http):
    """A robot of a Feishu or Lark group, by its whole URL."""

    type: Literal["feishu"]
    url: SecretStr
    secret: SecretStr | None = None
    mention: _Ids = Field(default_factory=list)
    """open_ids, or ``all``."""


class DingTalkChannel(_Http):
    """A robot of a DingTalk group, by its whole URL."""

    type: Literal["dingtalk"]
    url: SecretStr
    secret: SecretStr | None = None
    at_mobiles: Annotated[list[_Phone], BeforeValidator(listed)] = Field(default_factory=list)
    at_all: bool = False


class WeComChannel(_Http):
    """A robot of a WeCom group, by its whole URL."""

    type: Literal["wecom"]
    url: SecretStr
    mention: _Ids = Field(default_factory=list)
    """User ids."""


class SlackChannel(_Http):
    """An incoming webhook of Slack."""

    type: Literal["slack"]
    url: SecretStr
    mention: _Ids = Field(default_factory=list)
    """Members (``U…``), user groups (``S…``), ``channel`` or ``here``."""


class TelegramChannel(_Http):
    """A bot of Telegram and one chat."""

    type: Literal["telegram"]
    token: SecretStr
    chat_id: str | int
    thread_id: int | None = None
    base_url: str = Field("https://api.telegram.org", pattern=r"^https?://")


class TeamsChannel(_Http):
    """A workflow of Teams that posts what a webhook brings."""

    type: Literal["teams"]
    url: SecretStr


class SmsChannel(_Http):
    """A short text to the numbers of people, by the webhook of whoever sends SMS or calls them up."""

    type: Literal["sms", "voice"]
    url: SecretStr
    to: Annotated[list[_Phone], BeforeValidator(listed)] = Field(min_length=1)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    body: dict[str, SecretStr] = Field(default_factory=dict)
    """Names and values of the request; ``{to}``, ``{text}`` and ``{id}`` are filled in. Empty: our own."""
    form: bool = False
    """A form instead of JSON."""
    parts: int = Field(1, ge=1, le=6)
    """SMS that one message may be."""


class AppriseChannel(Strict):
    """Any service that apprise knows, by its URL."""

    type: Literal["apprise"]
    url: SecretStr


ChannelConfig = Annotated[
    WebhookChannel | MailChannel | FeishuChannel | DingTalkChannel | WeComChannel | SlackChannel | TelegramChannel
    | TeamsChannel | SmsChannel | AppriseChannel,
    Field(discriminator="type"),
]  # fmt: skip


class Receiver(Strict):
    """People, or a machine, who are told together."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\s/]+$")
    channels: list[ChannelConfig] = Field(min_length=1)
    lang: Literal["zh", "en", "both"] = "zh"
    send_resolved: bool = True
    quiet_hours: str | None = None
    """When they are left in peace: a name of ``quiet_hours``."""


class NotifyFile(Strict):
    """The file."""

    receivers: list[Receiver] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    default: Names | None = None
    """Who is told where no route matches; all receivers if it is left out."""
    quiet_hours: dict[str, QuietHours] = Field(default_factory=dict)
    rosters: list[Roster] = Field(default_factory=list)
    series: list[Guide] = Field(default_factory=list)
    """Runbooks and contacts."""
    levels: list[LevelRule] = Field(default_factory=list)
    """Which level an alert gets: the first that fits."""
    overdue: Names | None = None
    """Who is told that a step is overdue; those of the alert's routes if it is left out."""

    @model_validator(mode="after")
    def _names_fit(self) -> NotifyFile:
        names = [r.name for r in self.receivers]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"receivers: the name {twice[0]!r} is used twice")
        rosters = [DUTY + r.name for r in self.rosters]
        if twice := sorted({n for n in rosters if rosters.count(n) > 1}):
            raise ValueError(f"rosters: the name {twice[0].removeprefix(DUTY)!r} is used twice")
        for place, name, known in self._uses(names, [*names, *rosters]):
            if name not in known:
                raise ValueError(f"{place}: there is no receiver {name!r} (of this file: {', '.join(known) or 'none'})")
        for place, hours in self._uses_of_hours():
            if hours is not None and hours not in self.quiet_hours:
                known = list(self.quiet_hours)
                raise ValueError(f"{place}: there are no quiet hours {hours!r} (of this file: {known or 'none'})")
        return self

    def _uses(self, receivers: list[str], everybody: list[str]) -> Iterator[tuple[str, str, list[str]]]:
        for i, route in enumerate(self.routes):
            for name in route.receivers:
                yield f"routes.{i}.receivers", name, everybody
            for j, escalation in enumerate(route.escalate):
                for name in escalation.receivers:
                    yield f"routes.{i}.escalate.{j}.receivers", name, everybody
        for name in self.default or ():
            yield "default", name, everybody
        for name in self.overdue or ():
            yield "overdue", name, everybody
        for i, roster in enumerate(self.rosters):
            for name in (*roster.people, *(o.who for o in roster.overrides)):
                yield f"rosters.{i}.people", name, receivers

    def _uses_of_hours(self) -> Iterator[tuple[str, str | None]]:
        for i, receiver in enumerate(self.receivers):
            yield f"receivers.{i}.quiet_hours", receiver.quiet_hours
        for i, route in enumerate(self.routes):
            yield f"routes.{i}.quiet_hours", route.quiet_hours


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """The file, with the settings that sending needs."""

    file: NotifyFile
    settings: Settings

    def receiver(self, name: str) -> Receiver | None:
        return next((r for r in self.file.receivers if r.name == name), None)


def load_config(settings: Settings, *, check_secrets: bool = True) -> NotifyConfig:
    """Read ``settings.notify_file``; without one there are no receivers.

    Args:
        check_secrets: whether every ``env:NAME`` and ``file:/path`` must be there now (where messages are sent).

    Raises:
        SettingsError: the file is missing, not YAML or malformed, or a secret is missing; names file and field.
    """
    path = settings.notify_file
    if path is None:
        log.info("nobody_is_notified", why="notify_file is not set: alerts are on the dashboard only")
        return NotifyConfig(NotifyFile(), settings)
    config = NotifyConfig(_read(path), settings)
    if check_secrets:
        missing = list(_missing(config.file))
        if missing:
            raise SettingsError(f"{path}: " + "; ".join(missing))
    return config


def _missing(file: NotifyFile) -> Iterator[str]:
    """All secrets that are not there, with the places that name them."""
    for place, value in _secrets(file):
        try:
            reveal(value)
        except SettingsError as e:
            yield f"{place}: {e}"


def _read(path: Path) -> NotifyFile:
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except OSError as e:
        raise SettingsError(f"notify_file: cannot read {path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise SettingsError(f"{path}: not UTF-8: {e}") from e
    except yaml.YAMLError as e:
        raise SettingsError(f"{path}: not valid YAML: {_yaml_fault(e)}") from None
    if not isinstance(data, dict):
        raise SettingsError(f"{path}: expected receivers, routes and default at the top")
    try:
        return NotifyFile.model_validate(data)
    except ValidationError as e:
        lines = []
        for error in e.errors(include_input=False, include_context=False):
            # A discriminated union puts the tag into the place: receivers.0.channels.0.webhook.url
            place = ".".join(str(p) for p in error["loc"])
            lines.append(": ".join(x for x in (place, error["msg"].removeprefix("Value error, ")) if x))
        raise SettingsError(f"{path}:\n  " + "\n  ".join(lines)) from None


def _yaml_fault(e: yaml.YAMLError) -> str:
    """Where and what, without the line itself: it may hold a token."""
    mark = getattr(e, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return f"{where}{getattr(e, 'problem', None) or type(e).__name__}"


def reveal(value: SecretStr) -> str:
    """What a value stands for: ``env:NAME`` and ``file:/path`` are looked up, anything else is itself.

    Raises:
        SettingsError: the variable is not set, or the file cannot be read or is empty.
    """
    text = value.get_secret_value()
    if text.startswith("env:"):
        found = os.environ.get(text[4:], "")
        if not found:
            raise SettingsError(f"the environment variable {text[4:]} is not set")
        return found
    if text.startswith("file:"):
        try:
            found = Path(text[5:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(f"cannot read {text[5:]}: {getattr(e, 'strerror', None) or e}") from None
        if not found:
            raise SettingsError(f"{text[5:]} is empty")
        return found
    return text


def _secrets(file: NotifyFile) -> Iterator[tuple[str, SecretStr]]:
    for i, receiver in enumerate(file.receivers):
        for j, channel in enumerate(receiver.channels):
            place = f"receivers.{i} ({receiver.name}).channels.{j}"
            for name, value in channel:
                if isinstance(value, SecretStr):
                    yield f"{place}.{name}", value
                elif isinstance(value, dict):
                    yield from ((f"{place}.{name}.{key}", x) for key, x in value.items())
