"""What a training run reads: the examples of its recipe's sets, and which of them each epoch shows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from models.data.examples import Example
from models.data.sets import SETS_FILE, load_sets, read_split, whole_set
from models.errors import TrainingDataError
from models.text.encoding import batches
from models.training.augmentation import augmented
from models.training.objectives import Tensors
from models.training.recipe import Recipe

log = structlog.get_logger(__name__)

_OURS = {
    "own": "The project's own texts",
    "rehearsal": "The project's own rehearsal set",
    "composed": "Texts from the project's own grammar",
}


def gather(recipe: Recipe, data: Path) -> tuple[list[tuple[Example, dict[str, Any]]], list[Example], dict[str, Any]]:
    """Training examples with their set's options, dev examples, and what was read (for the card).

    A recipe with ``held_out: false`` trains on the dev splits too and has no dev examples.
    """
    train: list[tuple[Example, dict[str, Any]]] = []
    dev: list[Example] = []
    read: dict[str, Any] = {}
    described = load_sets(recipe.beside(recipe.sets_file) or SETS_FILE)
    for name, options in recipe.sets.items():
        own_train, own_dev = (
            read_split(name, data, sets=described) if recipe.held_out else (whole_set(name, data, described), [])
        )
        train += [(e, options) for e in augmented(own_train, recipe.augment, recipe.seed)]
        dev += own_dev
        about = described.get(name, {"about": _OURS.get(name, name), "licence": "the project's"})
        read[name] = {
            "about": about["about"],
            "licence": about["licence"],
            "train": len(own_train),
            "dev": len(own_dev),
        }
        log.info("read", set=name, train=len(own_train), dev=len(own_dev))
    for name, size in shown_an_epoch({name: of["train"] for name, of in read.items() if of["train"]}, recipe).items():
        read[name]["an_epoch"] = size
    if not train:
        raise TrainingDataError(f"recipe {recipe.name}: its sets hold no training text")
    return train, dev, read


def epoch_rows(train: Sequence[tuple[Example, dict[str, Any]]], recipe: Recipe, epoch: int) -> list[int]:
    """Which examples an epoch shows: a fresh sample of the large sets, repeats of the small ones."""
    by_source: dict[str, list[int]] = {}
    for i, (e, _) in enumerate(train):
        by_source.setdefault(e.source, []).append(i)
    sizes = shown_an_epoch({name: len(indices) for name, indices in by_source.items()}, recipe)
    rows: list[int] = []
    for name, indices in by_source.items():
        order = indices[:]
        random.Random(f"{recipe.seed}:{name}").shuffle(order)
        start = (epoch * sizes[name]) % len(order)  # successive epochs walk on through a large set
        rows += [order[(start + k) % len(order)] for k in range(sizes[name])]
    return rows


def shown_an_epoch(held: dict[str, int], recipe: Recipe) -> dict[str, int]:
    """How many texts of each set an epoch shows: its sample times its repeats, evened out by the sampling temperature.

    A temperature t makes the shares of the sets those of n to the power of 1 / t (Devlin et al. 2018, multilingual
    BERT; t = 1 leaves them); the sum stays.
    """
    options = {name: recipe.sets.get(name, {}) for name in held}
    sizes = {name: min(o.get("sample", held[name]), held[name]) * o.get("repeat", 1) for name, o in options.items()}
    if recipe.sampling_temperature == 1:
        return sizes
    powers = {name: n ** (1 / recipe.sampling_temperature) for name, n in sizes.items()}
    scale = sum(sizes.values()) / sum(powers.values())
    return {name: max(1, round(scale * power)) for name, power in powers.items()}


def batch_schedule(train: Sequence[tuple[Example, dict[str, Any]]], data: Tensors, recipe: Recipe) -> list[list[int]]:
    """All batches of all epochs, in order: alike lengths together, the batches shuffled."""
    schedule: list[list[int]] = []
    for epoch in range(recipe.epochs):
        rng = random.Random(recipe.seed * 1000 + epoch)
        rows = epoch_rows(train, recipe, epoch)
        rng.shuffle(rows)
        made = [
            [rows[k] for k in b]
            for b in batches([len(data.ids[i]) for i in rows], recipe.tokens_per_batch, recipe.texts_per_batch)
        ]
        rng.shuffle(made)
        schedule += made
    return schedule
