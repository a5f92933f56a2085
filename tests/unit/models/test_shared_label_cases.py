"""The labelled files and texts of the shared cases, by the commands that read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from barometer.vocabulary import SENTIMENTS
from models.cli import app as models_app
from models.data.label_files import LabelForm, read_labelled
from models.errors import TrainingDataError
from models.labels import load_topics
from monitor.cli import app as backtest_app
from monitor.rules.cli import app as rules_app

TOPICS = [t.id for t in load_topics()]


@pytest.fixture
def cases(shared_dir: Path) -> Path:
    if not (shared_dir / "cases").is_dir():
        pytest.skip(f"no cases in {shared_dir}")
    return shared_dir / "cases"


def sentiments(path: Path, how: LabelForm | None = None) -> list[str]:
    return [SENTIMENTS[e.sentiment[0]] for e in read_labelled(str(path), TOPICS, how)]


def test_labels(cases: Path) -> None:
    label = {"sentiment": "label"}
    assert sentiments(cases / "doccano.jsonl", LabelForm(rename=label)) == ["negative", "positive"]
    numbers = {"-1": "negative", "0": "neutral", "1": "positive"}
    assert sentiments(cases / "num_labels.csv", LabelForm(rename=label, labels=numbers)) == [
        "negative",
        "positive",
        "neutral",
    ]
    assert sentiments(cases / "zh_labels.csv") == ["negative", "positive", "neutral"]
    assert sentiments(cases / "cap_labels.csv") == ["negative", "positive"]
    assert sentiments(cases / "bom_labels.csv") == sentiments(cases / "nobom_labels.csv") == ["negative"]
    assert sentiments(cases / "ls_min.json") == ["negative", "positive"]
    for name in ("doccano.jsonl", "num_labels.csv", "gbk_labels.csv"):
        with pytest.raises(TrainingDataError, match="no row has a label"):
            read_labelled(str(cases / name), TOPICS)


def test_score(cases: Path) -> None:
    run = CliRunner()
    for name in ("gbk.csv", "utf16.csv", "semicolon.csv", "tab.csv"):
        result = run.invoke(models_app, ["score", str(cases / name), "--threads", "1"])
        assert result.exit_code == 0, result.exception
        assert [json.loads(x)["sentiment"] for x in result.stdout.splitlines()] == ["negative", "positive"], name
    for name in ("mediacrawler_comments.json", "mysql_escaped.csv"):
        assert run.invoke(models_app, ["score", str(cases / name), "--threads", "1"]).exit_code == 1
    more = ["--map", "text=content", "--map", "id=comment_id", "--keep", "nickname"]
    result = run.invoke(models_app, ["score", str(cases / "mediacrawler_comments.json"), *more])
    assert [(x["id"], x["nickname"]) for x in map(json.loads, result.stdout.splitlines())] == [
        ("c1", "甲"),
        ("c2", "乙"),
    ]


def test_backtest_and_rules(cases: Path) -> None:
    for name in ("gbk.csv", "utf16.csv", "semicolon.csv"):
        result = CliRunner().invoke(backtest_app, [str(cases / name), "--kind", "news"])
        assert result.exit_code == 0, result.exception
        assert "2 texts judged" in result.stderr
    result = CliRunner().invoke(rules_app, ["test", str(cases / "gbk_rules.csv")])
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout.splitlines()[0])["row"] == 2
