"""Every setting of Barometer, in one place.

Order of precedence: environment (``BAROMETER_<NAME>``), then a file of secrets per setting
(``BAROMETER_<NAME>_FILE``), then the YAML file named by ``BAROMETER_CONFIG`` (default ``barometer.yaml`` in the
working directory, if it is there), then the defaults below. ``docs/settings.md`` has a heading for each.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from barometer.errors import SettingsError
from barometer.kafka_options import wrong_addresses, wrong_options, wrong_together
from barometer.vocabulary import STEPS, Role

PREFIX = "BAROMETER_"
MESSAGE_PATH = r"\$|[^.\s]+(?:\.[^.\s]+){0,9}"
"""What ``message_path`` may be: names of fields with dots between them, or the message itself."""
LEVEL_STEPS: dict[str, dict[str, float]] = {
    "ordinary": {"assess": 240, "respond": 1440},
    "major": {"assess": 60, "respond": 240, "report": 720, "review": 10_080},
    "grave": {"assess": 30, "respond": 60, "report": 120, "review": 10_080},
}


class _YamlSource(PydanticBaseSettingsSource):
    """The YAML file; unknown keys are errors, so that a typing mistake does not pass for a default."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        named = os.environ.get(PREFIX + "CONFIG")
        path = Path(named or "barometer.yaml")
        if not path.is_file():
            if named:
                raise SettingsError(f"{PREFIX}CONFIG names {path}, which is not there")
            return {}
        try:
            data = yaml.safe_load(path.read_text("utf-8")) or {}
        except (yaml.YAMLError, RecursionError) as e:
            raise SettingsError(f"{path}: not valid YAML: {' '.join(str(e).split())}") from e
        except UnicodeDecodeError as e:
            raise SettingsError(f"{path}: not UTF-8 (byte {e.start + 1}): save it as UTF-8") from None
        except OSError as e:
            raise SettingsError(f"{path}: cannot be read: {e.strerror}") from e
        if not isinstance(data, dict):
            raise SettingsError(f"{path}: expected a mapping of settings at the top")
        return data


class _FileSource(PydanticBaseSettingsSource):
    """``BAROMETER_X_FILE=/run/secrets/x``: the way that container engines hand over secrets."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            variable = f"{PREFIX}{name.upper()}_FILE"
            path = os.environ.get(variable)
            if path:
                try:
                    text = Path(path).read_text("utf-8").strip()
                except OSError as e:
                    raise SettingsError(f"{variable}: cannot read {path}: {e.strerror}") from e
                except UnicodeDecodeError as e:
                    raise SettingsError(f"{variable}: {path} is not UTF-8 (byte {e.start + 1})") from None
                try:
                    out[name] = self.decode_complex_value(name, field, text) if self.field_is_complex(field) else text
                except json.JSONDecodeError as e:
                    raise SettingsError(f"{variable}: {path}: {_not_json(e)}") from None
        return out


def _not_json(error: json.JSONDecodeError) -> str:
    """Where and why; nothing of the text, which may hold a password."""
    return f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"


class Settings(BaseSettings):
    """All settings; see ``docs/settings.md`` for what each means to an operator."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", validate_default=True, allow_inf_nan=False)

    # Where things are
    database_url: str = Field("sqlite:///barometer.db", repr=False)  # may hold a password
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """For every kafka-python client that knows them: security_protocol, sasl_mechanism, ssl_cafile ..."""
    kafka_password: SecretStr | None = None
    kafka_oauth_token_url: str = ""
    """Empty: no tokens; else where client id and secret are given for an access token."""
    kafka_oauth_client_id: str = ""
    kafka_oauth_client_secret: SecretStr | None = None
    kafka_oauth_scope: str = ""
    kafka_oauth_cafile: Path | None = None
    topic_documents: str = "barometer.documents"
    topic_dlq: str = "barometer.documents.dlq"
    topic_partitions: int = Field(12, ge=1, le=4096)
    topic_replication: int = Field(0, ge=0, le=32)
    """0: the broker's default."""
    topic_min_insync: int = Field(0, ge=0, le=32)
    """0: the broker's default."""
    consumer_group: str = "barometer"
    model_path: Path | None = None
    topics_file: Path | None = None

    # Time
    timezone: str = "Asia/Shanghai"
    bucket_seconds: int = Field(600, ge=10, le=86_400)
    lateness_seconds: int = Field(120, ge=0, le=86_400)
    min_time: str = "2000-01-01T00:00:00Z"
    copy_window_hours: float = Field(48.0, gt=0)
    progress_interval_seconds: float = Field(3.0, gt=0)
    progress_from: Literal["records", "timestamps"] = "records"
    message_framing: Literal["none", "schema_registry"] = "none"
    message_path: str = Field("", pattern=rf"^({MESSAGE_PATH})?$")
    holiday_country: str = "CN"
    exchange: str = "XSHG"
    extra_workdays: list[str] = Field(default_factory=list)
    extra_days_off: list[str] = Field(default_factory=list)

    # Worker
    worker_batch: int = Field(256, ge=1, le=10_000)
    worker_linger_ms: int = Field(100, ge=0, le=10_000)
    worker_poll_interval_seconds: int = Field(300, ge=10)
    session_timeout_ms: int = Field(10_000, ge=1_000)
    scorer_backend: Literal["auto", "onnx", "torch"] = "auto"
    scorer_threads: int = Field(0, ge=0)
    """0: as many as there are cores."""
    author_salt: SecretStr = SecretStr("")

    # Monitor
    lease_seconds: float = Field(15.0, ge=2)
    tick_seconds: float = Field(2.0, gt=0)
    lag_alarm_records: int = Field(10_000, ge=1)
    lag_alarm_seconds: float = Field(300.0, gt=0)
    silent_source_factor: float = Field(6.0, ge=1)
    unscored_alarm_share: float = Field(0.3, gt=0, le=1)
    notify_file: Path | None = None
    rules_file: Path | None = None
    rule_hold_hours: float = Field(12.0, gt=0, le=24 * 30)
    notify_attempts: int = Field(12, ge=1)
    repeat_interval_minutes: float = Field(240.0, gt=0)
    level_steps: dict[str, dict[str, float]] = Field(default_factory=lambda: dict(LEVEL_STEPS))
    """Minutes from the moment that an alert's level was set, by level and step."""
    leader_gone_minutes: float = Field(5.0, gt=0)
    heartbeat_url: SecretStr | None = None
    heartbeat_seconds: float = Field(60.0, ge=1)
    detector_open: float = Field(3.6, gt=0)
    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(25, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_security: Literal["auto", "tls", "starttls", "none"] = "auto"
    mail_from: str = "barometer@localhost"

    # Dashboard
    public_url: str = "http://127.0.0.1:8050"
    dashboard_host: str = "127.0.0.1"
    dashboard_port: int = Field(8050, ge=0, le=65535)
    dashboard_workers: int = Field(2, ge=1)
    secret_key: SecretStr | None = None
    session_hours: float = Field(12.0, gt=0)
    session_idle_minutes: float = Field(60.0, ge=0)
    """0: a session lasts until its hours are over, however long nobody does anything."""
    login_limit: str = "10 per minute"
    login_limit_address: str = "100 per minute"
    api_limit: str = "600 per minute"
    trusted_proxies: int = Field(0, ge=0, le=10)
    secure_cookies: bool = False
    password_login: bool = True
    oidc_issuer: str = ""
    """Empty: nobody logs in by an OpenID provider."""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    oidc_scopes: str = "openid profile email"
    oidc_name_claim: str = "preferred_username"
    oidc_role_claim: str = "groups"
    oidc_roles: dict[str, Role] = Field(default_factory=dict)
    oidc_default_role: Literal["", Role] = ""
    oidc_label: str = ""
    export_rows: int = Field(50_000, ge=1, le=1_000_000)
    explain_texts: bool = True

    # Operations
    metrics_host: str = "127.0.0.1"
    metrics_port_worker: int = Field(9101, ge=0, le=65535)
    metrics_port_monitor: int = Field(9102, ge=0, le=65535)
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    retention_days: int = Field(0, ge=0)
    """0: documents are kept for ever."""

    _files: dict[str, Path] = PrivateAttr(default_factory=dict)
    _access: tuple[dict[str, Any], str] | None = PrivateAttr(default=None)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        for name in type(self).model_fields:
            variable = PREFIX + name.upper()
            path = os.environ.get(f"{variable}_FILE")
            if path and name not in values and variable not in os.environ:
                self._files[name] = Path(path)

    def keep_access(self, options: dict[str, Any], secret: str) -> None:
        """Remember the options for Kafka that were right, as read from files last."""
        self._access = (options, secret)

    def kept_access(self) -> tuple[dict[str, Any], str] | None:
        """What was remembered: (options, client secret)."""
        return self._access

    def file_of(self, name: str) -> Path | None:
        """The file of secrets that a setting was read from, for whoever reads it again; None if it came otherwise."""
        return self._files.get(name)

    @field_validator("kafka_bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        if wrong := wrong_addresses(value):
            raise ValueError("; ".join(wrong))
        return value

    @field_validator("kafka_options")
    @classmethod
    def _known_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        if wrong := wrong_options(value):
            raise ValueError("; ".join(wrong))
        return value

    @model_validator(mode="after")
    def _options_go_together(self) -> Settings:
        password = self.kafka_password is not None and bool(self.kafka_password.get_secret_value())
        oauth = bool(self.kafka_oauth_token_url)
        if wrong := wrong_together(self.kafka_options, password=password, oauth=oauth):
            raise ValueError(f"kafka_options ({PREFIX}KAFKA_OPTIONS): {'; '.join(wrong)}")
        if oauth:
            _safe_address("kafka_oauth_token_url", self.kafka_oauth_token_url)
            if not self.kafka_oauth_client_id or self.kafka_oauth_client_secret is None:
                raise ValueError("kafka_oauth_token_url needs kafka_oauth_client_id and kafka_oauth_client_secret")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"unknown time zone {value!r}; use a name like Asia/Shanghai") from e
        return value

    @field_validator("min_time")
    @classmethod
    def _past_time(cls, value: str) -> str:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise ValueError(f"{value!r} is no time with an offset, like 2000-01-01T00:00:00Z")
        if at > datetime.now(UTC):
            raise ValueError(f"{value} is in the future: every text would be a dead letter")
        return value

    @field_validator("topic_documents", "topic_dlq")
    @classmethod
    def _topic_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in (".", ".."):
            raise ValueError(f"{value!r} is no name of a topic: letters, digits, '.', '_' and '-', at most 249")
        return value

    @field_validator("consumer_group")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a name is needed: all workers of one store share it")
        return value

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not _is_web_address(value):
            shown = "this" if "@" in value else repr(value)  # it may hold a password
            raise ValueError(f"{shown} is no address of a dashboard, like https://barometer.bank.example")
        path = urlsplit(value).path.rstrip("/")
        if path and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", path):
            raise ValueError(f"the path {path!r} may have letters, digits, '.', '_', '~' and '-' between slashes")
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _secret_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value() and not _is_web_address(value.get_secret_value(), query=True):
            raise ValueError("no http or https address")
        return value

    @model_validator(mode="after")
    def _two_topics(self) -> Settings:
        if self.topic_documents == self.topic_dlq:
            raise ValueError(
                f"topic_documents and topic_dlq are both {self.topic_dlq}: every dead letter would be read as a text"
            )
        return self

    @field_validator("bucket_seconds")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if 86_400 % value:
            raise ValueError("must divide a day (86400 seconds) evenly, for example 60, 600, 3600 or 86400")
        return value

    @field_validator("extra_workdays", "extra_days_off", mode="before")
    @classmethod
    def _dates(cls, value: Any) -> Any:
        days = [str(day) for day in value] if isinstance(value, list) else []  # YAML makes dates of them
        for day in days:
            try:
                date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"{day!r} is no date like 2027-02-06") from None
        return days if isinstance(value, list) else value

    @field_validator("holiday_country")
    @classmethod
    def _known_country(cls, value: str) -> str:
        if value and value != "CN":
            import holidays  # only where it is asked for

            if value not in holidays.list_supported_countries():
                raise ValueError(f"no calendar of {value!r} is known: use a code like CN, or leave it empty")
        return value

    @field_validator("exchange")
    @classmethod
    def _known_exchange(cls, value: str) -> str:
        if value and value != "XSHG":
            import holidays  # only where it is asked for

            if value not in holidays.list_supported_financial():
                raise ValueError(f"no calendar of {value!r} is known: use a code like XSHG or XNYS, or leave it empty")
        return value

    @field_validator("level_steps")
    @classmethod
    def _known_steps(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for level, steps in value.items():
            if level not in LEVEL_STEPS:
                raise ValueError(f"level {level!r}: use {', '.join(LEVEL_STEPS)}")
            for step, minutes in steps.items():
                if step not in STEPS:
                    raise ValueError(f"{level}: step {step!r}: use {', '.join(STEPS)}")
                if not 0 < minutes <= 525_600:
                    raise ValueError(f"{level}.{step}: minutes, more than 0 and at most a year")
        return {**LEVEL_STEPS, **value}

    @field_validator("login_limit", "login_limit_address", "api_limit")
    @classmethod
    def _known_limit(cls, value: str) -> str:
        from limits import parse_many

        try:
            parse_many(value)
        except ValueError:
            raise ValueError(f"cannot read {value!r}: write it like '10 per minute' or '5/minute; 50/hour'") from None
        return value

    @model_validator(mode="after")
    def _provider_is_whole(self) -> Settings:
        if not self.oidc_issuer:
            if not self.password_login:
                raise ValueError("password_login is false and there is no oidc_issuer: nobody could log in")
            return self
        _safe_address("oidc_issuer", self.oidc_issuer)
        if not self.oidc_client_id:
            raise ValueError("oidc_issuer needs oidc_client_id: the name under which the provider knows this dashboard")
        if not self.oidc_roles and not self.oidc_default_role:
            raise ValueError("oidc_issuer needs oidc_roles or oidc_default_role: nobody would have a role")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("oidc_scopes must have openid in it")
        return self

    @model_validator(mode="after")
    def _in_sync_fits_replication(self) -> Settings:
        if self.topic_replication and self.topic_min_insync > self.topic_replication:
            raise ValueError("topic_min_insync must not be more than topic_replication: no text could ever be written")
        return self

    @model_validator(mode="after")
    def _session_fits_poll(self) -> Settings:
        if self.worker_poll_interval_seconds * 1000 <= self.session_timeout_ms:
            raise ValueError("worker_poll_interval_seconds must be longer than session_timeout_ms")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _FileSource(settings_cls), _YamlSource(settings_cls)

    @property
    def bucket_ms(self) -> int:
        return self.bucket_seconds * 1000

    @property
    def lateness_ms(self) -> int:
        return self.lateness_seconds * 1000

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def smtp_encryption(self) -> Literal["tls", "starttls", "none"]:
        """How the mail server is spoken to; by its port where the setting leaves it open."""
        if self.smtp_security != "auto":
            return self.smtp_security
        return {465: "tls", 587: "starttls"}.get(self.smtp_port, "none")  # type: ignore[return-value]

    def kafka(self) -> dict[str, Any]:
        """Keyword arguments for a plain kafka-python client, as tests and benches make them; the product makes its
        clients by :mod:`barometer.broker.clients`."""
        out: dict[str, Any] = {"bootstrap_servers": self.kafka_bootstrap.split(","), **self.kafka_options}
        if self.kafka_password is not None:
            out["sasl_plain_password"] = self.kafka_password.get_secret_value()
        return out


def _is_web_address(text: str, *, query: bool = False) -> bool:
    """http or https, a host, no login in it."""
    try:
        where = urlsplit(text)
        _ = where.port
    except ValueError:
        return False
    if where.scheme not in ("http", "https") or not where.hostname or where.username is not None:
        return False
    return query or not (where.query or where.fragment)


def _safe_address(name: str, url: str) -> None:
    """Raises ValueError unless the address is https, or on this machine."""
    where = urlsplit(url)
    near = where.hostname in ("127.0.0.1", "::1", "localhost")
    if where.scheme != "https" and not (where.scheme == "http" and near):
        raise ValueError(f"{name} must be an https address: what it says opens the door")


def load_settings(**overrides: Any) -> Settings:
    """Settings from all sources; ``overrides`` win.

    Raises:
        SettingsError: names each setting that is wrong, what it was, and what is expected.
    """
    try:
        return Settings(**overrides)
    except ValidationError as e:
        lines = []
        for error in e.errors():
            name = ".".join(str(p) for p in error["loc"])
            what = error["msg"].removeprefix("Value error, ")
            lines.append(f"{name} ({PREFIX}{name.upper()}): {what}" if name else what)
        if len(lines) == 1:
            raise SettingsError(f"wrong setting: {lines[0]}") from None
        raise SettingsError("wrong settings:\n  " + "\n  ".join(lines)) from None
    except SourceError as e:  # a variable that should be JSON and is not; the message itself may hold a password
        name = next((n for n in Settings.model_fields if f'"{n}"' in str(e)), "")
        why = _not_json(e.__cause__) if isinstance(e.__cause__, json.JSONDecodeError) else "cannot be read"
        raise SettingsError(f"wrong setting: {name} ({PREFIX}{name.upper()}): {why}") from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return load_settings()
