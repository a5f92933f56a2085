from __future__ import annotations

from pathlib import Path

import pytest

from barometer.errors import SettingsError
from barometer.rules import load_rules
from barometer.watched_file import WatchedFile

GOOD = "rules: [{name: run, title: {zh: 挤兑, en: run}, any: [%s]}]"


def test_the_last_good_file_stays_in_force(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(GOOD % "挤兑", "utf-8")
    watched = WatchedFile("rules_file", file, lambda: load_rules(file), look_seconds=0.0)
    first = watched.current()
    assert first.rules[0].any == ("挤兑",)
    assert (watched.fault, watched.changed_at) == (None, 0)
    for wrong in ("", "rules: [", "rules: 7"):
        file.write_text(wrong, "utf-8")
        assert watched.current() is first
        assert watched.fault is not None
        assert "rules_file" in watched.fault
    file.unlink()
    assert watched.current() is first
    file.write_text(GOOD % "跑路", "utf-8")
    assert watched.current().rules[0].any == ("跑路",)
    assert watched.fault is None
    assert watched.changed_at > 0


def test_a_first_file_that_is_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="rules_file"):
        WatchedFile("rules_file", tmp_path / "none.yaml", lambda: load_rules(tmp_path / "none.yaml"))
