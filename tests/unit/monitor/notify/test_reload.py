"""The file of receivers is read again when it changes, and a bad one changes nothing but the alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from barometer.errors import SettingsError
from barometer.settings import load_settings
from monitor.notify.reload import WatchedNotifyFile

A = "receivers: [{name: a, channels: [{type: mail, to: a@b.c}]}]"
B = "receivers: [{name: b, channels: [{type: feishu, url: 'env:ROBOT'}]}]"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "notify.yaml"
    path.write_text(A, "utf-8")
    return path


def watch(file: Path) -> WatchedNotifyFile:
    return WatchedNotifyFile(load_settings(notify_file=file), look_seconds=0.0)


def names(watched: WatchedNotifyFile) -> list[str]:
    return [r.name for r in watched.current().file.receivers]


def test_a_new_file_is_taken(file: Path) -> None:
    watched = watch(file)
    assert (names(watched), watched.changed_at) == (["a"], 0)
    file.write_text(A.replace("name: a", "name: c"), "utf-8")
    assert names(watched) == ["c"]
    assert watched.changed_at > 0
    assert watched.fault is None


@pytest.mark.parametrize("bad", ["receivers: [", "recievers: []", "receivers: [{name: a, channels: []}]", ""])
def test_a_bad_file_keeps_the_old_until_it_is_mended(file: Path, bad: str) -> None:
    watched = watch(file)
    file.write_text(bad, "utf-8")
    assert names(watched) == ["a"]
    assert watched.fault is not None
    assert "notify.yaml" in watched.fault
    assert watched.changed_at == 0
    file.write_text(A.replace("name: a", "name: c"), "utf-8")
    assert (names(watched), watched.fault) == (["c"], None)


def test_a_file_that_is_taken_back_is_no_fault_any_more(file: Path) -> None:
    watched = watch(file)
    file.write_text("receivers: [", "utf-8")
    assert names(watched) == ["a"]
    file.write_text(A, "utf-8")
    assert (names(watched), watched.fault) == (["a"], None)


def test_a_file_that_is_gone_keeps_the_old(file: Path) -> None:
    watched = watch(file)
    file.unlink()
    assert names(watched) == ["a"]
    assert "cannot read" in (watched.fault or "")


def test_a_secret_that_comes_later_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROBOT", raising=False)
    watched = watch(file)
    file.write_text(B, "utf-8")
    assert names(watched) == ["a"]
    assert "ROBOT is not set" in (watched.fault or "")
    monkeypatch.setenv("ROBOT", "http://127.0.0.1/x")
    assert (names(watched), watched.fault) == (["b"], None)


def test_the_fault_does_not_quote_the_file(file: Path) -> None:
    watched = watch(file)
    file.write_text("receivers:\n  - {name: a, url: https://hooks.test/t0ken: [\n", "utf-8")
    watched.current()
    assert "line 2" in (watched.fault or "")
    assert "t0ken" not in (watched.fault or "")


def test_the_first_file_must_be_right(file: Path) -> None:
    file.write_text("receivers: [", "utf-8")
    with pytest.raises(SettingsError):
        watch(file)


def test_it_is_not_looked_at_all_the_time(file: Path) -> None:
    watched = WatchedNotifyFile(load_settings(notify_file=file), look_seconds=60.0)
    file.unlink()
    assert names(watched) == ["a"]
    assert watched.fault is None


def test_without_a_file_nobody_is_told() -> None:
    assert names(WatchedNotifyFile(load_settings(), look_seconds=0.0)) == []
