"""The network: one BERT encoder, mean pooling, two linear heads. The kind of text is its token type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from barometer.vocabulary import KINDS, SENTIMENTS
from models.cheap_dropout import for_cpu
from models.errors import TrainingDataError


class Network(nn.Module):
    """Sentiment and topics from one encoder.

    The kind (unknown, news, comment) enters as BERT's token type, so that serving needs no operation of its own.
    """

    def __init__(self, config: BertConfig, topics: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = BertModel(config, add_pooling_layer=False)
        pruned = getattr(config, "heads_per_layer", None)  # see models.export.pruning
        for layer, heads in zip(self.encoder.encoder.layer if pruned else (), pruned or (), strict=True):
            narrow_attention(layer, range(heads))
        self.pad_id = int(config.pad_token_id or 0)
        self.dropout = nn.Dropout(dropout)
        self.sentiment = nn.Linear(config.hidden_size, len(SENTIMENTS))
        self.topics = nn.Linear(config.hidden_size, topics)

    def embed(self, ids: Tensor, kinds: Tensor) -> Tensor:
        """Mean of the last hidden states over the real tokens: (texts, hidden). ``ids`` is (texts, tokens), padded."""
        mask = torch.ne(ids, self.pad_id).long()
        types = kinds[:, None].expand_as(ids)
        hidden = self.encoder(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)

    def forward(self, ids: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of sentiment (texts, 3) and topics (texts, topics), in float32. ``kinds`` is (texts,)."""
        pooled = self.dropout(self.embed(ids, kinds)).float()
        with torch.autocast(pooled.device.type, enabled=False):
            return self.sentiment(pooled), self.topics(pooled)


def narrow_attention(layer: Any, kept: Sequence[int]) -> None:
    """Leave a BERT layer the attention heads of these numbers: fewer rows in, fewer columns out."""
    own, out = layer.attention.self, layer.attention.output
    size = own.attention_head_size
    rows = torch.tensor([h * size + i for h in kept for i in range(size)], device=own.query.weight.device)
    for name in ("query", "key", "value"):
        whole = getattr(own, name)
        narrow = nn.Linear(whole.in_features, len(rows), device=rows.device)
        narrow.weight = nn.Parameter(whole.weight.detach()[rows].clone())
        narrow.bias = nn.Parameter(whole.bias.detach()[rows].clone())
        setattr(own, name, narrow)
    narrow = nn.Linear(len(rows), out.dense.out_features, device=rows.device)
    narrow.weight = nn.Parameter(out.dense.weight.detach()[:, rows].clone())
    narrow.bias = out.dense.bias
    out.dense = narrow
    own.num_attention_heads, own.all_head_size = len(kept), len(rows)


def network_from_base(base: Path, layers: int, topics: int, dropout: float = 0.1) -> Network:
    """A network on the first ``layers`` layers of a pretrained BERT; each kind starts from the base's token type 0.

    Raises:
        TrainingDataError: the folder holds no model that transformers can load, or not all of its weights.
    """
    try:
        found: Any = BertModel.from_pretrained(
            base, num_hidden_layers=layers, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as e:  # the libraries raise many classes
        raise TrainingDataError(f"base model: transformers cannot load {base}: {' '.join(str(e).split())[:300]}") from e
    encoder, loaded = found
    if missing := sorted(loaded["missing_keys"]):  # else they would start at random, with no more than a warning
        raise TrainingDataError(f"base model: the weights in {base} lack {', '.join(missing[:3])}")
    config: Any = encoder.config
    types = encoder.embeddings.token_type_embeddings.weight[:1].detach().repeat(len(KINDS), 1)
    config.type_vocab_size = len(KINDS)
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = dropout, 0.0
    network = Network(config, topics, dropout)
    state = encoder.state_dict() | {"embeddings.token_type_embeddings.weight": types}
    network.encoder.load_state_dict(state)
    return network


def prepare_for_training(network: Network, device: torch.device) -> Network:
    """Move a network to where it learns, with the attention and the dropout that are fastest there.

    On a CPU the backward pass of the fused attention is slower than that of the plain one.
    """
    if device.type == "cpu":
        network.encoder.set_attn_implementation("eager")
        for_cpu(network)
    return network.to(device)
