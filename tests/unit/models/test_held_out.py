"""A model that trained on its dev splits too says so, and takes its figures from one that held them out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

from models.data.sets import read_split, whole_set
from models.errors import ModelError
from models.evaluation.measuring import trained_on_dev_of
from models.evaluation.report import markdown
from models.export.exporting import export_model
from models.training.fine_tuning import train_model
from models.training.provenance import licences
from models.training.recipe import Recipe, load_recipe
from models.training.sampling import gather
from tests.unit.models.conftest import Trained


@pytest.fixture(scope="module")
def recipe(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The tiny recipe with a dev split."""
    folder = tmp_path_factory.mktemp("held_out")
    sets = yaml.safe_load((trained.recipe.parent / "sets.yaml").read_text("utf-8"))
    sets["mini"] |= {"dev_share": 0.3, "licence": "not stated"}
    (folder / "sets.yaml").write_text(yaml.safe_dump(sets, allow_unicode=True), "utf-8")
    return replace(load_recipe(trained.recipe), path=folder / "recipe.yaml", epochs=6)


@pytest.fixture(scope="module")
def twin(trained: Trained, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the recipe that held dev out; its run lies beside it."""
    root = tmp_path_factory.mktemp("twin")
    train_model(recipe, trained.data, trained.base, root / "run")
    export_model(root / "run", trained.data, root / "model", "twin")
    return root / "model"


def test_the_whole_of_a_set_is_its_two_splits_and_the_copies_between_them(trained: Trained, recipe: Recipe) -> None:
    sets = yaml.safe_load((recipe.path.parent / "sets.yaml").read_text("utf-8"))
    train, dev = read_split("mini", trained.data, sets=sets)
    every = whole_set("mini", trained.data, sets)
    assert len(every) == 60
    assert len(train) + len(dev) < 60, "near copies of dev are left out of training"
    assert {e.text for e in [*train, *dev]} < {e.text for e in every}
    rows, none, read = gather(replace(recipe, held_out=False), trained.data)
    assert (len(rows), none, read["mini"]["dev"]) == (60, [], 0)


def test_figures_and_cuts_come_from_the_model_that_held_out(
    trained: Trained, recipe: Recipe, twin: Path, tmp_path: Path
) -> None:
    whole = replace(recipe, held_out=False)
    train_model(whole, trained.data, twin.parent / "run", tmp_path / "run", teachers=[twin.parent / "run"])
    with pytest.raises(ModelError, match="--measured"):
        export_model(tmp_path / "run", trained.data, tmp_path / "model", "whole")
    version = export_model(tmp_path / "run", trained.data, tmp_path / "model", "whole", measured=twin)
    mine, theirs = (
        {n: json.loads((folder / f"{n}.json").read_text("utf-8")) for n in ("labels", "metrics")}
        for folder in (tmp_path / "model", twin)
    )
    assert mine["labels"]["temperatures"] == theirs["labels"]["temperatures"]
    assert mine["labels"]["thresholds"] == theirs["labels"]["thresholds"]
    assert mine["metrics"]["dev"] == theirs["metrics"]["dev"] != {}
    assert mine["metrics"]["measured"] == theirs["metrics"]["version"] != version
    assert sum(g["sentiment"]["n"] for g in mine["metrics"]["gold"].values()) > 1000, "measured itself on the gold set"
    card = (tmp_path / "model" / "card.md").read_text("utf-8")
    assert "trained on the dev splits too" in card
    assert theirs["metrics"]["version"] in card
    assert "Before that: recipe `tiny`, 6 epochs" in card
    assert "Taught by 1 networks" in card
    assert trained_on_dev_of(tmp_path / "model") == {"mini"}
    assert trained_on_dev_of(twin) == set()
    assert "trained on the dev splits" not in (twin / "card.md").read_text("utf-8")


def test_another_recipe_cannot_measure_for_it(trained: Trained, recipe: Recipe, twin: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(twin.parent / "run", run)
    facts = json.loads((run / "training.json").read_text("utf-8"))
    with pytest.raises(ModelError, match="is measured itself"):
        export_model(run, trained.data, tmp_path / "model", "x", measured=twin)
    facts["recipe"] |= {"held_out": False, "epochs": 7}
    (run / "training.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(ModelError, match="trained otherwise: epochs"):
        export_model(run, trained.data, tmp_path / "model", "x", measured=twin)
    with pytest.raises(ModelError, match="there is no folder"):
        export_model(run, trained.data, tmp_path / "model", "x", measured=tmp_path / "nothing")
    assert not (tmp_path / "model").exists()


def test_a_report_says_which_texts_were_trained_on() -> None:
    found = {"version": "x", "unscored": 0, "sets": {}, "trained_on": ["finfe", "finnl"]}
    assert "**Not of unseen texts**: the model was trained on these texts of finfe, finnl too" in markdown(found)


def test_licences_of_teachers_and_of_runs_before_count() -> None:
    stated = {"sets": {"a": {"licence": "MIT"}}, "recipe": {"transfer": {"s": {"licence": "CC0"}}}}
    assert licences(stated) == {"a": "MIT", "s": "CC0"}
    adapted = {"recipe": {"texts": {"w": {"licence": "not stated"}}}}
    teacher = {"recipe": "all", "sets": {"b": {"licence": "x"}}, "before": [{"adapted": adapted}]}
    taught = stated | {"taught_by": [teacher],
                       "before": [{"recipe": "all", "sets": {}, "transfer": {"t": {}}}]}  # fmt: skip
    assert licences(taught) == {"a": "MIT", "s": "CC0", "b": "x", "w": "not stated", "t": "not named in the recipe"}
