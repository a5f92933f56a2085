"""Settings: precedence, messages that help, and documentation of every one."""

import re
from pathlib import Path

import pytest

from barometer.errors import SettingsError
from barometer.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


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
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BAROMETER_{name}", value)
    with pytest.raises(SettingsError) as e:
        load_settings()
    assert f"BAROMETER_{name}" in str(e.value)
    assert says in str(e.value)


def test_a_misspelt_key_of_the_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "b.yaml"
    config.write_text("bucket_second: 60\n")
    monkeypatch.setenv("BAROMETER_CONFIG", str(config))
    with pytest.raises(SettingsError, match="bucket_second"):
        load_settings()


@pytest.mark.parametrize("content", ["- a\n", "a: [\n"])
def test_a_broken_file_is_named(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "b.yaml"
    config.write_text(content)
    monkeypatch.setenv("BAROMETER_CONFIG", str(config))
    with pytest.raises(SettingsError, match=re.escape(str(config))):
        load_settings()


def test_every_setting_has_its_heading_in_the_docs() -> None:
    headings = set(re.findall(r"^### `(\w+)`", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.M))
    assert headings == set(Settings.model_fields)
