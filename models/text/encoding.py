"""From texts to token ids, the same way in training and in serving; and the lengths that batches are padded to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from barometer.readable import readable
from models.errors import REMEDY, ModelError
from models.text.traditional import simplified

_WHITE = re.compile(r"\s+")
_URL = re.compile(r"https?://[^\s\u3000-\u9fff\uff00-\uffef]+", re.I)
# Generous: what is beyond hardly ever reaches the network, and a long text is not tokenised to its end.
_CHARACTERS_PER_TOKEN = 12


def prepare(text: str, title: str | None = None) -> str:
    """What the network reads: :func:`in_one_line` with its characters simplified, place by place."""
    return simplified(in_one_line(text, title))


def in_one_line(text: str, title: str | None = None) -> str:
    """Title and text in one line, without markup, links shortened to ``http``. A title that the text begins with is not
    repeated."""
    line = _WHITE.sub(" ", readable(text)).strip()
    head = _WHITE.sub(" ", readable(title)).strip() if title else ""
    if head and not line.startswith(head):
        line = f"{head}：{line}" if line else head
    return _URL.sub("http", line)


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer of a model folder, cutting at ``max_tokens``. Raises ModelError if it can't be read."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as e:  # the library raises plain Exception
        raise ModelError(f"model: cannot read the tokenizer {path}: {e}: {REMEDY}") from e
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    return tokenizer


def encode(tokenizer: Tokenizer, lines: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids of prepared lines, with the special tokens, at most ``max_tokens`` each."""
    cut = max_tokens * _CHARACTERS_PER_TOKEN
    return [e.ids for e in tokenizer.encode_batch_fast([line[:cut] for line in lines])]


def cut_of(max_tokens: int, windows: int) -> int:
    """Characters of a line that are tokenised for so many windows."""
    return max_tokens * _CHARACTERS_PER_TOKEN * (windows + 1) // 2


def encode_windows(tokenizer: Tokenizer, lines: Sequence[str], max_tokens: int, most: int) -> list[list[list[int]]]:
    """As :func:`encode`, but a line beyond ``max_tokens`` gives up to ``most`` successive windows of so many."""
    cut = cut_of(max_tokens, most)
    made = tokenizer.encode_batch_fast([line[:cut] for line in lines])
    return [[e.ids, *(o.ids for o in e.overflowing[: most - 1])] if most > 1 else [e.ids] for e in made]


def padded_length(tokens: int) -> int:
    """The length that a text of so many tokens is padded to: a function of the text alone, never of its batch.

    So every operation over the tokens of a text sees the same shape and gives the same floats in any batch.
    """
    step = 8 if tokens <= 64 else 16 if tokens <= 256 else 64
    return -(-tokens // step) * step


def batches(lengths: Sequence[int], token_budget: int, max_texts: int = 512) -> list[list[int]]:
    """Indices grouped by padded length, each group at most ``token_budget`` padded tokens."""
    groups: dict[int, list[int]] = {}
    for i, n in enumerate(lengths):
        groups.setdefault(padded_length(n), []).append(i)
    made = []
    for length in sorted(groups):
        size = max(1, min(max_texts, token_budget // length))
        indices = groups[length]
        made += [indices[k : k + size] for k in range(0, len(indices), size)]
    return made


def pad(ids: Sequence[Sequence[int]], pad_id: int) -> np.ndarray:
    """One array (texts, padded length of the longest), int64."""
    length = padded_length(max(len(x) for x in ids))
    array = np.full((len(ids), length), pad_id, np.int64)
    for row, x in zip(array, ids, strict=True):
        row[: len(x)] = x
    return array
