"""The file of receivers and routes (YAML; ``docs/notify.md``).

Without a file nobody is notified, and alerts are on the dashboard only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
import yaml
from pydantic import Field, SecretStr, ValidationError, model_validator

from barometer.errors import SettingsError
from barometer.settings import Settings
from monitor.notify.channels import ChannelConfig
from monitor.notify.policy import DUTY, LevelRule, Names, QuietHours, Roster, Route, SeriesGuide, Strict
from monitor.notify.secrets import reveal

log = structlog.get_logger(__name__)


class Receiver(Strict):
    """People, or a machine, who are notified together."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\s/]+$")
    channels: list[ChannelConfig] = Field(min_length=1)
    lang: Literal["zh", "en", "both"] = "zh"
    send_resolved: bool = True
    quiet_hours: str | None = None
    """A name of ``quiet_hours``: when they are not notified."""


class NotifyFile(Strict):
    """The whole file."""

    receivers: list[Receiver] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    default: Names | None = None
    """Receivers where no route matches; all if it is left out."""
    quiet_hours: dict[str, QuietHours] = Field(default_factory=dict)
    rosters: list[Roster] = Field(default_factory=list)
    series: list[SeriesGuide] = Field(default_factory=list)
    """Runbooks and contacts."""
    levels: list[LevelRule] = Field(default_factory=list)
    """Which level an alert gets: the first that fits."""
    overdue: Names | None = None
    """Receivers for overdue steps; those of the alert's routes if it is left out."""

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


def _secrets(file: NotifyFile) -> Iterator[tuple[str, SecretStr]]:
    for i, receiver in enumerate(file.receivers):
        for j, channel in enumerate(receiver.channels):
            place = f"receivers.{i} ({receiver.name}).channels.{j}"
            for name, value in channel:
                if isinstance(value, SecretStr):
                    yield f"{place}.{name}", value
                elif isinstance(value, dict):
                    yield from ((f"{place}.{name}.{key}", x) for key, x in value.items())
