"""Labelled files of one's own: names, words, numbers with a mapping, and what annotation tools export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from barometer.errors import BarometerError
from barometer.vocabulary import SENTIMENTS
from models.cli import app
from models.data.label_files import WORDS, LabelForm, check_labels, read_labelled
from models.errors import TrainingDataError
from models.labels import load_topics

TOPICS = [t.id for t in load_topics()]


def read(path: Path, text: str | list[Any], **how: Any) -> tuple[list[str | None], list[str]]:
    """The sentiments of the texts that have a label, and what is said."""
    path.write_text(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False), "utf-8")
    said: list[str] = []
    found = read_labelled(str(path), TOPICS, LabelForm(**how), said.append)
    return [SENTIMENTS[e.sentiment[0]] if e.sentiment else None for e in found], said[1:]


def test_names_in_any_case_and_words_that_say_the_same(tmp_path: Path) -> None:
    for ours, words in WORDS.items():
        rows = "".join(f"公司公告,{w}\n" for w in (ours, ours.upper(), f" {ours.title()} ", *words))
        assert set(read(tmp_path / "a.csv", "text,sentiment\n" + rows)[0]) == {ours}


def test_numbers_are_labels_only_when_they_are_mapped(tmp_path: Path) -> None:
    text = "text,label\n跌停,2\n涨停,0\n年会,1.0\n"
    with pytest.raises(TrainingDataError, match=r"a\.csv:2: label is '2', none of .*--label 2=negative"):
        read(tmp_path / "a.csv", text, rename={"sentiment": "label"})
    labels = check_labels({"2": "negative", "0": "positive", "1": "neutral"})
    found, _ = read(tmp_path / "a.csv", text, rename={"sentiment": "label"}, labels=labels)
    assert found == ["negative", "positive", "neutral"]
    with pytest.raises(TrainingDataError, match="--label 1=bad: use negative, neutral, positive"):
        check_labels({"1": "bad"})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("text,label\na,negative\n", "no row has a label: .*--map sentiment=COLUMN.*there are: text, label"),
        ("text,sentiment\na,\nb,nan\n", "no row has a label"),
        ("text,sentiment\n", "no row has a label"),
        ("", "no row has a label"),
        ("text,sentiment\na,angry\n", r"a\.csv:2: sentiment is 'angry', none of negative, neutral, positive"),
        ("text,topics\na,weather\n", r"a\.csv:2: unknown topic 'weather'; use market"),
        ("text,sentiment,kind\na,negative,tweet\n", r"a\.csv:2: kind must be news or comment"),
        ("text,sentiment\na,negative\nb\n", r"a\.csv:3: 1 cells"),
        ("body,sentiment\na,negative\n", "has no text; .*--map text=COLUMN"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(BarometerError, match=error):
        read(tmp_path / "a.csv", text)


def test_topics_by_id_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    zh = load_topics()[1].zh
    path.write_text(f"text,topics\na,market|{zh}\nb,\nc,{load_topics()[2].en.upper()}\n", "utf-8")
    found = read_labelled(str(path), TOPICS)
    said = [{t for t, (is_, _) in e.topics.items() if is_} for e in found]
    assert said == [{"market", TOPICS[1]}, set(), {TOPICS[2]}]
    assert all(set(e.topics) == set(TOPICS) for e in found)


def test_doccano(tmp_path: Path) -> None:
    rows = [["negative"], ["positive"], [], ["negative", "positive"], ["NEUTRAL", "neutral"]]
    text = "\n".join(json.dumps({"text": f"第{i}条", "label": labels}) for i, labels in enumerate(rows))
    found, said = read(tmp_path / "a.jsonl", text, rename={"sentiment": "label"})
    assert found == ["negative", "positive", "neutral"]
    assert said == ["1 row left out: no label", "1 row left out: several labels that contradict each other"]


def annotation(choice: str | None, **more: Any) -> dict[str, Any]:
    result = [{"from_name": "sentiment", "type": "choices", "value": {"choices": [choice]}}] if choice else []
    return {"result": result, **more}


def test_label_studio(tmp_path: Path) -> None:
    made = [
        [annotation("利空")],
        [annotation("利好"), annotation("利好")],
        [annotation("利空", was_cancelled=True)],
        [annotation("利空", was_cancelled=True), annotation("中性", was_cancelled=False)],
        [annotation("利空"), annotation("利好")],
        [annotation(None)],
        [],
        [annotation("利空", reviews=[{"accepted": True}, {"accepted": False}])],
    ]
    tasks = [{"id": i, "data": {"text": f"第{i}条"}, "annotations": a, "predictions": []} for i, a in enumerate(made)]
    found, said = read(tmp_path / "a.json", tasks)
    assert found == ["negative", "positive", "neutral"]
    assert sorted(said) == [
        "1 row left out: annotators disagree",
        "2 rows left out: cancelled or rejected by the annotator",
        "2 rows left out: no label",
    ]


def test_flat_exports(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "a", "sentiment": {"choices": ["negative"]}},
        {"text": "b", "sentiment": "利好", "was_cancelled": True},
        {"text": "c", "sentiment": "利好", "answer": "reject"},
        {"text": "d", "sentiment": "利好", "answer": "accept"},
        {"text": "e", "sentiment": "利空", "status": "discarded"},
    ]
    assert read(tmp_path / "a.json", rows)[0] == ["negative", "positive"]
    quoted = 'text,sentiment\na,"{""choices"": [""negative""]}"\nb,"[""positive""]"\n'
    assert read(tmp_path / "b.csv", quoted)[0] == ["negative", "positive"]


def test_the_command_never_shows_an_empty_table(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,评分\n公司被立案调查，股价跌停,利空\n净利润大增，再创新高,2\n", "gbk")
    command = ["evaluate", "--data", str(file), "--threads", "1", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert "no row has a label" in str(result.exception)
    result = CliRunner().invoke(app, [*command, "--map", "sentiment=评分", "--label", "2=positive"])
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["sets"]["a"]["sentiment"]["n"] == 2
