"""What a command says when something outside fails: a line for people, no traceback."""

from __future__ import annotations

import sys

import pytest

from app.cli import main
from barometer.settings import settings


@pytest.mark.parametrize("command", [["db", "upgrade"], ["status"], ["up"]])
def test_a_database_that_is_away(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAROMETER_DATABASE_URL", "postgresql://barometer:hidden@127.0.0.1:1/none")
    monkeypatch.setattr(sys, "argv", ["barometer", *command])
    settings.cache_clear()
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        settings.cache_clear()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "BAROMETER_DATABASE_URL" in said
    assert "run the command again" in said
    assert "Traceback" not in said
    assert "hidden" not in said
