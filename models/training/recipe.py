"""A recipe says how a model is trained: base layers, schedule, and which sets in what measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from models.errors import TrainingDataError

RECIPES = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True, slots=True)
class Recipe:
    """See ``recipes/all.yaml`` for a line on each."""

    name: str
    sets: dict[str, dict[str, Any]]
    layers: int = 6
    max_tokens: int = 96
    epochs: int = 2
    tokens_per_batch: int = 2048
    texts_per_batch: int = 96
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.06
    dropout: float = 0.1
    sampling_temperature: float = 1.0
    kind_dropout: float = 0.15
    topic_weight: float = 0.4
    clip: float = 1.0
    layer_decay: float = 1.0
    tuning: str = "full"
    lora_rank: int = 16
    accumulate: int = 1
    soft_labels: bool = True
    one_of_weight: float = 0.5
    fgm: float = 0.0
    r_drop: float = 0.0
    average: float = 0.0
    augment: float = 0.0
    transfer: dict[str, dict[str, Any]] = field(default_factory=dict)
    label_share: float = 0.5
    temperature: float = 1.0
    freeze_word_embeddings: bool = True
    probe_texts: int = 6000
    evaluations_per_epoch: int = 2
    patience: int = 3
    seed: int = 20
    bfloat16: bool = True
    held_out: bool = True
    topics_file: str | None = None
    sets_file: str | None = None
    path: Path = field(default=Path("recipe.yaml"), compare=False)

    def beside(self, name: str | None) -> Path | None:
        """A file that the recipe names, relative to the recipe."""
        return self.path.parent / name if name else None

    def as_dict(self) -> dict[str, Any]:
        """The recipe without where it was read from."""
        return {k: v for k, v in asdict(self).items() if k != "path"}


def load_recipe(source: str | Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe from a YAML file, or a shipped one by its name (``all``, ``stated``).

    Args:
        changes: fields that replace the file's.

    Raises:
        TrainingDataError: no such file, or a field is unknown or of the wrong type; the message names it.
    """
    path = Path(source)
    if not path.exists() and (RECIPES / f"{source}.yaml").exists():
        path = RECIPES / f"{source}.yaml"
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as e:
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise TrainingDataError(f"recipe: cannot read {path} ({e}); shipped recipes: {shipped}") from e
    known = {f.name: f for f in fields(Recipe)}
    if isinstance(raw, dict):
        raw |= changes or {}
    if not isinstance(raw, dict) or not isinstance(raw.get("sets"), dict) or not raw["sets"] or "name" not in raw:
        raise TrainingDataError(f"recipe: {path} must have a name and a mapping `sets`")
    for key, value in raw.items():
        if key not in known or key == "path":
            raise TrainingDataError(f"recipe: {path}: unknown field {key!r} (known: {', '.join(sorted(known))})")
        kind = known[key].type
        good = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}.get(str(kind), ())
        if good and (not isinstance(value, good) or (kind != "bool" and isinstance(value, bool))):
            raise TrainingDataError(f"recipe: {path}: {key} must be {kind}, not {value!r}")
    sets = {name: options or {} for name, options in raw["sets"].items()}
    return Recipe(**(raw | {"sets": sets, "path": path}))
