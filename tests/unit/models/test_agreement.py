"""Agreement figures are those of their sources, and those in the documentation are those of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from barometer.vocabulary import SENTIMENTS
from models.cli import app
from models.data.own_sets import Labels, known_topics
from models.errors import TrainingDataError
from models.evaluation.agreement import agreement, cohen_kappa, gold_report, krippendorff_alpha, markdown, masi_distance

ROOT = Path(__file__).resolve().parents[3]
sets = st.frozensets(st.sampled_from(known_topics()), min_size=1, max_size=3)
labels = st.builds(Labels, st.sampled_from(SENTIMENTS), sets)


def test_kappa_is_that_of_the_textbook() -> None:
    """Fifty pairs of yes and no, 35 alike: 0.7 observed, 0.5 by chance."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SENTIMENTS), st.sampled_from(SENTIMENTS)), min_size=2, max_size=40))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    if len({x for pair in pairs for x in pair}) > 1:
        assert cohen_kappa(pairs) == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
    else:
        assert cohen_kappa(pairs) == 1.0


def test_alpha_is_that_of_the_textbook() -> None:
    """Krippendorff, 'Computing Krippendorff's Alpha-Reliability' (2011), B: two observers, nominal data, 0.692."""
    first, second = "aabbdcccedda", "babbbccceddd"
    pairs = [(frozenset(a), frozenset(b)) for a, b in zip(first, second, strict=True)]
    assert krippendorff_alpha(pairs, lambda a, b: float(a != b)) == pytest.approx(0.692, abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("x", "x", 0), ("x", "y", 1), ("xy", "x", 1 - 1 / 3), ("xy", "yz", 1 - 1 / 9)]
)
def test_masi_counts_a_subset_as_nearer_than_an_overlap(a: str, b: str, distance: float) -> None:
    assert masi_distance(frozenset(a), frozenset(b)) == pytest.approx(distance)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=30))
def test_agreement_is_symmetric_and_whole_with_oneself(pairs: list[tuple[Labels, Labels]]) -> None:
    first, second = ({str(i): pair[k] for i, pair in enumerate(pairs)} for k in (0, 1))
    assert agreement(first, second) == agreement(second, first)
    alone = agreement(first, first)
    assert alone["sentiment"] == {"accuracy": 1.0, "kappa": 1.0}
    assert {v for k, v in alone["topics"].items() if k != "each"} == {1.0}


def test_a_reading_of_an_unknown_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"id": "g-zh-n-9999", "sentiment": "neutral", "topics": ["market"]}
    (tmp_path / "labels.jsonl").write_text(json.dumps(row), "utf-8")
    monkeypatch.setattr("models.evaluation.agreement.READINGS", {"second": tmp_path / "labels.jsonl"})
    with pytest.raises(TrainingDataError, match=r"labels\.jsonl: no text of the gold set has the id 'g-zh-n-9999'"):
        gold_report()


def test_the_command_prints_what_the_documentation_says() -> None:
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    said = CliRunner().invoke(app, ["gold"]).output
    assert said.strip() == markdown(gold_report())
    assert [line for line in said.splitlines() if line.strip() not in page] == []
    assert json.loads(CliRunner().invoke(app, ["gold", "--json"]).output)["counts"]["texts"] >= 1000
