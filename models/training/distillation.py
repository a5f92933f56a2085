"""Distillation (Hinton et al. 2015, arXiv 1503.02531): what several teachers say of a text becomes its soft label.

A labelled text keeps ``label_share`` of its own label and takes the rest from the teachers' mean; topics of which its
set says nothing are the teachers' alone. A transfer text, without labels, is the teachers' alone. So the training that
follows is the usual one, on examples whose votes and topic targets are shares.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch

from barometer.records import normalise
from models.data.examples import Example
from models.data.sets import rows_of
from models.errors import TrainingDataError
from models.evaluation.figures import softmax
from models.folder import LABELS, read_folder
from models.graph.rebuild import rebuild
from models.network import Network
from models.text.encoding import load_tokenizer
from models.training.inference import predict
from models.training.objectives import to_tensors
from models.training.recipe import Recipe
from models.training.runs import is_run, load_run
from models.training.sampling import epoch_rows

log = structlog.get_logger(__name__)

TRANSFER = "transfer"
"""The set that transfer texts belong to."""


@dataclass(slots=True)
class Teacher:
    """A trained network with what it reads by."""

    network: Network
    folder: Path
    max_tokens: int


def load_teacher(folder: Path, topics: Sequence[str]) -> Teacher:
    """A teacher from a finished training run or a model folder.

    Raises:
        TrainingDataError: it is neither, or has other topics.
    """
    if (folder / LABELS).is_file():
        model = read_folder(folder)
        known, network, longest = list(model.topics), rebuild(model), model.max_tokens
    elif is_run(folder):
        facts = json.loads((folder / "training.json").read_text("utf-8"))
        known, longest = facts["topics"], int(facts["recipe"]["max_tokens"])
        network = load_run(folder, len(known))
    else:
        raise TrainingDataError(f"teacher: {folder} is neither a finished training run nor a model folder")
    if known != list(topics):
        raise TrainingDataError(f"teacher: {folder} has other topics than the recipe's list")
    return Teacher(network.eval(), folder, longest)


def transfer_texts(recipe: Recipe, data: Path, held_out: Sequence[Example]) -> list[Example]:
    """The recipe's unlabelled texts, each once and none that stands in ``held_out``.

    Raises:
        TrainingDataError: a file or its column is missing.
    """
    seen = {normalise(e.text) for e in held_out}
    found = []
    for pattern, options in recipe.transfer.items():
        files = sorted(data.glob(pattern))
        if not files:
            raise TrainingDataError(f"distillation: no file {pattern} under {data}")
        try:
            texts = [
                (row[options["column"]], row.get("lang") or options.get("lang", ""))
                for f in files
                for row in rows_of(f)
            ]
        except KeyError as e:
            raise TrainingDataError(f"distillation: {pattern} has no column {e}") from e
        random.Random(f"{recipe.seed}:{pattern}").shuffle(texts)
        kept = 0
        for text, lang in texts:
            if kept == options.get("sample", len(texts)):
                break
            key = normalise(text)
            if key and key not in seen:
                seen.add(key)
                kept += 1
                found.append(Example(text, options["kind"], lang or "zh", TRANSFER))
    return found


def soft_labels(
    examples: Sequence[Example], teachers: Sequence[Teacher], topics: Sequence[str], recipe: Recipe, memory: Path
) -> tuple[np.ndarray, np.ndarray]:
    """The teachers' mean probabilities: sentiment (n, 3) and topics (n, topics); kept in the file ``memory``."""
    mark = hashlib.sha256()
    for e in examples:
        mark.update(f"{e.kind}|{e.title}|{e.text}\n".encode("utf-8", "replace"))
    for t in teachers:
        mark.update(str(t.folder.resolve()).encode())
    if memory.is_file():
        kept = np.load(memory)
        if str(kept["mark"]) == mark.hexdigest():
            return kept["sentiment"], kept["topics"]
    sentiment = np.zeros((len(examples), 3), np.float32)
    topic = np.zeros((len(examples), len(topics)), np.float32)
    for number, teacher in enumerate(teachers, 1):
        tokenizer = load_tokenizer(teacher.folder / "tokenizer.json", teacher.max_tokens)
        data = to_tensors(examples, tokenizer, topics, teacher.max_tokens)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        classes, named = predict(teacher.network.to(device), data, device, recipe)
        sentiment += (softmax(classes / recipe.temperature) / len(teachers)).astype(np.float32)
        topic += (1 / (1 + np.exp(-named)) / len(teachers)).astype(np.float32)
        log.info("taught", teacher=number, of=len(teachers), texts=len(examples))
    partial = memory.with_suffix(".partial.npz")
    np.savez(partial, mark=np.array(mark.hexdigest()), sentiment=sentiment, topics=topic)
    partial.replace(memory)
    return sentiment, topic


def taught(
    train: Sequence[tuple[Example, dict[str, Any]]],
    dev: Sequence[Example],
    teachers: Sequence[Path],
    topics: Sequence[str],
    recipe: Recipe,
    data: Path,
    memory: Path,
) -> list[tuple[Example, dict[str, Any]]]:
    """The training examples and the recipe's transfer texts, with labels softened by the teachers.

    What no epoch of the recipe will show is not asked of them.
    """
    loaded = [load_teacher(t, topics) for t in teachers]
    extra = transfer_texts(recipe, data, [*dev, *(e for e, _ in train)])
    everything = [(e, o) for e, o in train] + [(e, {}) for e in extra]
    shown = sorted({i for epoch in range(recipe.epochs) for i in epoch_rows(everything, recipe, epoch)})
    sentiment, topic = soft_labels([everything[i][0] for i in shown], loaded, topics, recipe, memory)
    for k, i in enumerate(shown):
        example, options = everything[i]
        everything[i] = (softened(example, sentiment[k], topic[k], topics, recipe.label_share), options)
    return everything


def softened(
    example: Example, sentiment: np.ndarray, topic: np.ndarray, topics: Sequence[str], share: float
) -> Example:
    """One example with ``share`` of its own label; sentiment is (3,), topic (topics,), both probabilities."""
    said = np.asarray(sentiment, float)
    if example.sentiment:
        own = np.zeros(3)
        if example.votes:
            own[:] = example.votes
        else:  # of the classes that the label allows, as the teachers share them out
            own[list(example.sentiment)] = said[list(example.sentiment)] + 1e-6
            own /= own.sum()
        trust = share * min(1.0, example.sentiment_weight)
        said = trust * own + (1 - trust) * said
    votes = (float(said[0]), float(said[1]), float(said[2]))
    targets = {}
    for k, name in enumerate(topics):
        own_target, weight = example.topics.get(name, (0.0, 0.0))
        trust = share * min(1.0, weight)
        targets[name] = (float(trust * own_target + (1 - trust) * topic[k]), 1.0)
    chosen = example.one_of if any(example.topics.get(t, (0, 0))[0] for t in example.one_of) else ()
    return replace(example, sentiment=(0, 1, 2), sentiment_weight=1.0, votes=votes, topics=targets, one_of=chosen)
