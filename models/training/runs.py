"""A training run's folder: ``best.pt`` (weights and shape), ``tokenizer.json``, ``training.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig

from models.network import Network


def is_run(folder: Path) -> bool:
    """Whether a folder is a finished training run."""
    return all((folder / name).is_file() for name in ("best.pt", "training.json", "tokenizer.json"))


def load_run(run: Path, topics: int) -> Network:
    """The best network of a training run, in evaluation mode."""
    saved = torch.load(run / "best.pt", map_location="cpu", weights_only=True)
    network = Network(BertConfig(**json.loads(saved["config"])), topics)
    network.load_state_dict(saved["network"])
    return network.eval()


def save_atomically(path: Path, value: dict[str, Any]) -> None:
    """Write a checkpoint beside its place and rename it: a stop leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(value, partial)
    partial.replace(path)
