"""What pruning costs before any further training: layers, heads and vocabulary of a model, measured on the gold set.

    python -m bench.pruning [--model DIR] [--corpus TEXTS.csv.gz]... [--threads 2]

The network is rebuilt from the folder, so all rows are in float32 and differ by pruning alone. Heads are ranked on the
rehearsal set and measured on the gold set. ``--corpus`` (CSV or JSONL with ``text``) says which pieces are needed;
without one the rehearsal set does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from models.encoding import load_tokenizer, prepare
from models.folder import DEFAULT_MODEL, ModelFolder, read_folder
from models.measure import by_set
from models.objectives import to_tensors
from models.own_sets import gold_examples, rehearsal_examples
from models.pruning import (
    coverage,
    cut_tokenizer,
    head_importance,
    keep_heads,
    keep_layers,
    keep_pieces,
    needed_pieces,
)
from models.rebuild import rebuild
from models.recipe import Recipe
from models.score_files import read_lines
from models.training import predict

GOLD = gold_examples()


def measured(folder: ModelFolder, network: Any, tokenizer: Tokenizer, recipe: Recipe) -> str:
    """Macro F1 of sentiment, micro F1 of topics, and the size in parameters, as cells of a table."""
    data = to_tensors(GOLD, tokenizer, folder.topics, folder.max_tokens)
    cuts = np.array([[folder.thresholds[e.lang][t] for t in folder.topics] for e in GOLD])
    found = by_set(GOLD, folder.topics, *predict(network, data, torch.device("cpu"), recipe), cuts)["gold"]
    size = sum(p.numel() for p in network.parameters()) / 1e6
    sentiment, topics = found["sentiment"], found["topics"]
    negative = sentiment["classes"]["negative"]["f1"]
    return f"{sentiment['macro_f1']:.3f} | {negative:.3f} | {topics['micro_f1']:.3f} | {size:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--corpus", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folder = read_folder(given.model)
    recipe = Recipe("bench", {}, bfloat16=False)
    whole = load_tokenizer(folder.path / "tokenizer.json", folder.max_tokens)
    depth = folder.encoder["num_hidden_layers"]
    print("| kept | sentiment macro F1 | negative F1 | topics micro F1 | M parameters |\n|---|---|---|---|---|")
    print(f"| all of {folder.version} | {measured(folder, rebuild(folder), whole, recipe)} |", flush=True)
    for kept in (range(depth - 1), range(depth - 2), [0, *range(2, depth)], range(0, depth, 2)):
        network = rebuild(folder)
        keep_layers(network, list(kept))
        named = ", ".join(map(str, kept))
        print(f"| layers {named} | {measured(folder, network, whole, recipe)} |", flush=True)
    importance = head_importance(
        rebuild(folder), to_tensors(rehearsal_examples(), whole, folder.topics, folder.max_tokens), recipe
    )
    rng = np.random.default_rng(0)
    for share in (0.9, 0.75, 0.5):
        for name, ranked in (("important", importance), ("random", [rng.random(len(x)) for x in importance])):
            network = rebuild(folder)
            left = keep_heads(network, ranked, share)
            row = measured(folder, network, whole, recipe)
            print(f"| {sum(left)} of {sum(map(len, importance))} heads, {name} | {row} |", flush=True)
    lines = [prepare(x.text, x.title) for name in given.corpus for x in read_lines(name) if x.reason is None]
    lines = lines or [prepare(e.text, e.title) for e in rehearsal_examples()]
    text = (folder.path / "tokenizer.json").read_text("utf-8")
    of_gold = [prepare(e.text, e.title) for e in GOLD]
    for share in (1.0, 0.999, 0.99):
        small = Tokenizer.from_str(cut_tokenizer(text, needed_pieces(whole, lines, folder.max_tokens, share)))
        small.enable_truncation(max_length=folder.max_tokens)
        network = rebuild(folder)
        keep_pieces(network, whole, small)
        alike = coverage(whole, small, of_gold, folder.max_tokens)
        of = f"{small.get_vocab_size():,} of {whole.get_vocab_size():,} pieces ({share} of {len(lines):,} texts)"
        gold = f"gold cut alike {alike['cut_alike']:.1%}, unknown {alike['unknown'][0]} → {alike['unknown'][1]}"
        print(f"| {of} ({gold}) | {measured(folder, network, small, recipe)} |", flush=True)


if __name__ == "__main__":
    main()
