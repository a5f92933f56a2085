"""The losses say nothing of what a set doesn't say, and the perturbation leaves no trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.training.objectives import Tensors, divergence, losses, perturbed
from models.training.recipe import Recipe

RECIPE = Recipe("test", {"own": {}})


def _data(**changes: np.ndarray) -> Tensors:
    fields = {
        "kinds": np.zeros(3, np.int64),
        "allowed": np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], np.float32),
        "votes": np.zeros((3, 3), np.float32),
        "sentiment_weight": np.array([1, 1, 0], np.float32),
        "topic_target": np.array([[1, 0], [0, 0], [0, 0]], np.float32),
        "topic_weight": np.array([[1, 0], [1, 0], [0, 0]], np.float32),
        "one_of": np.zeros((3, 2), np.float32),
    }
    return Tensors([[0]] * 3, **(fields | changes))  # type: ignore[arg-type]


def test_losses_ignore_what_is_masked_and_sum_what_is_allowed() -> None:
    sentiment, topics = torch.zeros(3, 3), torch.zeros(3, 2)
    s, t = losses(sentiment, topics, _data(), [0, 1, 2], RECIPE)
    assert s.item() == pytest.approx((np.log(3) + np.log(3 / 2)) / 2)
    assert t.item() == pytest.approx(np.log(2))
    changed = topics.clone()
    changed[:, 1] = 9.0
    changed[2] = -9.0
    assert losses(sentiment, changed, _data(), [0, 1, 2], RECIPE)[1].item() == pytest.approx(np.log(2))


def test_votes_replace_the_label_only_where_asked() -> None:
    votes = np.array([[0.75, 0.25, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    data = _data(votes=votes)
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [5.0, 5.0, 0.0]])
    log_p = logits.log_softmax(-1)
    soft, _ = losses(logits, torch.zeros(3, 2), data, [0, 1, 2], RECIPE)
    summed = log_p[1, 1:].logsumexp(0)
    assert soft.item() == pytest.approx(-(0.75 * log_p[0, 0] + 0.25 * log_p[0, 1] + summed).item() / 2, rel=1e-5)
    hard, _ = losses(logits, torch.zeros(3, 2), data, [0, 1, 2], replace(RECIPE, soft_labels=False))
    assert hard.item() == pytest.approx(-(log_p[0, 0] + summed).item() / 2, rel=1e-5)


def test_a_chosen_topic_competes_with_those_it_was_chosen_from() -> None:
    data = _data(one_of=np.array([[1, 1], [0, 0], [0, 0]], np.float32))
    topics = torch.tensor([[1.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    with_choice = losses(torch.zeros(3, 3), topics, data, [0, 1, 2], RECIPE)[1]
    without = losses(torch.zeros(3, 3), topics, data, [0, 1, 2], replace(RECIPE, one_of_weight=0.0))[1]
    expected = RECIPE.one_of_weight * -topics[0].log_softmax(-1)[0] / 2
    assert (with_choice - without).item() == pytest.approx(expected.item(), rel=1e-5)


def test_equal_passes_do_not_diverge() -> None:
    a = (torch.randn(4, 3), torch.randn(4, 2))
    assert divergence(a, a).item() == pytest.approx(0, abs=1e-7)
    b = (torch.randn(4, 3), torch.randn(4, 2))
    assert divergence(a, b).item() == pytest.approx(divergence(b, a).item(), rel=1e-5)
    assert divergence(a, b).item() > 0


def test_fgm_raises_the_loss_and_puts_the_embeddings_back() -> None:
    torch.manual_seed(1)
    embeddings, head = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 3)
    ids, truth = torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 2])

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(head(embeddings(ids).mean(1)), truth)

    before = embeddings.weight.detach().clone()
    with pytest.raises(ValueError, match="freeze_word_embeddings"), perturbed(embeddings, 0.5):
        pass
    first = loss()
    first.backward()
    with perturbed(embeddings, 0.5):
        assert loss().item() > first.item()
    assert torch.allclose(embeddings.weight, before, atol=1e-6)


def test_a_soft_choice_is_learnt_in_its_shares() -> None:
    """The gradient of the topics that compete vanishes where their softmax has the proportions of the soft targets."""
    target = np.array([[0.6, 0.2], [0, 0], [0, 0]], np.float32)
    data = _data(topic_target=target, one_of=np.array([[1, 1], [0, 0], [0, 0]], np.float32))
    topics = torch.log(torch.tensor([[3.0, 1.0], [1.0, 1.0], [1.0, 1.0]])).requires_grad_()
    with_choice = losses(torch.zeros(3, 3), topics, data, [0, 1, 2], RECIPE)[1]
    without = losses(torch.zeros(3, 3), topics, data, [0, 1, 2], replace(RECIPE, one_of_weight=0.0))[1]
    (gradient,) = torch.autograd.grad(with_choice - without, topics)
    assert gradient.abs().max().item() < 1e-6
