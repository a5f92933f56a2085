"""From a trained network to a model folder: integer weights, calibration on dev, measures, card."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import structlog
import torch
from tokenizers import Tokenizer

from barometer.vocabulary import KINDS, LANGUAGES, SENTIMENTS
from models.behaviour import run as run_behaviour
from models.behaviour import table
from models.data.examples import Example
from models.errors import ModelError
from models.evaluation.figures import by_set, summary
from models.evaluation.measuring import dev_of, evaluate
from models.export.calibration import temperatures, thresholds, trial_topics
from models.export.card import write_card
from models.export.pruning import WHOLE, Pruning, prune, pruning_notes
from models.folder import FORMAT, LABELS, METRICS, TOKENIZER, TOPICS_IN_WEIGHTS, WEIGHTS, content_hash, read_folder
from models.graph.onnx_graph import build
from models.labels import load_topics
from models.network import Network
from models.scoring.backends import OnnxBackend
from models.scoring.scorer import load_scorer
from models.text.encoding import load_tokenizer, prepare
from models.training.inference import predict
from models.training.objectives import Tensors, to_tensors
from models.training.recipe import Recipe
from models.training.runs import load_run
from models.training.sampling import gather

log = structlog.get_logger(__name__)

PRECISION = "int8"
WINDOWS = 2
"""Stretches read of a long text: see ``bench/long_texts.py``."""
_ENCODER = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id",
)  # fmt: skip


_MEASURED = ("dev", "float32_dev", "dev_groups", "summary", "float32_summary", "sentiment_labels_changed_by_integers")
"""What ``metrics.json`` says of the dev splits."""


def export_model(
    run: Path,
    data: Path,
    out: Path,
    name: str,
    threads: int = 1,
    beside: Path | None = None,
    pruning: Pruning = WHOLE,
    measured: Path | None = None,
) -> str:
    """Turn the folder that training left into a model folder, and return its version.

    Temperatures and thresholds are chosen with the integer network on the dev splits of the recipe's sets; a run that
    trained on these too (``held_out: false``) takes them, and the figures, from the model named by ``measured``.

    Args:
        run: what ``models.training.fine_tuning.train_model`` wrote.
        data: the labelled sets.
        out: the model folder; must not exist. Nothing is left there if it fails.
        name: first part of the version, such as ``e5s12``.
        beside: figures of another model for the card: ``figures.json`` of an evaluation of it on the same splits.
        pruning: what is to stay of the network; its cost stands in ``metrics.json`` and on the card.
        measured: model folder of a run of the same recipe that held the dev splits out.

    Raises:
        ModelError: the run is not finished, or ``out`` exists, or the network cannot be pruned so, or ``measured`` is
            missing, needless or of another recipe.
    """
    if out.exists():
        raise ModelError(f"export: {out} exists already: choose another folder or remove it")
    for needed in ("best.pt", "training.json", "tokenizer.json"):
        if not (run / needed).is_file():
            raise ModelError(f"export: {run / needed} is missing: is the training run finished?")
    other = _figures(beside) if beside else None
    facts = json.loads((run / "training.json").read_text("utf-8"))
    topics: list[str] = facts["topics"]
    recipe = Recipe(**facts["recipe"], path=Path(facts.get("recipe_path", "recipe.yaml")))
    twin = _twin(recipe, measured)
    torch.set_num_threads(threads)

    # The network and the dev texts
    network = load_run(run, len(topics))
    train, dev, _ = gather(recipe, data)
    tokenizer_text, pruned = (run / TOKENIZER).read_text("utf-8"), None
    tokenizer = load_tokenizer(run / "tokenizer.json", recipe.max_tokens)
    dev_set = to_tensors(dev, tokenizer, topics, recipe.max_tokens)
    if pruning:
        whole = _summary(network, recipe, dev, dev_set, topics)
        lines = [prepare(e.text, e.title) for e, _ in train]
        tokenizer_text, pruned = prune(network, run / TOKENIZER, pruning, lines, dev_set, recipe)
        tokenizer = Tokenizer.from_str(tokenizer_text)
        tokenizer.enable_truncation(max_length=recipe.max_tokens)
        dev_set = to_tensors(dev, tokenizer, topics, recipe.max_tokens)
        if dev:
            pruned["summary"] = [whole, _summary(network, recipe, dev, dev_set, topics)]
        facts |= {"parameters": pruned["parameters"][1]}
        log.info("pruned", what="; ".join(pruning_notes(pruned)))

    with _new_folder(out) as made:
        # Weights, tokenizer, labels
        _write_graph(network, topics, made / WEIGHTS)
        (made / TOKENIZER).write_text(tokenizer_text, "utf-8")
        labels = _labels(name, network, recipe, topics, [e for e, _ in train])
        _write_json(made / LABELS, labels)

        # Calibration: by the dev texts, or as the twin has it
        metrics: dict[str, Any] = {"dev": {}, "float32_dev": {}, "training_seconds": facts["seconds"]}
        if pruned:
            metrics["pruning"] = pruned
        if dev:
            sentiment, topic = OnnxBackend(read_folder(made), threads).run(dev_set.ids, dev_set.kinds)
            labels["temperatures"] = temperatures(dev, sentiment, LANGUAGES)
            labels["thresholds"] = thresholds(dev, topic, topics, LANGUAGES)
            metrics |= _measures(network, recipe, dev, dev_set, topics, labels, sentiment, topic)
        elif twin:
            labels |= {k: twin[LABELS][k] for k in ("temperatures", "thresholds")}
            metrics |= {k: v for k, v in twin[METRICS].items() if k in _MEASURED}
            metrics["measured"] = twin[METRICS]["version"]
        _write_json(made / LABELS, labels)

        # Figures of the folder as it will be loaded, and its card
        scorer = load_scorer(made, threads)
        metrics["recipe"] = recipe.as_dict()
        metrics["gold"] = evaluate(scorer, dev_of("gold", None, scorer.topics)).found["groups"]
        metrics["behaviour"] = table(run_behaviour(scorer))
        metrics["version"] = version = f"{labels['name']}-{labels['made']}-{content_hash(made)}"
        _write_json(made / METRICS, metrics)
        write_card(made, version, facts, labels, metrics, other)
        read_folder(made)
    log.info("exported", version=version, folder=str(out))
    return version


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its name at the end; if anything fails, nothing is left."""
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        yield made
        made.chmod(0o755)
        made.rename(out)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _write_graph(network: Network, topics: Sequence[str], path: Path) -> None:
    """The network as ONNX with integer weights."""
    state = {k: v.float().numpy() for k, v in network.state_dict().items() if v.is_floating_point()}
    graph = build(state, network.encoder.config.to_dict())
    onnx.helper.set_model_props(graph, {TOPICS_IN_WEIGHTS: ",".join(topics)})
    onnx.save(graph, str(path))


def _labels(
    name: str, network: Network, recipe: Recipe, topics: Sequence[str], train: Sequence[Example]
) -> dict[str, Any]:
    """``labels.json`` before calibration: temperatures of 1, thresholds of one half."""
    listed = load_topics(recipe.beside(recipe.topics_file))
    return {
        "format": FORMAT,
        "name": name,
        "made": time.strftime("%Y.%m", time.gmtime()),
        "precision": PRECISION,
        "languages": list(LANGUAGES),
        "sentiments": list(SENTIMENTS),
        "kinds": list(KINDS),
        "topics": [{"id": t.id, "zh": t.zh, "en": t.en} for t in listed],
        "max_tokens": recipe.max_tokens,
        "windows": WINDOWS,
        "encoder": encoder_of(network),
        "temperatures": dict.fromkeys(LANGUAGES, 1.0),
        "thresholds": {lang: dict.fromkeys(topics, 0.5) for lang in LANGUAGES},
        "trial_topics": trial_topics(train, topics, LANGUAGES),
    }


def _twin(recipe: Recipe, measured: Path | None) -> dict[str, Any] | None:
    """``labels.json`` and ``metrics.json`` of the model that measured the recipe, where the run itself cannot."""
    if recipe.held_out:
        if measured:
            raise ModelError("export: --measured is for runs with held_out: false; this one is measured itself")
        return None
    if not measured:
        raise ModelError(
            "export: the run trained on the dev splits too (held_out: false), so nothing is left to choose thresholds "
            "by or to measure: name the model of the same recipe that held them out with --measured"
        )
    read_folder(measured)
    found: dict[str, Any] = {part: json.loads((measured / part).read_text("utf-8")) for part in (LABELS, METRICS)}
    theirs = found[METRICS].get("recipe", {}) | {"held_out": False}
    if other := sorted(k for k, v in recipe.as_dict().items() if k not in theirs or theirs[k] != v):
        raise ModelError(f"export: --measured {measured} was trained otherwise: {', '.join(other)} of its recipe")
    return found


def encoder_of(network: Network) -> dict[str, Any]:
    """The shape of the encoder, as ``labels.json`` has it."""
    config = network.encoder.config.to_dict()
    heads = {"heads_per_layer": config["heads_per_layer"]} if config.get("heads_per_layer") else {}
    return {k: config[k] for k in _ENCODER} | heads


def _summary(
    network: Network, recipe: Recipe, dev: Sequence[Example], dev_set: Tensors, topics: Sequence[str]
) -> float:
    """Of the float32 network, with topics cut at one half: the same measure before and after pruning."""
    if not dev:
        return 0.0
    logits = predict(network, dev_set, torch.device("cpu"), _in_float32(recipe))
    return round(summary(by_set(dev, topics, *logits)), 4)


def temperature_scaled(logits: np.ndarray, examples: Sequence[Example], temperature: dict[str, float]) -> np.ndarray:
    """Sentiment logits divided by the temperature of each text's language and kind."""
    t = [temperature.get(f"{e.lang}:{e.kind}", temperature.get(e.lang, 1.0)) for e in examples]
    return logits / np.array(t)[:, None]


def cuts(examples: Sequence[Example], topics: Sequence[str], thresholds: dict[str, dict[str, float]]) -> np.ndarray:
    """The threshold of every text and topic, as logits' probabilities: (n, topics)."""
    return np.array([[thresholds[e.lang][t] for t in topics] for e in examples])


def _measures(
    network: Network,
    recipe: Recipe,
    dev: Sequence[Example],
    dev_set: Tensors,
    topics: Sequence[str],
    labels: dict[str, Any],
    sentiment: np.ndarray,
    topic: np.ndarray,
) -> dict[str, Any]:
    cut = cuts(dev, topics, labels["thresholds"])
    of_integers = by_set(dev, topics, temperature_scaled(sentiment, dev, labels["temperatures"]), topic, cut)
    float_sentiment, float_topic = predict(network, dev_set, torch.device("cpu"), _in_float32(recipe))
    of_floats = by_set(dev, topics, temperature_scaled(float_sentiment, dev, labels["temperatures"]), float_topic, cut)
    single = [i for i, e in enumerate(dev) if len(e.sentiment) == 1]
    groups = by_set(
        [dev[i] for i in single],
        topics,
        temperature_scaled(sentiment, dev, labels["temperatures"])[single],
        topic[single],
        cut[single],
        key=lambda e: f"{e.lang}:{e.kind}",
    )
    return {
        "dev": of_integers,
        "float32_dev": of_floats,
        "dev_groups": groups,
        "summary": round(summary(of_integers), 4),
        "float32_summary": round(summary(of_floats), 4),
        "sentiment_labels_changed_by_integers": round(
            float((sentiment.argmax(1) != float_sentiment.argmax(1)).mean()), 4
        ),
    }


def _figures(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return {"version": found["version"], "dev": found["sets"]} | {k: found[k] for k in ("about",) if k in found}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelError(f"export: {path} is not the figures.json of `barometer evaluate --out`: {e!r}") from e


def _in_float32(recipe: Recipe) -> Recipe:
    return Recipe(**(recipe.as_dict() | {"bfloat16": False}))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")
