"""How long the explanation of one text takes on the processor: median and 95th percentile, for comments and for news.

    python -m bench.explanations [--model DIR] [--layers 12] [--threads 2] [--texts 100]

``--layers`` measures a network of random weights of so many layers, with the model's tokenizer and width: the time does
not depend on what a network has learnt. Exit code 1 if a 95th percentile is above 300 ms.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.scorer import stream
from models.folder import DEFAULT_MODEL, read_folder
from models.scoring.explain import explain
from models.scoring.scorer import load_scorer

MUST_MS = 300.0


def random_folder(model: Path, layers: int, out: Path) -> Path:
    """A model folder as ``model``, with random weights in so many layers."""
    import onnx
    import torch
    from transformers import BertConfig

    from models.graph.onnx_graph import build
    from models.network import Network

    labels = json.loads((model / "labels.json").read_text("utf-8"))
    labels["encoder"]["num_hidden_layers"] = layers
    labels["encoder"].pop("heads_per_layer", None)
    torch.manual_seed(0)
    network = Network(BertConfig(**labels["encoder"]), len(labels["topics"]))
    state = {k: v.float().numpy() for k, v in network.state_dict().items() if v.is_floating_point()}
    out.mkdir()
    onnx.save(build(state, network.encoder.config.to_dict()), str(out / "model.onnx"))
    (out / "labels.json").write_text(json.dumps(labels), "utf-8")
    shutil.copyfile(model / "tokenizer.json", out / "tokenizer.json")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--layers", type=int, help="measure random weights in so many layers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", type=int, default=100)
    given = parser.parse_args()
    read_folder(given.model)
    slow = False
    with tempfile.TemporaryDirectory() as kept:
        folder = random_folder(given.model, given.layers, Path(kept) / "model") if given.layers else given.model
        scorer = load_scorer(folder, given.threads)
        for kind in ("comment", "news"):
            took, parts = [], []
            for m in stream(kind, given.texts + 3):
                began = time.perf_counter()
                made = explain(scorer, m["text"], kind, title=m.get("title"))
                took.append((time.perf_counter() - began) * 1000)
                parts.append(len(made.parts))
            p50, p95 = np.percentile(took[3:], [50, 95])
            slow |= bool(p95 > MUST_MS)
            print(
                f"{scorer.folder.encoder['num_hidden_layers']} layers, {kind}: median {p50:.0f} ms, 95th percentile "
                f"{p95:.0f} ms, {np.median(parts):.0f} parts in the median"
            )
    sys.exit(slow)


if __name__ == "__main__":
    main()
