"""What is made at first start, what is not made by looking, and what ends a command with an error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from app.cli import main
from barometer.errors import StoreError
from barometer.records import hash64
from barometer.settings import Settings, settings
from barometer.store.engine import Store
from barometer.store.made_secrets import author_salt
from barometer.store.tables import Document, Meta
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.support.stream import message, topic_of, totals, wait_for, worker

MakeSettings = Callable[..., Settings]


def test_a_salt_that_nobody_set_is_made_once_and_kept(store: Store, settings_for: MakeSettings) -> None:
    unset = settings_for(author_salt="")
    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(lambda _: author_salt(store, unset), range(12)))
    assert len(made) == 1
    (salt,) = made
    assert len(salt) >= 32
    with store.read() as c:
        assert c.execute(select(Meta.value).where(Meta.key == "author_salt")).scalar_one().encode() == salt
    assert author_salt(store, settings_for(author_salt="own")) == b"own"


def test_a_worker_without_a_salt_stores_no_name_that_could_be_guessed(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_for(broker, store.url.render_as_string(hide_password=False), author_salt="")
    with topic_of(settings) as topic:
        topic.send(message("楼市平稳", author="某用户"))
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 1)
    with store.read() as c:
        found = c.execute(select(Document.author_hash)).scalar_one()
    assert found == hash64("author", author_salt(store, settings), "某用户")
    assert found != hash64("author", b"", "某用户")


@pytest.mark.parametrize("command", [["status"], ["db", "current"], ["log", "show"], ["users", "list"]])
def test_looking_makes_nothing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAROMETER_DATABASE_URL", f"sqlite:///{tmp_path}/not/there/barometer.db")
    monkeypatch.setattr(sys, "argv", ["barometer", *command])
    settings.cache_clear()
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        settings.cache_clear()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"{tmp_path}/not/there/barometer.db" in said and "barometer db upgrade" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_made_by_who_writes(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.db"
    with pytest.raises(StoreError, match="no store at"):
        Store(f"sqlite:///{file}", make=False)
    Store(f"sqlite:///{file}").close()
    Store(f"sqlite:///{file}", make=False).close()


@pytest.mark.parametrize("rows", ["", "yesterday,楼市平稳\n5分钟前,股市大跌\n"], ids=["none", "no time"])
def test_a_backtest_without_a_text_fails(
    rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.csv"
    file.write_text("time,text,kind\n" + "".join(f"{x},news\n" for x in rows.splitlines()), "utf-8")
    monkeypatch.setattr(sys, "argv", ["barometer", "backtest", str(file), "--time-column", "time", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code
    assert str(file) in capsys.readouterr().err
