"""A search with tiny trials: it ends, goes on after a stop, gives bad trials up, and writes a recipe that trains."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")
pytest.importorskip("optuna", reason="needs the extra `search`")

from models.errors import TrainingDataError
from models.training.fine_tuning import train_model
from models.training.hyperparameters import SPACES, Found, load_space, search
from models.training.recipe import Recipe, load_recipe
from tests.unit.models.conftest import Trained

SPACE = {"learning_rate": {"low": 1e-3, "high": 5e-3, "log": True}, "probe_texts": {"choices": [0, 60]}}


@pytest.fixture
def recipe(trained: Trained, tmp_path: Path) -> Recipe:
    """The tiny recipe with a quarter of its texts for measuring."""
    sets = yaml.safe_load((trained.recipe.parent / "sets.yaml").read_text("utf-8"))
    sets["mini"]["dev_share"] = 0.25
    (tmp_path / "sets.yaml").write_text(yaml.safe_dump(sets, allow_unicode=True), "utf-8")
    fields = yaml.safe_load(trained.recipe.read_text("utf-8")) | {"epochs": 3, "evaluations_per_epoch": 1}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(fields), "utf-8")
    return load_recipe(tmp_path / "recipe.yaml")


def test_two_trials_and_a_recipe_that_trains(trained: Trained, recipe: Recipe, tmp_path: Path) -> None:
    told: list[Found] = []
    state = search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 2, told=told.append)
    assert [f.trials for f in told] == [1, 2]
    assert state == told[-1]
    assert state.best in (0, 1)
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").open(encoding="utf-8")))
    assert [r["state"] for r in rows] == ["complete", "complete"]
    assert max(float(r["dev"]) for r in rows) == state.score
    best = load_recipe(state.recipe)
    assert best.learning_rate == float(rows[state.best]["learning_rate"])
    assert 1e-3 <= best.learning_rate <= 5e-3
    assert replace(best, learning_rate=0, probe_texts=0, sets_file=None, path=recipe.path) == replace(
        recipe, learning_rate=0, probe_texts=0, sets_file=None
    )
    facts = train_model(best, trained.data, trained.base, tmp_path / "run")
    assert max(h["dev"] for h in facts["history"]) == pytest.approx(state.score, abs=0.02)
    kept = list((tmp_path / "out" / "trials").glob("*/best.pt"))
    assert [p.parent.name for p in kept] == [f"{state.best:04d}"], "the weights of the best alone are kept"
    # The same search again has nothing to do; one of more trials goes on.
    assert search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 2) == state
    assert search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 3).trials == 3


def test_a_stopped_search_goes_on_inside_its_trial(trained: Trained, recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, evaluations_per_epoch=4)

    def stop_late(step: int, steps: int, line: str) -> None:
        if step == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 2, report=stop_late)
    assert (tmp_path / "out" / "trials" / "0000" / "checkpoint.pt").exists()
    steps: list[int] = []
    state = search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 2,
                   report=lambda step, n, line: steps.append(step))  # fmt: skip
    assert state.trials == 2
    assert sorted(p.name for p in (tmp_path / "out" / "trials").iterdir()) == ["0000", "0002"]
    facts = json.loads((tmp_path / "out" / "trials" / "0000" / "training.json").read_text("utf-8"))
    assert facts["history"][0]["step"] < facts["history"][-1]["step"]
    assert steps[0] == facts["history"][-1]["step"], "the first trial had only its end left"


def test_bad_trials_are_given_up_and_the_search_ends_when_nothing_gets_better(
    trained: Trained, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = replace(recipe, epochs=8, probe_texts=0)
    space = {"clip": {"choices": [1.0, 0.9, 0.8, 1e-12]}}  # with gradients cut to nothing nothing is learnt
    state = search(recipe, space, trained.data, trained.base, tmp_path / "out", 30, patience=6)
    assert 7 <= state.trials < 30
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").open(encoding="utf-8")))
    given_up = [r for r in rows if r["state"] == "pruned"]
    assert given_up
    assert all(not (tmp_path / "out" / "trials" / f"{int(r['trial']):04d}").exists() for r in given_up)
    assert load_recipe(state.recipe).clip >= 0.8


def test_another_recipe_or_other_ranges_are_refused(trained: Trained, recipe: Recipe, tmp_path: Path) -> None:
    search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 1)
    with pytest.raises(TrainingDataError, match="choose another --out"):
        search(recipe, {"dropout": {"choices": [0.1]}}, trained.data, trained.base, tmp_path / "out", 1)
    with pytest.raises(TrainingDataError, match="choose another --out"):
        search(replace(recipe, epochs=9), SPACE, trained.data, trained.base, tmp_path / "out", 1)


def test_sets_without_dev_texts_are_refused(trained: Trained, tmp_path: Path) -> None:
    recipe = replace(load_recipe(trained.recipe), epochs=1)
    with pytest.raises(TrainingDataError, match="no dev texts"):
        search(recipe, SPACE, trained.data, trained.base, tmp_path / "out", 1)


def test_a_signal_ends_the_command_cleanly_and_it_goes_on(trained: Trained, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE), "utf-8")
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "app", "search", str(recipe.path), "--data", str(trained.data), "--base",
        str(trained.base), "--out", str(out), "--space", str(tmp_path / "space.yaml"),
    ]  # fmt: skip
    long = subprocess.Popen([*command, "--trials", "500"], stderr=subprocess.PIPE, text=True, env=os.environ)
    until = time.monotonic() + 200
    while time.monotonic() < until and not (out / "best.yaml").exists():
        time.sleep(0.1)
    long.send_signal(signal.SIGINT)
    _, said = long.communicate(timeout=60)
    assert long.returncode == 130, said
    assert "Traceback" not in said
    assert "goes on from here" in said
    done = len((out / "trials.csv").read_text("utf-8").splitlines()) - 1
    assert search(load_recipe(recipe.path), SPACE, trained.data, trained.base, out, done + 1).trials == done + 1
    assert len((out / "trials.csv").read_text("utf-8").splitlines()) - 1 == done + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must map fields"), ("nonsense: {low: 0, high: 1}", "no field of a recipe"),
        ("sets: {choices: [1]}", "no field of a recipe"), ("dropout: {low: 1, high: 0}", "must be {low"),
        ("dropout: {low: 0, high: 1, log: true}", "must be {low"), ("dropout: {choices: []}", "must be {low"),
        ("dropout: 0.1", "must be {low"), ("dropout: {low: .nan, high: 1}", "must be {low"),
        ("epochs: {low: 0.5, high: 2.5}", "epochs must be int"), ("tuning: {choices: [3]}", "tuning must be str"),
        ("dropout: {low: 0", "cannot read"),
    ],
)  # fmt: skip
def test_wrong_ranges_are_named(trained: Trained, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "space.yaml").write_text(text, "utf-8")
    with pytest.raises(TrainingDataError, match=said):
        load_space(tmp_path / "space.yaml", load_recipe(trained.recipe))


@pytest.mark.parametrize("name", [p.stem for p in SPACES.glob("*.yaml")])
def test_shipped_ranges_fit_the_shipped_recipes(name: str) -> None:
    for recipe in ("all", "stated"):
        loaded = load_recipe(recipe)
        for field, of in load_space(name, loaded).items():
            ends = of.get("choices") or [of["low"], of["high"]]
            assert min(ends) <= getattr(loaded, field) <= max(ends), f"{field}: the recipe's own value is outside"
