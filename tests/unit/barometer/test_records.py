"""Row ids, normalisation and fingerprints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.records import MAX_OFFSET, fingerprint, hash64, normalise, pack_row, unpack_row


@given(st.integers(0, 2047), st.integers(0, 4095), st.integers(0, MAX_OFFSET))
def test_row_ids_round_trip_and_fit_a_signed_bigint(log_id: int, partition: int, offset: int) -> None:
    row = pack_row(log_id, partition, offset)
    assert 0 <= row < 2**63
    assert unpack_row(row) == (log_id, partition, offset)


@given(
    st.tuples(st.integers(0, 4095), st.integers(0, MAX_OFFSET)),
    st.tuples(st.integers(0, 4095), st.integers(0, MAX_OFFSET)),
)
def test_row_ids_are_ordered_as_partition_and_offset(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert (pack_row(7, *a) < pack_row(7, *b)) == (a < b)


@pytest.mark.parametrize("parts", [(2048, 0, 0), (0, 4096, 0), (0, 0, MAX_OFFSET + 1), (0, 0, -1)])
def test_row_ids_out_of_range_are_refused(parts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="row out of range"):
        pack_row(*parts)


def test_copies_share_a_fingerprint() -> None:
    original = "恒远地产：明日起停牌，详情见 https://a.example/x?y=1"
    copies = [
        "恒远地产:明日起停牌,详情见",
        "【恒远地产】明日起停牌 详情见 http://b.example/z",
        "恒远地产：明日起停牌，详情见！！！",
    ]
    assert {fingerprint(c) for c in copies} == {fingerprint(original)}


def test_what_differs_stays_apart() -> None:
    texts = ["涨了👍", "涨了👎", "跌了", "+5%", "!!!", "???", ""]
    assert len({fingerprint(t) for t in texts}) == len(texts)


def test_full_width_and_case_fold() -> None:
    assert normalise("ＡＢＣ　Ａｐｐｌｅ， Inc.") == normalise("abc apple inc")


@given(st.lists(st.text(st.characters(codec=None), max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_hash_tells_lists_apart(a: list[str], b: list[str]) -> None:
    assert (hash64(*a) == hash64(*b)) == (a == b)


@given(st.text(st.characters(codec=None)))
def test_fingerprint_takes_any_text_and_fits_a_bigint(text: str) -> None:
    assert -(2**63) <= fingerprint(text) < 2**63
