"""Integer weights with a scale a row, symmetric, and undone: for embeddings and linear layers."""

from __future__ import annotations

import numpy as np

EMBEDDING_TOP = 127
"""Embeddings use 8 bits."""

LINEAR_TOP = 63
"""Linear layers use 7 bits: processors without VNNI add two products of 8 bits in 16 and saturate; with 7 they cannot
(2 · 255 · 63 < 2¹⁵), so every machine computes the same sums."""


def quantise_rows(weight: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) to (codes int8 in [-top, top], scales float32 (rows, 1)). A row of zeros has scale 0."""
    scales = np.abs(weight).max(-1, keepdims=True).astype(np.float32) / np.float32(top)
    codes = np.rint(weight / np.where(scales == 0, 1, scales)).clip(-top, top)  # a subnormal scale is a coarse one
    return codes.astype(np.int8), scales


def dequantise_rows(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The inverse, up to rounding: float32."""
    return np.asarray(codes.astype(np.float32) * scales.reshape(-1, 1))
