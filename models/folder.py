"""A model version is a folder; this reads one and says plainly what is missing or contradicts itself in it.

``model.onnx`` (integer weights), ``tokenizer.json``, ``labels.json`` (label order, topics, thresholds, temperatures,
the encoder's configuration), ``metrics.json`` and ``card.md``. The version's name ends in a hash of the first three,
so two models never share a version, and an edited threshold is a new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.labels import KINDS, LANGUAGES, SENTIMENTS

DEFAULT_MODEL = Path(__file__).with_name("default")
WEIGHTS, TOKENIZER, LABELS, METRICS, CARD = "model.onnx", "tokenizer.json", "labels.json", "metrics.json", "card.md"
FORMAT = 1


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


def read_folder(path: str | Path | None = None) -> ModelFolder:
    """Check and read a model folder; None is the model that comes with the package.

    Raises:
        ModelError: naming the file that is missing, unreadable, or at odds with the others.
    """
    folder = Path(path) if path else DEFAULT_MODEL
    if not folder.is_dir():
        raise ModelError(f"model: there is no folder {folder}")
    for name in (WEIGHTS, TOKENIZER, LABELS):
        if not (folder / name).is_file():
            raise ModelError(f"model: {folder / name} is missing (a model needs {WEIGHTS}, {TOKENIZER} and {LABELS})")
    file = folder / LABELS
    try:
        raw = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"model: {file} is not readable JSON: {e}") from e
    try:
        if raw["format"] != FORMAT:
            raise ModelError(f"model: {file} has format {raw['format']!r}; this version reads {FORMAT}")
        if tuple(raw["sentiments"]) != SENTIMENTS or tuple(raw["kinds"]) != KINDS:
            raise ModelError(f"model: {file} has sentiments or kinds in another order than {SENTIMENTS}, {KINDS}")
        topics = tuple(t["id"] for t in raw["topics"])
        languages = tuple(raw["languages"])
        for lang in languages:
            if lang not in LANGUAGES:
                raise ModelError(f"model: {file}: language {lang!r} is not one of {LANGUAGES}")
            missing = [t for t in topics if not 0 < float(raw["thresholds"][lang].get(t, 0)) < 1]
            if missing:
                raise ModelError(f"model: {file}: thresholds.{lang} lacks a value between 0 and 1 for {missing}")
        temperatures = {k: float(v) for k, v in raw["temperatures"].items()}
        if any(v <= 0 for v in temperatures.values()):
            raise ModelError(f"model: {file}: temperatures must be above 0")
        return ModelFolder(
            folder, f"{raw['name']}-{raw['made']}-{content_hash(folder)}", raw["precision"], topics,
            {t["id"]: {"zh": t["zh"], "en": t["en"]} for t in raw["topics"]}, languages, int(raw["max_tokens"]),
            int(raw["encoder"]["pad_token_id"]), raw["encoder"], temperatures, raw["thresholds"],
            raw.get("trial_topics", {}), max(1, int(raw.get("windows", 1))),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise ModelError(f"model: {file}: missing or malformed field: {e!r}") from e


def content_hash(folder: Path) -> str:
    """Eight hex digits over weights, tokenizer and labels."""
    h = blake2b(digest_size=4)
    for name in (WEIGHTS, TOKENIZER, LABELS):
        data = (folder / name).read_bytes()
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()
