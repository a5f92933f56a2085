"""A model version is a folder; this reads one and says plainly what is missing or contradicts itself in it.

``model.onnx`` (integer weights), ``tokenizer.json``, ``labels.json`` (label order, topics, thresholds, temperatures,
the encoder's configuration), ``metrics.json`` and ``card.md``. The version's name ends in a hash of the first three,
so two models never share a version, and an edited threshold is a new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from pathlib import Path
from typing import Any

from barometer.vocabulary import KINDS, LANGUAGES, SENTIMENTS
from models.errors import REMEDY, ModelError
from models.text.encoding import padded_length

DEFAULT_MODEL = Path(__file__).with_name("default")
WEIGHTS, TOKENIZER, LABELS, METRICS, CARD = "model.onnx", "tokenizer.json", "labels.json", "metrics.json", "card.md"
FORMAT = 1
TOPICS_IN_WEIGHTS = "topics"
"""Metadata of the weights: the topics in the order of the network's outputs, comma between them."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What the small files of a model folder say."""

    path: Path
    version: str
    precision: str
    topics: tuple[str, ...]
    topic_names: dict[str, dict[str, str]]
    languages: tuple[str, ...]
    max_tokens: int
    pad_id: int
    encoder: dict[str, Any]
    temperatures: dict[str, float]
    """By ``lang:kind``; the key ``lang`` serves an unknown kind."""
    thresholds: dict[str, dict[str, float]]
    """By language, then topic."""
    trial_topics: dict[str, list[str]]
    """By language: topics with too few labels to page anybody."""
    windows: int = 1
    """How many stretches of ``max_tokens`` are read of a long text at most."""

    def temperature(self, lang: str, kind: str) -> float:
        """What the sentiment logits are divided by (Guo et al. 2017, arXiv 1706.04599)."""
        return self.temperatures.get(f"{lang}:{kind}") or self.temperatures.get(lang, 1.0)


def check_topics(folder: ModelFolder, metadata: dict[str, str]) -> None:
    """Raises ModelError where labels.json has topics in another order than the weights say they were trained in."""
    trained = metadata.get(TOPICS_IN_WEIGHTS)
    if trained and tuple(trained.split(",")) != folder.topics:
        raise ModelError(
            f"model: {folder.path / LABELS} has other topics, or another order, than {folder.path / WEIGHTS} was "
            f"trained on ({trained}): names may be edited, ids and their order may not: {REMEDY}"
        )


def read_folder(path: str | Path | None = None) -> ModelFolder:
    """Check and read a model folder; None is the model that comes with the package.

    Raises:
        ModelError: naming the file that is missing, unreadable, or at odds with the others, and what to do.
    """
    folder = Path(path) if path else DEFAULT_MODEL
    if not folder.is_dir():
        raise ModelError(f"model: there is no folder {folder}: name one that `barometer export` made")
    for name in (WEIGHTS, TOKENIZER, LABELS):
        file = folder / name
        if not file.is_file():
            raise ModelError(f"model: {file} is missing (a model needs {WEIGHTS}, {TOKENIZER} and {LABELS}): {REMEDY}")
        if file.stat().st_size == 0:
            raise ModelError(f"model: {file} is empty: {REMEDY}")
    file = folder / LABELS
    try:
        raw = json.loads(file.read_text("utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("it is not an object")
        return _checked(folder, raw)
    except OSError as e:
        raise ModelError(f"model: {folder} cannot be read: {e}") from e
    except json.JSONDecodeError as e:
        raise ModelError(f"model: {file} is not readable JSON: {e}: {REMEDY}") from e
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise ModelError(f"model: {file}: missing or malformed field: {e!r}: {REMEDY}") from e


def _checked(folder: Path, raw: dict[str, Any]) -> ModelFolder:
    """The folder from its labels; raises ModelError, or KeyError and the like for what is missing or malformed."""
    file = folder / LABELS
    if raw["format"] != FORMAT:
        raise ModelError(
            f"model: {file} has format {raw['format']!r}; this version reads {FORMAT}: use the version that made it, "
            "or export it again"
        )
    if tuple(raw["sentiments"]) != SENTIMENTS or tuple(raw["kinds"]) != KINDS:
        raise ModelError(f"model: {file} has sentiments or kinds in another order than {SENTIMENTS}, {KINDS}: {REMEDY}")
    topics = tuple(str(t["id"]) for t in raw["topics"])
    if not topics or len(set(topics)) != len(topics):
        raise ModelError(f"model: {file}: topics must be there, each once: {REMEDY}")
    languages = tuple(raw["languages"])
    if not languages or set(languages) - set(LANGUAGES):
        raise ModelError(f"model: {file}: languages must be some of {LANGUAGES}, not {raw['languages']!r}")
    for lang in languages:
        missing = [t for t in topics if not 0 < float(raw["thresholds"][lang].get(t, 0)) < 1]
        if missing:
            raise ModelError(f"model: {file}: thresholds.{lang} lacks a value between 0 and 1 for {missing}: set it")
    temperatures = {str(k): float(v) for k, v in raw["temperatures"].items()}
    for cell, value in temperatures.items():
        if not 0 < value < inf:
            raise ModelError(
                f"model: {file}: temperatures.{cell} must be above 0 and finite, not {value}: set it, 1 is none"
            )
    encoder, tokens = raw["encoder"], _whole(raw, "max_tokens", 3)
    for field in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
        _whole(encoder, field, 1)
    if encoder["hidden_size"] % encoder["num_attention_heads"]:
        raise ModelError(f"model: {file}: encoder.hidden_size is no multiple of encoder.num_attention_heads: {REMEDY}")
    if not 0 <= int(encoder["pad_token_id"]) < encoder["vocab_size"]:
        raise ModelError(f"model: {file}: encoder.pad_token_id is not below encoder.vocab_size: {REMEDY}")
    heads = encoder.get("heads_per_layer")
    if heads is not None and (
        len(heads) != encoder["num_hidden_layers"]
        or not all(isinstance(n, int) and 0 < n <= encoder["num_attention_heads"] for n in heads)
    ):
        raise ModelError(f"model: {file}: encoder.heads_per_layer must name the heads of each layer: {REMEDY}")
    places = _whole(encoder, "max_position_embeddings", 1)
    if padded_length(tokens) > places:
        raise ModelError(f"model: {file}: max_tokens {tokens} is more than the encoder's {places} positions: lower it")
    trial = {lang: [str(t) for t in named] for lang, named in raw.get("trial_topics", {}).items()}
    return ModelFolder(
        folder,
        f"{raw['name']}-{raw['made']}-{content_hash(folder)}",
        str(raw["precision"]),
        topics,
        {str(t["id"]): {"zh": t["zh"], "en": t["en"]} for t in raw["topics"]},
        languages,
        tokens,
        int(encoder["pad_token_id"]),
        encoder,
        temperatures,
        raw["thresholds"],
        trial,
        _whole(raw, "windows", 1) if "windows" in raw else 1,
    )


def _whole(fields: dict[str, Any], name: str, least: int) -> int:
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def content_hash(folder: Path) -> str:
    """Eight hex digits over weights, tokenizer and labels."""
    h = blake2b(digest_size=4)
    for name in (WEIGHTS, TOKENIZER, LABELS):
        data = (folder / name).read_bytes()
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()
