"""Who is told of what: receivers and routes, from one YAML file (``docs/notify.md``).

Without a file nobody is told, and alerts are on the dashboard only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from barometer.errors import SettingsError
from barometer.records import Kind
from barometer.settings import Settings
from barometer.store.alerts import SEVERITIES

log = structlog.get_logger(__name__)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


def _text(value: Any) -> Any:
    """YAML reads a telephone number as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Names = Annotated[list[str], BeforeValidator(_listed)]
"""One name or a list of them."""
_Ids = Annotated[list[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]], BeforeValidator(_listed)]
_Phone = Annotated[str, BeforeValidator(_text), Field(pattern=r"^\+?[0-9-]{3,20}$")]


class _Strict(BaseModel):
    """Unknown keys are errors, so that a typing mistake does not pass for a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Http(_Strict):
    timeout_seconds: float = Field(10.0, gt=0, le=60)


class WebhookChannel(_Http):
    """POST of JSON in the shape of Alertmanager's version 4 payload."""

    type: Literal["webhook"]
    url: SecretStr
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    secret: SecretStr | None = None


class MailChannel(_Strict):
    """Mail by the SMTP server of the settings."""

    type: Literal["mail"]
    to: Annotated[list[Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]], BeforeValidator(_listed)] = Field(
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
    at_mobiles: Annotated[list[_Phone], BeforeValidator(_listed)] = Field(default_factory=list)
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
    to: Annotated[list[_Phone], BeforeValidator(_listed)] = Field(min_length=1)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    body: dict[str, SecretStr] = Field(default_factory=dict)
    """Names and values of the request; ``{to}``, ``{text}`` and ``{id}`` are filled in. Empty: our own."""
    form: bool = False
    """A form instead of JSON."""
    parts: int = Field(1, ge=1, le=6)
    """SMS that one message may be."""


class AppriseChannel(_Strict):
    """Any service that apprise knows, by its URL."""

    type: Literal["apprise"]
    url: SecretStr


ChannelConfig = Annotated[
    WebhookChannel | MailChannel | FeishuChannel | DingTalkChannel | WeComChannel | SlackChannel | TelegramChannel
    | TeamsChannel | SmsChannel | AppriseChannel,
    Field(discriminator="type"),
]  # fmt: skip


class Receiver(_Strict):
    """People, or a machine, who are told together."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\s/]+$")
    channels: list[ChannelConfig] = Field(min_length=1)
    lang: Literal["zh", "en", "both"] = "zh"
    send_resolved: bool = True


class Escalation(_Strict):
    """Who else is told if nobody acknowledges."""

    after_minutes: float = Field(gt=0)
    receivers: Names = Field(min_length=1)


class Route(_Strict):
    """What an alert must be for its receivers to be told; what is left out does not matter."""

    receivers: Names
    """An empty list: nobody."""
    series: Names | None = None
    """Names or patterns with ``*``, as ``topic:*``; system alerts are ``system:lag`` and the like."""
    type: Annotated[list[Literal["surge", "rule", "system"]], BeforeValidator(_listed)] | None = None
    kind: Annotated[list[Literal["news", "comment"]], BeforeValidator(_listed)] | None = None
    """Any of the alert's kinds."""
    min_severity: Literal["warning", "critical"] = "warning"
    then: Literal["stop", "continue"] = "stop"
    """Whether routes below this one are looked at as well."""
    escalate: Escalation | None = None


class NotifyFile(_Strict):
    """The file."""

    receivers: list[Receiver] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    default: Names | None = None
    """Who is told where no route matches; all receivers if it is left out."""

    @model_validator(mode="after")
    def _names_fit(self) -> NotifyFile:
        names = [r.name for r in self.receivers]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"receivers: the name {twice[0]!r} is used twice")
        for place, name in self._uses():
            if name not in names:
                known = ", ".join(names) or "none"
                raise ValueError(f"{place}: there is no receiver {name!r} (receivers of this file: {known})")
        return self

    def _uses(self) -> Iterator[tuple[str, str]]:
        for i, route in enumerate(self.routes):
            for name in route.receivers:
                yield f"routes.{i}.receivers", name
            for name in route.escalate.receivers if route.escalate else ():
                yield f"routes.{i}.escalate.receivers", name
        for name in self.default or ():
            yield "default", name


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """The file, with the settings that sending needs."""

    file: NotifyFile
    settings: Settings

    def receiver(self, name: str) -> Receiver | None:
        return next((r for r in self.file.receivers if r.name == name), None)


@dataclass(frozen=True, slots=True)
class Target:
    """What routing looks at."""

    series: str
    type: str
    severity: str
    kinds: tuple[int, ...]

    @classmethod
    def of(cls, alert: Mapping[str, Any]) -> Target:
        """The target of a row of ``alerts``."""
        return cls(alert["fingerprint"], alert["type"], alert["severity"], tuple(alert["kinds"]))


@dataclass(frozen=True, slots=True)
class Step:
    """What one route said to an alert, for people who ask why somebody was told."""

    route: str
    matched: bool
    why: str


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
        for place, value in _secrets(config.file):
            try:
                reveal(value)
            except SettingsError as e:
                raise SettingsError(f"{path}: {place}: {e}") from None
    return config


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


# --- routing ---------------------------------------------------------------------------------------------------------


def route(config: NotifyConfig, target: Target) -> list[Receiver]:
    """Who is told, each once, in the order of the routes."""
    return explain_route(config, target)[0]


def escalations(config: NotifyConfig, target: Target) -> list[Escalation]:
    """Who else is told if nobody acknowledges, of the routes that match."""
    return [r.escalate for r in _matching(config, target) if r.escalate is not None]


def explain_route(config: NotifyConfig, target: Target) -> tuple[list[Receiver], list[Step]]:
    """Who is told, and what each route said."""
    steps: list[Step] = []
    if not _notified(target):
        return [], [Step("-", False, "alerts of severity info are shown, not notified")]
    names: list[str] = []
    matched = stopped = False
    for i, r in enumerate(config.file.routes):
        label = f"routes.{i}"
        if stopped:
            steps.append(Step(label, False, "not looked at: a route above ended the search"))
            continue
        why = _refuses(r, target)
        if why is None:
            matched, stopped = True, r.then == "stop"
            names += r.receivers
            steps.append(Step(label, True, f"tells {', '.join(r.receivers) or 'nobody'}, then {r.then}s"))
        else:
            steps.append(Step(label, False, why))
    if not matched:
        default = config.file.default
        names = [r.name for r in config.file.receivers] if default is None else default
        why = "no route matched: tells " + (", ".join(names) or "nobody")
        steps.append(Step("default", True, why))
    found = [config.receiver(n) for n in dict.fromkeys(names)]
    return [r for r in found if r is not None], steps


def _matching(config: NotifyConfig, target: Target) -> Iterator[Route]:
    if not _notified(target):
        return
    for r in config.file.routes:
        if _refuses(r, target) is None:
            yield r
            if r.then == "stop":
                return


def _notified(target: Target) -> bool:
    return _rank(target.severity) >= _rank("warning")


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def _refuses(r: Route, target: Target) -> str | None:
    """Why a route does not match; None if it does."""
    if r.series is not None and not any(fnmatchcase(target.series, p) for p in r.series):
        return f"series {target.series} is none of {', '.join(r.series)}"
    if r.type is not None and target.type not in r.type:
        return f"type {target.type} is none of {', '.join(r.type)}"
    kinds = {Kind(k).name.lower() for k in target.kinds}
    if r.kind is not None and not kinds & set(r.kind):
        return f"kinds {', '.join(sorted(kinds)) or 'none'}: none of {', '.join(r.kind)}"
    if _rank(target.severity) < _rank(r.min_severity):
        return f"severity {target.severity} is below {r.min_severity}"
    return None
