"""Masked words: what is masked, what is left out, and that the loss falls and the result is a base to train from."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

from models.errors import TrainingDataError
from models.training.pretraining import PretrainingRecipe, gather_texts, load_pretraining, mask, pretrain
from models.training.recipe import load_recipe
from tests.unit.models.conftest import BAD, FIRMS, GOOD, PLAIN, Trained


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    lines = [t.format(f) for t in [*BAD, *PLAIN, *GOOD] for f in FIRMS]
    with (tmp_path / "stream.csv").open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([["body"], *([x] for x in lines), [lines[0]], [" "]])
    return tmp_path


RECIPE = PretrainingRecipe(
    "tiny", {"*.csv": {"column": "body"}}, layers=1, max_tokens=48, tokens_per_batch=512, learning_rate=5e-3, epochs=12
)


@given(st.integers(0, 2**32), st.floats(0.05, 0.9))
def test_markers_are_never_masked_and_only_what_is_asked_for_changes(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 50, (7, 24))
    given_ids, targets = mask(ids, 60, 59, share, rng)
    asked = targets != -100
    assert not asked[ids < 4].any()
    assert (targets[asked] == ids[asked]).all()
    assert (given_ids[~asked] == ids[~asked]).all()
    assert ((given_ids >= 0) & (given_ids < 60)).all()


def test_masks_come_in_bert_s_proportions() -> None:
    rng = np.random.default_rng(3)
    ids = rng.integers(4, 5000, (400, 200))
    given_ids, targets = mask(ids, 5001, 5000, 0.15, rng)
    asked = targets != -100
    assert asked.mean() == pytest.approx(0.15, abs=0.005)
    assert (given_ids[asked] == 5000).mean() == pytest.approx(0.8, abs=0.01)
    assert (given_ids[asked] == ids[asked]).mean() == pytest.approx(0.1, abs=0.01)


def test_texts_come_once(stream: Path) -> None:
    assert len(gather_texts(RECIPE, stream)) == 15 * len(FIRMS)
    assert len(gather_texts(replace(RECIPE, texts={"*.csv": {"column": "body", "sample": 9}}), stream)) <= 9


def test_what_is_missing_is_named(stream: Path, trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"no file nothing"):
        gather_texts(replace(RECIPE, texts={"nothing*": {"column": "text"}}), stream)
    with pytest.raises(TrainingDataError, match="no column 'text'"):
        gather_texts(replace(RECIPE, texts={"*.csv": {"column": "text"}}), stream)
    with pytest.raises(TrainingDataError, match="must hold config"):
        pretrain(RECIPE, stream, tmp_path / "none", tmp_path / "out")
    with pytest.raises(TrainingDataError, match="must have name and texts"):
        (tmp_path / "bad.yaml").write_text("name: x\ntexts: {}\nspeed: 3\n", "utf-8")
        load_pretraining(tmp_path / "bad.yaml")


def test_the_loss_falls_and_the_result_is_a_base(stream: Path, trained: Trained, tmp_path: Path) -> None:
    from models.training.fine_tuning import train_model

    losses: list[float] = []
    facts = pretrain(RECIPE, stream, trained.base, tmp_path / "base", 1,
                     lambda step, steps, line: losses.append(float(line.split()[1].rstrip(","))))  # fmt: skip
    assert facts["texts"] == 15 * len(FIRMS)
    assert losses[-1] < losses[0] - 0.5
    recipe = replace(load_recipe(trained.recipe), layers=1, epochs=1)
    made = train_model(recipe, trained.data, tmp_path / "base", tmp_path / "run")
    assert made["history"]


@pytest.mark.parametrize("name", ["all", "stated"])
def test_shipped_recipes_load(name: str) -> None:
    recipe = load_pretraining(name)
    assert recipe.texts
    if name == "stated":
        assert all("not stated" not in o["licence"] for o in recipe.texts.values())
