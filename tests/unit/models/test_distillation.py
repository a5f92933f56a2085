"""A student learns from teachers: how labels are softened, and that it learns texts that nobody labelled."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

from models.data.examples import Example
from models.errors import TrainingDataError
from models.labels import load_topics
from models.training.distillation import load_teacher, soft_labels, softened, transfer_texts
from models.training.recipe import load_recipe
from tests.unit.models.conftest import BAD, GOOD, PLAIN, Trained

TOPICS = [t.id for t in load_topics()]


def test_a_label_keeps_its_share_and_a_mask_takes_the_teachers_word() -> None:
    said, topic = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.4])
    made = softened(Example("x", "news", "zh", "s", (0,), topics={"a": (1, 1.0)}), said, topic, ["a", "b"], 0.5)
    assert made.votes == pytest.approx((0.6, 0.25, 0.15), abs=1e-5)
    assert made.topics["a"][0] == pytest.approx(0.95)
    assert made.topics["b"] == pytest.approx((0.4, 1.0))
    merged = softened(Example("x", "news", "zh", "s", (1, 2)), said, topic, ["a", "b"], 1.0)
    assert merged.votes == pytest.approx((0, 0.625, 0.375), abs=1e-5), "shared out as the teachers do"
    one = Example("x", "news", "zh", "s", topics={"a": (1, 1.0), "b": (0, 1.0)}, one_of=("a", "b"))
    assert softened(one, said, topic, ["a", "b"], 0.5).one_of == ("a", "b"), "the choice stays a choice"
    none = replace(one, topics={"a": (0, 1.0), "b": (0, 1.0)})
    assert softened(none, said, topic, ["a", "b"], 0.5).one_of == (), "no teacher chooses where nobody did"
    alone = softened(Example("x", "news", "zh", "transfer"), said, topic, ["a", "b"], 0.5)
    assert alone.votes == pytest.approx(tuple(said))


def test_transfer_texts_leave_out_what_is_measured_on(tmp_path: Path, trained: Trained) -> None:
    with (tmp_path / "stream.csv").open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([["body"], ["甲公司公告"], ["乙公司公告"], ["甲公司公告！"], ["丙公司公告"]])
    recipe = replace(load_recipe(trained.recipe), transfer={"*.csv": {"column": "body", "kind": "news", "lang": "zh"}})
    found = transfer_texts(recipe, tmp_path, [Example("丙公司公告", "news", "zh", "s")])
    assert len(found) == 2
    with pytest.raises(TrainingDataError, match="no column"):
        transfer_texts(replace(recipe, transfer={"*.csv": {"column": "x", "kind": "news"}}), tmp_path, [])
    with pytest.raises(TrainingDataError, match="no file"):
        transfer_texts(replace(recipe, transfer={"none*": {"column": "x", "kind": "news"}}), tmp_path, [])


def test_teachers_are_runs_or_model_folders_and_agree(trained: Trained, tmp_path: Path) -> None:
    recipe = load_recipe(trained.recipe)
    texts = [Example(t.format("晨光电子"), "news", "zh", "s") for t in [*BAD[:2], *GOOD[:2]]]
    teachers = [load_teacher(trained.run, TOPICS), load_teacher(trained.model, TOPICS)]
    of_run, _ = soft_labels(texts, teachers[:1], TOPICS, recipe, tmp_path / "a.npz")
    of_model, _ = soft_labels(texts, teachers[1:], TOPICS, recipe, tmp_path / "b.npz")
    assert np.abs(of_run - of_model).max() < 0.1, "integers differ from floats by little"
    both, _ = soft_labels(texts, teachers, TOPICS, recipe, tmp_path / "c.npz")
    assert both == pytest.approx((of_run + of_model) / 2, abs=1e-5)
    assert (of_run.argmax(1) == [0, 0, 2, 2]).all()
    before = (tmp_path / "c.npz").stat().st_mtime_ns
    again, _ = soft_labels(texts, teachers, TOPICS, recipe, tmp_path / "c.npz")
    assert (again == both).all()
    assert (tmp_path / "c.npz").stat().st_mtime_ns == before, "what teachers said is kept for a run that goes on"
    with pytest.raises(TrainingDataError, match="other topics"):
        load_teacher(trained.model, TOPICS[:-1])
    with pytest.raises(TrainingDataError, match="neither a finished training run"):
        load_teacher(tmp_path, TOPICS)


def test_a_student_learns_texts_that_nobody_labelled(trained: Trained, tmp_path: Path) -> None:
    """Labels of one class only; the teacher knows the others from the transfer texts."""
    from models.training.fine_tuning import train_model
    from models.training.runs import load_run

    firms = ["晨光电子", "Kelso", "南江股份", "Orchard"]
    with (tmp_path / "stream.csv").open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([["body"], *([t.format(x)] for t in [*BAD, *PLAIN, *GOOD] for x in firms)])
    with (tmp_path / "mini.csv").open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([["text", "sentiment", "topic"], ["没有内容的一条", "neutral", "market"]])
    sets = trained.recipe.parent / "sets.yaml"
    (tmp_path / "sets.yaml").write_text(sets.read_text("utf-8").replace("mini.csv.gz", "mini.csv"), "utf-8")
    recipe = replace(
        load_recipe(trained.recipe), path=tmp_path / "recipe.yaml", epochs=15,
        transfer={"stream.csv": {"column": "body", "kind": "news", "lang": "zh"}},
    )  # fmt: skip
    facts = train_model(recipe, tmp_path, trained.base, tmp_path / "run", teachers=[trained.run])
    assert [t["name"] for t in facts["taught_by"]] == [trained.run.name]
    student = load_teacher(tmp_path / "run", TOPICS)
    texts = [Example(t.format("Kelso"), "news", "zh", "s") for t in [*BAD, *GOOD]]
    said, _ = soft_labels(texts, [student], TOPICS, recipe, tmp_path / "said.npz")
    assert (said.argmax(1) == [0] * 5 + [2] * 5).mean() >= 0.9
    assert load_run(tmp_path / "run", len(TOPICS))
