"""The network over packed texts: all tokens of a batch in one row, without padding, for a GPU (and for tests on a CPU).

A padded batch computes its padding too; here the linear layers see (tokens, hidden), and attention is told where each
text begins (Dao 2023, FlashAttention-2, arXiv 2307.08691; ``torch.nn.attention.varlen``). Query, key and value are one
product. The weights are those of :class:`models.network.Network`; only the order of sums differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.network import Network


class Packed(NamedTuple):
    """Texts laid end to end."""

    ids: Tensor
    """(tokens,)"""
    places: Tensor
    """(tokens,): each token's position in its text."""
    kinds: Tensor
    """(tokens,): the kind of the text that the token belongs to."""
    starts: Tensor
    """(texts + 1,) int32: where each text begins, and the end of the last."""
    longest: int
    """Tokens of the longest text."""


class _Layer(nn.Module):
    """One transformer block with its three input products as one."""

    def __init__(self, layer: Any) -> None:
        """``layer``: one of transformers' BertLayer."""
        super().__init__()
        own, out = layer.attention.self, layer.attention.output
        parts = (own.query, own.key, own.value)
        self.heads = int(own.num_attention_heads)
        self.qkv_weight = nn.Parameter(torch.cat([p.weight for p in parts]), False)
        self.qkv_bias = nn.Parameter(torch.cat([p.bias for p in parts]), False)
        self.out, self.norm = out.dense, out.LayerNorm
        self.inner, self.outer = layer.intermediate.dense, layer.output.dense
        self.last_norm = layer.output.LayerNorm

    def forward(self, x: Tensor, starts: Tensor, longest: int) -> Tensor:
        """(tokens, hidden) → (tokens, hidden)."""
        q, k, v = F.linear(x, self.qkv_weight, self.qkv_bias).view(len(x), 3, self.heads, -1).unbind(1)
        seen = _attend(q, k, v, starts, longest).reshape(len(x), -1)
        x = self.norm(self.out(seen) + x)
        x = self.last_norm(self.outer(F.gelu(self.inner(x))) + x)
        return x


def _attend(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
    """Attention within each text; all are (tokens, heads, width)."""
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        made = varlen_attn(q, k, v, starts, starts, longest, longest)
        return made if isinstance(made, Tensor) else made[0]
    lengths = starts.diff().tolist()  # elsewhere there is no such kernel: the texts are padded for this step alone
    padded = [nn.utils.rnn.pad_sequence(part.split(lengths), batch_first=True).transpose(1, 2) for part in (q, k, v)]
    real = torch.arange(longest, device=q.device)[None] < starts.diff()[:, None]
    made = F.scaled_dot_product_attention(padded[0], padded[1], padded[2], attn_mask=real[:, None, None])
    return made.transpose(1, 2)[real]


class PackedNetwork(nn.Module):
    """Embeddings, blocks and heads of a network, run over packed texts; in evaluation mode, without gradients."""

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        super().__init__()
        network = network.eval()
        embeddings = network.encoder.embeddings
        self.words, self.places = embeddings.word_embeddings, embeddings.position_embeddings
        self.kinds, self.norm = embeddings.token_type_embeddings, embeddings.LayerNorm
        self.layers = nn.ModuleList(_Layer(layer) for layer in network.encoder.encoder.layer)
        self.to(dtype)
        self.sentiment, self.topics = network.sentiment.float(), network.topics.float()
        self.requires_grad_(False)

    def forward(self, texts: Packed) -> tuple[Tensor, Tensor]:
        """Logits of sentiment (texts, 3) and topics (texts, topics), float32."""
        x = self.norm(self.words(texts.ids) + self.places(texts.places) + self.kinds(texts.kinds))
        for layer in self.layers:
            x = layer(x, texts.starts, texts.longest)
        # The mean of each text, summed in float32 in the order of its tokens.
        pooled = torch.segment_reduce(x.float(), "mean", lengths=texts.starts.diff().long(), axis=0)
        return self.sentiment(pooled), self.topics(pooled)


def pack(ids: Sequence[Sequence[int]] | np.ndarray, lengths: np.ndarray, kinds: np.ndarray, device: str) -> Packed:
    """Lay texts end to end on a device.

    Args:
        ids: of each text, or already flat (tokens,).
        lengths: (texts,), tokens of each; none is 0.
        kinds: (texts,).
    """
    flat = ids if isinstance(ids, np.ndarray) else np.concatenate([np.asarray(x, np.int32) for x in ids])
    starts = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=starts[1:])

    def put(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        made = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
        # From pinned memory the copy goes on beside the computing.
        return made.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else made.to(device)

    places = np.arange(len(flat), dtype=np.int32) - np.repeat(starts[:-1], lengths)
    return Packed(
        put(flat, torch.int32),
        put(places, torch.int32),
        put(np.repeat(kinds, lengths), torch.int32),
        put(starts, torch.int32),
        int(lengths.max()),
    )
