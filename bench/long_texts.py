"""How to read a text that is longer than the network's reach: its beginning, a longer beginning, or windows pooled.

    python -m bench.long_texts --dir DIR [--model FOLDER]

Measures on the texts of the dev splits that are longer than the reach, set by set: sentiment (negative or not, where
a set says only that) and topics. Windows are cut at tokens, the title stands before each, and their probabilities are
pooled by the mean, with the first counted twice, or by the most negative window.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from models.data.examples import Example
from models.data.sets import read_split
from models.evaluation.figures import by_set
from models.folder import TOKENIZER, read_folder
from models.scoring.backends import OnnxBackend
from models.scoring.interface import ScoredText
from models.scoring.scorer import Scorer
from models.text.encoding import load_tokenizer, prepare

SETS = ("finnsp", "finnl", "finese", "finne", "duee_fin_events", "twitter_fin_topic")


def windows(tokenizer: Tokenizer, line: str, most: int) -> list[str]:
    """A prepared line as at most ``most`` successive stretches, each within the network's reach."""
    made = tokenizer.encode(line)
    spans = [[o for o in e.offsets if o[1] > o[0]] for e in [made, *made.overflowing[: most - 1]]]
    return [line[s[0][0] : s[-1][1]] for s in spans if s]


Pool = Callable[[Sequence[ScoredText]], tuple[np.ndarray, np.ndarray]]


def _arrays(results: Sequence[ScoredText]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([r.sentiment_probabilities for r in results]), np.array([r.topic_probabilities for r in results])


def first(results: Sequence[ScoredText]) -> tuple[np.ndarray, np.ndarray]:
    """The beginning alone."""
    s, t = _arrays(results[:1])
    return s[0], t[0]


def mean(results: Sequence[ScoredText]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of all windows, the first counted twice."""
    s, t = _arrays(results)
    weights = np.ones(len(results))
    weights[0] = 2
    return np.average(s, axis=0, weights=weights), np.average(t, axis=0, weights=weights)


def worst(results: Sequence[ScoredText]) -> tuple[np.ndarray, np.ndarray]:
    """The sentiment of the most negative window; of each topic the largest probability."""
    s, t = _arrays(results)
    return s[s[:, 0].argmax()], t.max(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--most", type=int, default=8, help="windows a text at most")
    args = parser.parse_args()
    folder = read_folder(args.model)
    folder = replace(folder, windows=1)
    scorer = Scorer(folder, OnnxBackend(folder), cache_size=0)
    farther = replace(folder, max_tokens=2 * folder.max_tokens)
    twice = Scorer(farther, OnnxBackend(farther), cache_size=0)
    examples: list[Example] = []
    for name in SETS:
        for e in read_split(name, args.dir, 20)[1]:
            line = prepare(e.text, e.title)
            places = scorer.offsets(line)
            if places and places[-1][1] < len(line):
                examples.append(e)
    print(f"{len(examples)} dev texts are longer than {folder.max_tokens} tokens")
    cut = np.array([[folder.thresholds[e.lang][t] for t in folder.topics] for e in examples])
    lines = [prepare(e.text, e.title) for e in examples]
    tokenizer = load_tokenizer(folder.path / TOKENIZER, folder.max_tokens)
    pieces = [windows(tokenizer, line, args.most) for line in lines]
    began = time.monotonic()
    of_windows = [scorer.score_prepared(w, e.kind, e.lang) for w, e in zip(pieces, examples, strict=True)]
    of_twice = [twice.score_prepared([line], e.kind, e.lang) for line, e in zip(lines, examples, strict=True)]
    took = time.monotonic() - began
    ways: list[tuple[str, list[list[ScoredText]], Pool]] = [
        (f"first {folder.max_tokens} tokens", of_windows, first),
        (f"first {farther.max_tokens} tokens", of_twice, first),
        ("windows, mean", of_windows, mean),
        ("windows, most negative", of_windows, worst),
    ]
    print(f"{np.mean([len(p) for p in pieces]):.1f} windows a text, {took:.0f} s\n")
    print(
        "| way | set | texts | sentiment accuracy | macro F1 | negative F1 | topics micro F1 | choice |\n"
        + "|---" * 8
        + "|"
    )
    for title, results, pool in ways:
        pooled = [pool(r) for r in results]
        sentiment = np.log(np.array([s for s, _ in pooled]) + 1e-9)
        p = np.clip(np.array([t for _, t in pooled]), 1e-9, 1 - 1e-9)
        found = by_set(examples, folder.topics, sentiment, np.log(p / (1 - p)), cut)
        for name, m in found.items():
            s, t, c = m.get("sentiment"), m.get("topics"), m.get("choice")
            cells = [title, name, str((s or t or {"n": 0})["n"])]
            cells += (
                [f"{s['accuracy']:.3f}", f"{s['macro_f1']:.3f}", f"{s['classes'].get('negative', {}).get('f1', 0):.3f}"]
                if s
                else [""] * 3
            )
            cells += [f"{t['micro_f1']:.3f}" if t else "", f"{c['accuracy']:.3f}" if c else ""]
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
