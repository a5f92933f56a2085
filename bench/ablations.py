"""What each means of training is worth: variants of one small recipe, one row of a table each.

    python -m bench.ablations --data DIR --base DIR --out DIR [--seeds 20 21 22] [--part 1/2] [--pretrained DIR]
        [--teacher RUN] [--variants bench/ablations_cpu.yaml]  # or bench/ablations_partial.yaml

A variant that is finished in --out is not run again, so a stopped bench goes on, and two may run side by side with
--part 1/2 and --part 2/2. The table is printed from all that is finished: means over the seeds, and the standard
deviation between them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

import models.training.fine_tuning as training
from barometer.vocabulary import KINDS, SENTIMENTS
from models.data.examples import Example
from models.evaluation.figures import by_set, summary
from models.labels import load_topics
from models.network import Network, network_from_base
from models.text.encoding import load_tokenizer
from models.training.objectives import to_tensors
from models.training.recipe import Recipe
from models.training.sampling import gather

HERE = Path(__file__).with_name("ablations.yaml")
_COLUMNS = (
    ("finfe", "sentiment", "accuracy"),
    ("finfe", "sentiment", "macro_f1"),
    ("twitter_fin_sentiment", "sentiment", "macro_f1"),
    ("sentfin", "sentiment", "macro_f1"),
    ("wind_stock_news", "sentiment", "macro_f1"),
    ("finnl", "topics", "micro_f1"),
    ("finnl", "topics", "macro_f1"),
    ("finnsp", "sentiment", "macro_f1"),
    ("twitter_fin_topic", "choice", "accuracy"),
    ("twitter_fin_topic", "choice", "macro_f1"),
)


class HeadsByKind(Network):
    """A sentiment head for each kind, in place of the kind as input (which stays unknown)."""

    def __init__(self, config: Any, topics: int, dropout: float = 0.1) -> None:
        super().__init__(config, topics, dropout)
        self.sentiment = nn.Linear(config.hidden_size, len(SENTIMENTS) * len(KINDS))

    def forward(self, ids: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """As the network's; the logits of sentiment are those of each text's kind."""
        pooled = self.dropout(self.embed(ids, torch.zeros_like(kinds))).float()
        with torch.autocast(pooled.device.type, enabled=False):
            of_kinds = self.sentiment(pooled).view(-1, len(KINDS), len(SENTIMENTS))
            return of_kinds[torch.arange(len(kinds)), kinds], self.topics(pooled)


def _with_heads(base: Path, layers: int, topics: int, dropout: float = 0.1) -> Network:
    plain = network_from_base(base, layers, topics, dropout)
    made = HeadsByKind(plain.encoder.config, topics, dropout)
    made.encoder.load_state_dict(plain.encoder.state_dict())
    return made


def presumed(example: Example, topics: list[str], not_negative_is_neutral: bool, unlabelled_is_absent: bool) -> Example:
    """A text whose label is taken to say more than it says: what training without partial labels would presume."""
    sentiment = (1,) if not_negative_is_neutral and len(example.sentiment) > 1 else example.sentiment
    absent = dict.fromkeys(topics, (0.0, 1.0)) if unlabelled_is_absent else {}
    return replace(example, sentiment=sentiment, topics=absent | example.topics)


def run(name: str, fields: dict[str, Any], seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train one variant and measure it on the dev splits of the base recipe's sets."""
    base_fields = yaml.safe_load(args.variants.read_text("utf-8"))["base"]
    mine = base_fields | fields
    by_kind, pretrained, taught, neutral, absent = (
        mine.pop(k, False)
        for k in ("heads_by_kind", "pretraining", "teacher", "not_negative_is_neutral", "unlabelled_is_absent")
    )
    for needed, given, option in ((pretrained, args.pretrained, "--pretrained"), (taught, args.teacher, "--teacher")):
        if needed and not given:
            raise SystemExit(f"{name}: give {option}")
    if args.quick:
        mine |= {
            "epochs": 1,
            "sets": {k: {"sample": 200} for k in mine["sets"]},
            "probe_texts": min(200, mine["probe_texts"]),
        }
    recipe = Recipe(name=re.sub(r"\W+", "-", name), seed=seed, **mine)
    out = folder(args.out, name, seed)
    began, shown = time.monotonic(), [0.0]

    def report(step: int, steps: int, line: str) -> None:
        if time.monotonic() - shown[0] > 20:
            shown[0] = time.monotonic()
            print(f"{name}: {step}/{steps} {line}", file=sys.stderr, flush=True)

    topics = [t.id for t in load_topics()]

    def read(recipe: Recipe, data: Path) -> Any:
        train, dev, about = gather(recipe, data)
        return [(presumed(e, topics, neutral, absent), o) for e, o in train], dev, about

    training.gather = read if neutral or absent else gather
    training.network_from_base = _with_heads if by_kind else network_from_base
    training.train_model(
        recipe,
        args.data,
        args.pretrained if pretrained else args.base,
        out,
        args.threads,
        report,
        [args.teacher] if taught else [],
    )
    spent = time.monotonic() - began
    saved = torch.load(out / "best.pt", weights_only=True)
    from transformers import BertConfig

    network = (HeadsByKind if by_kind else Network)(BertConfig(**json.loads(saved["config"])), len(topics))
    network.load_state_dict(saved["network"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    measured = replace(recipe, sets={k: {} for k in base_fields["sets"]}, augment=0.0)
    _, dev, _ = gather(measured, args.data)
    data = to_tensors(dev, load_tokenizer(out / "tokenizer.json", recipe.max_tokens), topics, recipe.max_tokens)
    found = by_set(dev, topics, *training.predict(network.to(device), data, device, recipe))
    row = {"name": name, "seed": seed, "seconds": round(spent), "summary": summary(found)}
    for of, part, measure in _COLUMNS:
        trained = of in mine["sets"]
        row[f"{of} {measure}"] = found[of][part][measure] if trained and part in found[of] else None
    (out / "best.pt").unlink()
    (out / "row.json").write_text(json.dumps(row), "utf-8")
    return row


def folder(out: Path, name: str, seed: int) -> Path:
    """Where a variant's run lies."""
    plain = re.sub(r"\W+", "-", name)
    return out / f"{plain}-{seed}"


def table(out: Path, names: list[str]) -> str:
    """Markdown of all finished variants, in the order of the file."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(out.glob("*/row.json")):
        row = json.loads(path.read_text("utf-8"))
        rows.setdefault(row["name"], []).append(row)
    keys = [f"{of} {measure}" for of, _, measure in _COLUMNS]
    keys = [k for k in keys if any(r.get(k) is not None for found in rows.values() for r in found)]
    lines = ["| variant | " + " | ".join(k.replace("_", " ") for k in keys) + " | mean (sd) | seeds | s |"]
    lines.append("|---" * (len(keys) + 4) + "|")
    for name in (n for n in names if n in rows):
        of_seeds = rows[name]
        cells = []
        for key in keys:
            values = [r.get(key) for r in of_seeds]
            cells.append("" if None in values else f"{np.mean([v for v in values if v is not None]):.3f}")
        # One that trains on fewer sets than the others has no mean.
        means = [np.mean([r[k] for k in keys]) for r in of_seeds if None not in [r.get(k) for k in keys]]
        spread = f" ({np.std(means, ddof=1):.3f})" if len(means) > 1 else ""
        cells += [f"{np.mean(means):.4f}{spread}" if means else "", str(len(of_seeds))]
        cells.append(f"{np.mean([r['seconds'] for r in of_seeds]):.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", type=Path, default=HERE, help="a file like ablations.yaml")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[20, 21, 22])
    parser.add_argument("--part", default="1/1", help="which of how many shares of the variants")
    parser.add_argument("--pretrained", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery; the figures mean nothing")
    args = parser.parse_args()
    variants = yaml.safe_load(args.variants.read_text("utf-8"))["variants"]
    chosen = [n for n in variants if not args.only or n in args.only]
    part, parts = map(int, args.part.split("/"))
    jobs = [(name, seed) for seed in args.seeds for name in chosen]
    for name, seed in jobs[part - 1 :: parts]:
        if not (folder(args.out, name, seed) / "row.json").exists():
            print(run(name, variants[name] or {}, seed, args), file=sys.stderr, flush=True)
    print(table(args.out, list(variants)))


if __name__ == "__main__":
    main()
