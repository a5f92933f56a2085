"""What training minimises: the losses of a batch, and the perturbation that FGM adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from barometer.vocabulary import KINDS, SENTIMENTS
from models.data.examples import Example
from models.text.encoding import encode, prepare
from models.training.recipe import Recipe


@dataclass(slots=True)
class Tensors:
    """Examples as arrays: ids are ragged; kinds (n,), allowed, votes (n, 3), sentiment weight (n,), topics (n, t)."""

    ids: list[list[int]]
    kinds: np.ndarray
    allowed: np.ndarray
    votes: np.ndarray
    """Soft labels; a row of zeros where there are none."""
    sentiment_weight: np.ndarray
    topic_target: np.ndarray
    topic_weight: np.ndarray
    one_of: np.ndarray
    """1 for the topics of which the text's set chose one, 0 elsewhere."""
    _copies: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def of(self, name: str, rows: Tensor) -> Tensor:
        """Rows of an array on the device of ``rows``, where the whole array is put once."""
        key = (name, str(rows.device))
        if key not in self._copies:
            self._copies[key] = torch.from_numpy(getattr(self, name)).to(rows.device)
        return self._copies[key][rows]


def to_tensors(examples: Sequence[Example], tokenizer: Tokenizer, topics: Sequence[str], max_tokens: int) -> Tensors:
    """Tokenise once and lay labels out; the arrays are parallel to the examples."""
    n, place = len(examples), {t: i for i, t in enumerate(topics)}
    made = Tensors(
        encode(tokenizer, [prepare(e.text, e.title) for e in examples], max_tokens),
        np.array([KINDS.index(e.kind) for e in examples], np.int64),
        np.zeros((n, len(SENTIMENTS)), np.float32),
        np.zeros((n, len(SENTIMENTS)), np.float32),
        np.array([e.sentiment_weight if e.sentiment else 0.0 for e in examples], np.float32),
        np.zeros((n, len(topics)), np.float32),
        np.zeros((n, len(topics)), np.float32),
        np.zeros((n, len(topics)), np.float32),
    )
    for i, e in enumerate(examples):
        made.allowed[i, list(e.sentiment)] = 1
        if e.votes:
            made.votes[i] = e.votes
        for topic, (target, weight) in e.topics.items():
            if topic in place:
                made.topic_target[i, place[topic]] = target
                made.topic_weight[i, place[topic]] = weight
        if e.one_of and sum(e.topics.get(t, (0, 0))[0] for t in e.one_of) > 0:
            made.one_of[i, [place[t] for t in e.one_of if t in place]] = 1
    return made


def losses(
    sentiment: Tensor, topics: Tensor, data: Tensors, rows: Sequence[int], recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """(sentiment loss, topic loss) of a batch: weighted means over the texts that say something of each.

    Sentiment: minus the log of the summed probability of the allowed classes (one class: cross-entropy), or the
    cross-entropy to the annotators' votes. Topics: binary cross-entropy on the topics that are not masked, and for
    a set that chose one topic a text, the cross-entropy of that choice (of its shares, where they are soft) with weight
    ``one_of_weight``.
    """

    chosen_rows = torch.tensor(rows, device=sentiment.device)
    weight, log_p = data.of("sentiment_weight", chosen_rows), sentiment.log_softmax(-1)
    each = log_p.masked_fill(data.of("allowed", chosen_rows) == 0, -1e4).logsumexp(-1)
    if recipe.soft_labels:
        votes = data.of("votes", chosen_rows)
        each = torch.where(votes.sum(-1) > 0, (votes * log_p).sum(-1), each)
    sentiment_loss = -(each * weight).sum() / weight.sum().clamp(min=1)

    mask, target = data.of("topic_weight", chosen_rows), data.of("topic_target", chosen_rows)
    binary = nn.functional.binary_cross_entropy_with_logits(topics, target, weight=mask, reduction="none")
    topic_loss = binary.sum() / (mask.sum(-1) > 0).sum().clamp(min=1)
    if recipe.one_of_weight:
        rivals = data.of("one_of", chosen_rows)
        choice = topics.masked_fill(rivals == 0, -1e4).log_softmax(-1)
        shares = target * rivals
        chosen = (choice * shares / shares.sum(-1, keepdim=True).clamp(min=1e-6)).sum()
        topic_loss = topic_loss - recipe.one_of_weight * chosen / (mask.sum(-1) > 0).sum().clamp(min=1)
    return sentiment_loss, topic_loss


def divergence(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """R-Drop (Liang et al. 2021, arXiv 2106.14448): the symmetric divergence of two passes with other dropout masks.

    Kullback-Leibler for sentiment; for topics the sum over the Bernoulli of each. A mean over the batch.
    """
    p, q = first[0].log_softmax(-1), second[0].log_softmax(-1)
    of_sentiment = ((p.exp() - q.exp()) * (p - q)).sum(-1)
    of_topics = ((first[1].sigmoid() - second[1].sigmoid()) * (first[1] - second[1])).sum(-1)
    return (of_sentiment + of_topics).mean() / 2


@contextmanager
def perturbed(embeddings: nn.Embedding, epsilon: float) -> Iterator[None]:
    """FGM (Miyato et al. 2017, arXiv 1605.07725): shift the embeddings by epsilon along their normalised gradient.

    Run a second forward and backward pass inside; the embeddings are put back at the end.
    """
    weight = embeddings.weight
    if weight.grad is None:
        raise ValueError("FGM needs a gradient of the embeddings: set freeze_word_embeddings: false")
    shift = epsilon * weight.grad / weight.grad.norm().clamp(min=1e-12)
    weight.data.add_(shift)
    try:
        yield
    finally:
        weight.data.sub_(shift)
