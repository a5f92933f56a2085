"""One network out of several: the mean of the weights of runs that began at the same encoder.

A "model soup" (Wortsman et al. 2022, arXiv 2203.05482). Runs that were fine-tuned from one encoder lie close enough
together for the mean of their weights to be a network, often nearly as good as the mean of their answers, at the cost
of one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from models.errors import TrainingDataError
from models.training.provenance import teacher
from models.training.runs import is_run, save_atomically

_ALIKE = ("topics", "base")
"""What ``training.json`` of all runs must say alike."""


def average_runs(runs: Sequence[Path], out: Path) -> dict[str, Any]:
    """Write the mean of finished runs as a run of its own; what it says of recipe and sets is the last one's.

    Raises:
        TrainingDataError: fewer than two runs, one that is not finished, runs that differ in shape, topics or first
            encoder, or an ``out`` that exists.
    """
    if len(runs) < 2:
        raise TrainingDataError("average: name at least two runs")
    for run in runs:
        if not is_run(run):
            raise TrainingDataError(
                f"average: {run} is not a finished training run (best.pt, training.json, tokenizer.json)"
            )
    if out.exists():
        raise TrainingDataError(f"average: {out} exists already: choose another folder or remove it")
    facts = [json.loads((run / "training.json").read_text("utf-8")) for run in runs]
    saved = [torch.load(run / "best.pt", map_location="cpu", weights_only=True) for run in runs]
    last, last_facts = saved[-1]["network"], facts[-1]
    for run, other, of in zip(runs, saved, facts, strict=True):
        shapes = {k: v.shape for k, v in other["network"].items()}
        if shapes != {k: v.shape for k, v in last.items()}:
            raise TrainingDataError(f"average: the network of {run} has another shape than that of {runs[-1]}")
        if unlike := [k for k in _ALIKE if of[k] != last_facts[k]]:
            raise TrainingDataError(f"average: {run} and {runs[-1]} differ in {', '.join(unlike)}")
    mean = {
        k: torch.stack([s["network"][k].float() for s in saved]).mean(0).to(v.dtype) if v.is_floating_point() else v
        for k, v in last.items()
    }
    out.mkdir(parents=True)
    save_atomically(out / "best.pt", {"network": mean, "config": saved[-1]["config"]})
    (out / "tokenizer.json").write_bytes((runs[-1] / "tokenizer.json").read_bytes())
    # One that saw the dev splits brings them into the mean.
    recipe = last_facts["recipe"] | {"held_out": all(of["recipe"].get("held_out", True) for of in facts)}
    made: dict[str, Any] = last_facts | {"recipe": recipe, "averaged": [teacher(run) for run in runs]}
    (out / "training.json").write_text(json.dumps(made, ensure_ascii=False, indent=1), "utf-8")
    return made
