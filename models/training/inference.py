"""Forward passes of a network over encoded texts: one batch in training, all texts in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.network import Network
from models.text.encoding import batches, pad
from models.training.objectives import Tensors
from models.training.recipe import Recipe


def predict(network: Network, data: Tensors, device: torch.device, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Logits of sentiment (n, 3) and topics (n, t), in the order of the data."""
    network.eval()
    sentiment = np.zeros(data.allowed.shape, np.float32)
    topics = np.zeros(data.topic_target.shape, np.float32)
    with torch.inference_mode():
        for rows in batches([len(x) for x in data.ids], 4096 if device.type == "cpu" else 65_536):
            s, t = forward(network, data, rows, device, recipe, None)
            sentiment[rows], topics[rows] = s.cpu().numpy(), t.cpu().numpy()
    return sentiment, topics


def forward(
    network: Network,
    data: Tensors,
    rows: Sequence[int],
    device: torch.device,
    recipe: Recipe,
    rng: np.random.Generator | None,
) -> tuple[Tensor, Tensor]:
    kinds = data.kinds[list(rows)]
    if rng is not None:  # a reader that doesn't know the kind must be served too
        kinds = np.where(rng.random(len(kinds)) < recipe.kind_dropout, 0, kinds)
    ids = torch.from_numpy(pad([data.ids[i] for i in rows], network.pad_id)).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.bfloat16):
        out: tuple[Tensor, Tensor] = network(ids, torch.from_numpy(kinds).to(device))
    return out
