"""The mean of the weights of several runs is a run: it exports, and it says of what it was made."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

import torch

from models.errors import TrainingDataError
from models.export.exporting import export_model
from models.training.averaging import average_runs
from models.training.fine_tuning import train_model
from models.training.recipe import load_recipe
from models.training.runs import load_run
from tests.unit.models.conftest import Trained


def test_the_mean_of_two_runs_is_a_run(trained: Trained, tmp_path: Path) -> None:
    again = replace(load_recipe(trained.recipe), epochs=2, seed=21, name="again")
    train_model(again, trained.data, trained.run, tmp_path / "second")
    facts = average_runs([trained.run, tmp_path / "second"], tmp_path / "mean")
    a, b, mean = (
        load_run(run, 20).state_dict() for run in (trained.run, tmp_path / "second", tmp_path / "mean")
    )  # fmt: skip
    assert any((a[k] != b[k]).any() for k in a)
    for k, value in mean.items():
        torch.testing.assert_close(value, (a[k].float() + b[k].float()).div(2).to(value.dtype))
    assert [x["recipe"] for x in facts["averaged"]] == ["tiny", "again"]
    export_model(tmp_path / "mean", trained.data, tmp_path / "model", "mean")
    card = (tmp_path / "model" / "card.md").read_text("utf-8")
    assert "Its weights are the mean of 2 networks (recipes `tiny`, `again`)." in card


def test_a_run_that_saw_dev_brings_it_into_the_mean(trained: Trained, tmp_path: Path) -> None:
    saw = tmp_path / "saw"
    shutil.copytree(trained.run, saw)
    facts = json.loads((saw / "training.json").read_text("utf-8"))
    facts["recipe"]["held_out"] = False
    (saw / "training.json").write_text(json.dumps(facts), "utf-8")
    assert average_runs([saw, trained.run], tmp_path / "mean")["recipe"]["held_out"] is False
    assert average_runs([trained.run, trained.run], tmp_path / "clean")["recipe"]["held_out"] is True


def test_what_cannot_be_averaged_is_said(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="at least two"):
        average_runs([trained.run], tmp_path / "x")
    with pytest.raises(TrainingDataError, match="not a finished training run"):
        average_runs([trained.run, tmp_path], tmp_path / "x")
    with pytest.raises(TrainingDataError, match="exists already"):
        average_runs([trained.run, trained.run], tmp_path)
    other = tmp_path / "other"
    shutil.copytree(trained.run, other)
    facts = json.loads((other / "training.json").read_text("utf-8"))
    (other / "training.json").write_text(json.dumps(facts | {"base": "another"}), "utf-8")
    with pytest.raises(TrainingDataError, match="differ in base"):
        average_runs([trained.run, other], tmp_path / "x")
    saved = torch.load(other / "best.pt", weights_only=True)
    saved["network"]["sentiment.bias"] = torch.zeros(4)
    torch.save(saved, other / "best.pt")
    with pytest.raises(TrainingDataError, match="another shape"):
        average_runs([trained.run, other], tmp_path / "x")
    assert not (tmp_path / "x").exists()
