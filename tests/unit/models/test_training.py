"""From sixty texts to a model folder that scores them: training, export, rebuilding, going on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelError, TrainingDataError
from models.scoring.scorer import load_scorer
from models.training.recipe import load_recipe
from tests.unit.models.conftest import BAD, FIRMS, GOOD, PLAIN, Trained

torch = pytest.importorskip("torch", reason="needs the training install (the extra `train`)")


def test_the_trained_folder_scores_what_it_learnt(trained: Trained) -> None:
    scorer = load_scorer(trained.model, threads=1)
    assert scorer.version == trained.version
    assert scorer.version.startswith("tiny-")
    texts = [(t.format(f), k) for k, ts in enumerate((BAD, PLAIN, GOOD)) for t in ts for f in FIRMS]
    results = scorer.score([t for t, _ in texts], ["news"] * len(texts))
    assert np.mean([r.sentiment == k for r, (_, k) in zip(results, texts, strict=True)]) > 0.9
    bad = [r for r, (_, k) in zip(results, texts, strict=True) if k == 0]
    assert np.mean(["credit_bonds" in r.topics for r in bad]) > 0.9


def test_the_card_tells_data_and_licences(trained: Trained) -> None:
    card = (trained.model / "card.md").read_text("utf-8")
    assert trained.version in card
    assert "| mini | Written for the test | ours | 60 |" in card
    assert "Some of these sets state no licence" not in card


def test_topics_without_labels_are_on_trial(trained: Trained) -> None:
    trial = json.loads((trained.model / "labels.json").read_text("utf-8"))["trial_topics"]
    assert "real_estate" in trial["zh"]
    assert "market" in trial["zh"], "twenty labels are fewer than fifty"


def test_the_rebuilt_network_agrees_with_the_exported_one(trained: Trained) -> None:
    onnx_scores = load_scorer(trained.model, threads=1).score([BAD[0].format("晨光电子"), GOOD[2].format("Kelso")])
    torch_scores = load_scorer(trained.model, backend="torch", device="cpu").score(
        [BAD[0].format("晨光电子"), GOOD[2].format("Kelso")]
    )
    for a, b in zip(onnx_scores, torch_scores, strict=True):
        assert a.sentiment == b.sentiment
        assert a.sentiment_probabilities == pytest.approx(b.sentiment_probabilities, abs=0.03)
        assert a.topic_probabilities == pytest.approx(b.topic_probabilities, abs=0.03)


def test_export_refuses_to_overwrite_and_unfinished_runs(trained: Trained, tmp_path: Path) -> None:
    from models.export.exporting import export_model

    with pytest.raises(ModelError, match="exists already"):
        export_model(trained.run, trained.data, trained.model, "tiny")
    with pytest.raises(ModelError, match=r"best\.pt is missing"):
        export_model(tmp_path, trained.data, tmp_path / "model", "tiny")
    assert not (tmp_path / "model").exists()


def test_training_goes_on_from_a_model_folder(trained: Trained, tmp_path: Path) -> None:
    from dataclasses import replace

    from models.training.fine_tuning import train_model

    seen: list[float] = []
    recipe = replace(load_recipe(trained.recipe), epochs=1)
    train_model(
        recipe, trained.data, trained.model, tmp_path / "run", 1,
        lambda step, steps, line: seen.append(float(line.split()[1])),
    )  # fmt: skip
    assert np.mean(seen) < 0.5, "it starts from what the model knows, not from ln 3"


def test_a_stopped_run_goes_on(trained: Trained, tmp_path: Path) -> None:
    from models.training.fine_tuning import train_model

    class Stop(Exception):
        pass

    def stop_late(step: int, steps: int, line: str) -> None:
        if step > steps * 0.7:
            raise Stop

    recipe = load_recipe(trained.recipe)
    with pytest.raises(Stop):
        train_model(recipe, trained.data, trained.base, tmp_path, 1, stop_late)
    assert (tmp_path / "checkpoint.pt").exists()
    steps: list[int] = []
    facts = train_model(recipe, trained.data, trained.base, tmp_path, 1, lambda step, n, line: steps.append(step))
    assert steps[0] > 1
    assert facts["history"][-1]["step"] == steps[-1]
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_missing_base_is_named(trained: Trained, tmp_path: Path) -> None:
    from models.training.fine_tuning import train_model

    with pytest.raises(TrainingDataError, match="must hold config"):
        train_model(load_recipe(trained.recipe), trained.data, tmp_path / "none", tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "said"),
    [("model.onnx", r"model\.onnx is missing"), ("tokenizer.json", r"tokenizer\.json is missing"),
     ("labels.json", r"labels\.json is missing")],
)  # fmt: skip
def test_missing_files_are_named(trained: Trained, tmp_path: Path, name: str, said: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.model, folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=said):
        load_scorer(folder)


def test_contradictions_are_named(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.model, folder)
    labels = json.loads((folder / "labels.json").read_text("utf-8"))

    def saying(**changes: object) -> None:
        (folder / "labels.json").write_text(json.dumps(labels | changes), "utf-8")

    saying(topics=labels["topics"][:-1])
    with pytest.raises(ModelError, match="has 19 topics"):
        load_scorer(folder)
    for backend in ("onnx", "torch"):
        saying(topics=[labels["topics"][1], labels["topics"][0], *labels["topics"][2:]])
        with pytest.raises(ModelError, match="or another order"):
            load_scorer(folder, backend=backend)
    saying(sentiments=["positive", "neutral", "negative"])
    with pytest.raises(ModelError, match="another order"):
        load_scorer(folder)
    saying(thresholds={"zh": {}, "en": {}})
    with pytest.raises(ModelError, match=r"thresholds\.zh"):
        load_scorer(folder)
    saying(encoder=labels["encoder"] | {"vocab_size": 7})
    with pytest.raises(ModelError, match=r"tokenizer\.json has"):
        load_scorer(folder)
    saying(thresholds=labels["thresholds"] | {"zh": labels["thresholds"]["zh"] | {"market": 0.4321}})
    assert load_scorer(folder).version != trained.version, "an edited threshold is another version"
    (folder / "labels.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="not readable JSON"):
        load_scorer(folder)
    saying()
    (folder / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot load"):
        load_scorer(folder)
