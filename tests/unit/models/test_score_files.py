"""``barometer score``: every line in gives one line out, whatever is in it."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from barometer.errors import BarometerError
from barometer.files import Form
from models.cli import app
from models.scoring.score_files import ScoreInput, line_of, read_lines, score_lines
from models.scoring.scorer import Scorer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(st.lists(st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\n", b"x").replace(b"\r", b"x"))))
def test_any_bytes_give_one_line_each(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Whatever stands beside a row that is a text: nothing is left out, nothing stops it."""
    file = tmp_path_factory.mktemp("any") / "a.jsonl"
    file.write_bytes(b'{"text": "a"}\n' + b"\n".join(lines))
    full = [x for x in lines if x.decode("utf-8", "surrogateescape").removeprefix("\ufeff").strip()]
    assert len(list(read_lines(str(file), Form("utf-8")))) == 1 + len(full)


@given(JSON)
def test_any_json_gives_a_text_or_a_reason(value: object) -> None:
    line = line_of(value)
    assert (line.reason is None) == (isinstance(value, dict) and isinstance(value.get("text"), str) and
                                     value.get("kind") in (None, "news", "comment", "unknown"))  # fmt: skip


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1))
def test_csv_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["text", "n"], ["first", "0"], *([t, "1"] for t in texts)])
    nothing = {"nan", "null", "none", "nat", "\\n", "#n/a", "#na", "<na>", "n/a"}
    wanted = ["" if t.isspace() or t.strip().lower() in nothing else t for t in texts]
    assert [x.text for x in read_lines(str(file))] == ["first", *wanted]


@pytest.mark.parametrize(
    ("value", "reason"),
    [({}, "text_missing"), ({"text": None}, "text_missing"), ({"text": 5}, "wrong_type"), ([], "wrong_type"),
     ({"text": "a", "kind": "tweet"}, "unknown_kind"), ({"text": "a", "lang": 5, "title": []}, None)],
)  # fmt: skip
def test_reasons(value: object, reason: str | None) -> None:
    assert line_of(value).reason == reason


def test_lone_surrogates_and_long_texts_are_mended() -> None:
    assert line_of({"text": "a\ud800b"}).text == "a?b"
    assert len(line_of({"text": "x" * 50_000}).text) == 20_000


def test_files_of_both_forms(tmp_path: Path) -> None:
    plain = tmp_path / "a.csv"
    plain.write_text("\ufefftext,kind,lang,title\n甲,news,zh,乙\n丙,,,\n", "utf-8")
    assert list(read_lines(str(plain))) == [ScoreInput("甲", "news", "zh", "乙"), ScoreInput("丙")]
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress('{"text": "甲"}\n\n{"text": "乙", "kind": "comment"}'.encode()))
    assert list(read_lines(str(packed))) == [ScoreInput("甲"), ScoreInput("乙", "comment")]


def test_a_file_without_texts_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("title,body\nx,y\n", "utf-8")
    with pytest.raises(BarometerError, match=r"the row has no text; .*--map text=COLUMN; there are: title, body"):
        list(read_lines(str(file)))
    with pytest.raises(BarometerError, match="No such file"):
        list(read_lines(str(tmp_path / "none.csv")))
    (tmp_path / "b.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(BarometerError, match=r"b\.csv\.gz: cannot be read"):
        list(read_lines(str(tmp_path / "b.csv.gz")))


def test_order_is_kept_and_reasons_are_said(default_scorer: Scorer) -> None:
    lines = [
        ScoreInput("沪指收涨"),
        ScoreInput(reason="broken_json"),
        ScoreInput(""),
        ScoreInput("Shares fell sharply", "news"),
    ]
    for batch in (1, 2, 100):
        out = list(score_lines(default_scorer, iter(lines), batch))
        assert [r["reason"] for r in out] == [None, "broken_json", "text_empty", None]
        assert [r["scored"] for r in out] == [True, False, False, True]
        assert out[1]["sentiment"] is None
        assert out[1]["sentiment_probabilities"] is None
        assert out[3]["sentiment"] == "negative"


def test_the_command_reads_standard_input() -> None:
    result = CliRunner().invoke(app, ["score", "-", "--threads", "1"], input='{"text": "股价暴跌"}\n{oops\n')
    rows = [json.loads(x) for x in result.stdout.splitlines()]
    assert [r["reason"] for r in rows] == [None, "broken_json"]
    assert rows[0]["model_version"] == rows[1]["model_version"]


def test_the_command_survives_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text('{"text": "公告"}\n' * 5000, "utf-8")
    code = "import sys; from models.cli import app; app(['score', sys.argv[1], '--batch', '50'])"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 0


def test_evaluate_measures_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "text,sentiment,topics,kind\n公司被立案调查，股价跌停,negative,regulation_legal,news\n净利润大增，再创新高,positive,,news\n",
        "utf-8",
    )
    result = CliRunner().invoke(app, ["evaluate", "--data", str(file), "--json", "--threads", "1"])
    found = json.loads(result.stdout)
    assert found["sets"]["mine"]["sentiment"]["n"] == 2
    assert found["sets"]["mine"]["sentiment"]["accuracy"] == 1.0
    assert found["sets"]["mine"]["topics"]["n"] == 2
