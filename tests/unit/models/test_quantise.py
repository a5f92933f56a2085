"""Integer weights: within half a step of the original, in the range that no processor saturates."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.graph.quantise import EMBEDDING_TOP, LINEAR_TOP, dequantise_rows, quantise_rows

WEIGHTS = arrays(np.float32, (5, 8), elements=st.floats(-4, 4, width=32))


@example(np.full((5, 8), 4.64e-43, np.float32), LINEAR_TOP)
@given(WEIGHTS, st.sampled_from([LINEAR_TOP, EMBEDDING_TOP]))
def test_undone_within_half_a_step(weight: np.ndarray, top: int) -> None:
    codes, scales = quantise_rows(weight, top)
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() <= top
    assert np.all(np.abs(dequantise_rows(codes, scales) - weight) <= 0.5001 * scales + 1e-30)


def test_two_products_of_linear_codes_fit_in_sixteen_bits() -> None:
    assert 2 * 255 * LINEAR_TOP < 2**15
