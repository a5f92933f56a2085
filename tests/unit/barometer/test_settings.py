"""Settings: precedence, messages that help, and documentation of every one."""

import re
from pathlib import Path

import pytest

from barometer.errors import SettingsError, StoreError
from barometer.settings import Settings, load_settings
from barometer.store.engine import Store

ROOT = Path(__file__).resolve().parents[3]


def test_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "b.yaml"
    config.write_text("bucket_seconds: 60\nlateness_seconds: 7\n")
    monkeypatch.setenv("BAROMETER_CONFIG", str(config))
    monkeypatch.setenv("BAROMETER_LATENESS_SECONDS", "9")
    s = load_settings()
    assert (s.bucket_seconds, s.lateness_seconds, s.worker_batch) == (60, 9, 256)


def test_a_secret_comes_from_a_file_and_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "key"
    secret.write_text("hush-hush\n")
    monkeypatch.setenv("BAROMETER_SECRET_KEY_FILE", str(secret))
    s = load_settings()
    assert s.secret_key is not None
    assert s.secret_key.get_secret_value() == "hush-hush"
    assert "hush" not in repr(s)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BUCKET_SECONDS", "700", "divide a day"),
        ("BUCKET_SECONDS", "ten", "integer"),
        ("TIMEZONE", "Mars/Base", "Asia/Shanghai"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("LEASE_SECONDS", "inf", "finite number"),
        ("LAG_ALARM_SECONDS", "nan", "finite number"),
        ("SMTP_PORT", "70000", "65535"),
        ("MIN_TIME", "2000-01-01T00:00:00", "with an offset"),
        ("MIN_TIME", "yesterday", "with an offset"),
        ("MIN_TIME", "2999-01-01T00:00:00Z", "in the future"),
        ("TOPIC_DOCUMENTS", "财经", "no name of a topic"),
        ("TOPIC_DLQ", "..", "no name of a topic"),
        ("TOPIC_DLQ", "barometer.documents", "both barometer.documents"),
        ("CONSUMER_GROUP", " ", "a name is needed"),
        ("PUBLIC_URL", "javascript:alert(1)", "no address of a dashboard"),
        ("PUBLIC_URL", "barometer.bank.example", "no address of a dashboard"),
        ("PUBLIC_URL", "https://me:secret@bank.example", "no address of a dashboard"),
        ("HEARTBEAT_URL", "ftp://x.example/secret", "no http or https address"),
        ("LEVEL_STEPS", "{broken", "JSON"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BAROMETER_{name}", value)
    with pytest.raises(SettingsError) as e:
        load_settings()
    assert name.lower() in str(e.value)
    assert says in str(e.value)
    assert "\n" not in str(e.value), "one line"
    assert "secret" not in str(e.value)


def test_a_misspelt_key_of_the_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "b.yaml"
    config.write_text("bucket_second: 60\n")
    monkeypatch.setenv("BAROMETER_CONFIG", str(config))
    with pytest.raises(SettingsError, match="bucket_second"):
        load_settings()


@pytest.mark.parametrize("content", [b"- a\n", b"a: [\n", "timezone: 上海".encode("gb18030"), b"a: " + b"[" * 5_000])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "b.yaml"
    config.write_bytes(content)
    monkeypatch.setenv("BAROMETER_CONFIG", str(config))
    with pytest.raises(SettingsError, match=re.escape(str(config))):
        load_settings()


def test_every_setting_has_its_heading_in_the_docs() -> None:
    headings = set(re.findall(r"^### `(\w+)`", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.M))
    assert headings == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql+psycopg2://me:hush@host/db", "the driver of postgresql+psycopg2"),
        ("mysql://me:hush@host/db", "mysql is not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:////proc/none/store.db", "cannot make the folder /proc/none"),
        ("sqlite:///{folder}", "is a folder"),
        ("nonsense", "cannot read"),
    ],
)
def test_a_wrong_address_of_the_store_is_one_line(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as e:
        Store(url.replace("{folder}", str(tmp_path)))
    assert says in str(e.value)
    assert "\n" not in str(e.value)
    assert "hush" not in str(e.value)
