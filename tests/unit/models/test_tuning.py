"""What learns and what stays as it was; and the mask of the cheap dropout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import TrainingDataError
from models.training.recipe import load_recipe
from tests.unit.models.conftest import Trained

torch = pytest.importorskip("torch", reason="needs the training install (the extra `train`)")


@pytest.mark.parametrize("how", ["head", "lora", "ia3"])
def test_limited_tuning_leaves_a_plain_network(trained: Trained, tmp_path: Path, how: str) -> None:
    from models.training.fine_tuning import train_model
    from models.training.runs import load_run

    if how != "head":
        pytest.importorskip("peft", reason="needs the training install (the extra `train`)")
    recipe = replace(load_recipe(trained.recipe), tuning=how, lora_rank=2, epochs=1)
    facts = train_model(recipe, trained.data, trained.base, tmp_path / how, 1)
    network = load_run(tmp_path / how, len(facts["topics"]))
    from models.network import network_from_base

    before = network_from_base(trained.base, recipe.layers, len(facts["topics"])).state_dict()
    after = network.state_dict()
    assert before.keys() == after.keys()
    name = "encoder.encoder.layer.0.attention.self.value.weight"
    assert torch.equal(before[name], after[name]) is (how == "head")
    words = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(before[words], after[words]), "the word embeddings belong to the base"


def test_an_unknown_way_of_tuning_is_named(trained: Trained, tmp_path: Path) -> None:
    from models.training.fine_tuning import train_model

    with pytest.raises(TrainingDataError, match="tuning must be one of full, lora, ia3, head, not 'bits'"):
        train_model(replace(load_recipe(trained.recipe), tuning="bits"), trained.data, trained.base, tmp_path, 1)


def test_cheap_dropout_drops_its_share_and_scales_the_rest() -> None:
    from models.cheap_dropout import CheapDropout

    torch.manual_seed(3)
    layer = CheapDropout(0.1)
    x = torch.ones(300, 333, requires_grad=True)
    y = layer(x)
    dropped = float((y == 0).float().mean())
    assert dropped == pytest.approx(26 / 256, abs=0.005)
    assert float(y.detach().max()) == pytest.approx(256 / 230)
    assert float(y.detach().mean()) == pytest.approx(1, abs=0.01)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach()), "the gradient passes where the value did, scaled alike"
    rows = (y.detach() == 0).float().numpy()
    assert abs(np.corrcoef(rows[:, :-1].ravel(), rows[:, 1:].ravel())[0, 1]) < 0.02, "neighbours are independent"
    assert layer.eval()(x) is x
