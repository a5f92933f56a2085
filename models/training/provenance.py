"""Where a network comes from: the runs before it and its teachers, for the card and its licences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.folder import METRICS
from models.training.runs import is_run

UNNAMED = "not named in the recipe"
_KEPT = ("seconds", "device", "adapted", "base", "sets", "before", "taught_by", "averaged")


def origin(base: Path, name: str) -> dict[str, Any]:
    """``base``, ``adapted`` and ``before`` of ``training.json``: of the first encoder, and of the runs since then.

    Args:
        base: the folder that training starts from.
        name: what the user called it.
    """
    if is_run(base):
        facts = _facts(base)
        return {
            "base": facts["base"],
            "adapted": facts.get("adapted"),
            "before": [*facts.get("before", []), _brief(facts)],
        }
    adapted = base / "pretraining.json"  # there where the base is of `barometer pretrain`
    return {
        "base": name,
        "adapted": json.loads(adapted.read_text("utf-8")) if adapted.is_file() else None,
        "before": [],
    }


def teacher(folder: Path) -> dict[str, Any]:
    """What a teacher was trained by and on; of a model folder, what it says of itself."""
    if is_run(folder):
        return {"name": folder.name} | _brief(_facts(folder))
    file = folder / METRICS
    said = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return {"name": said.get("version", folder.name), "recipe": said.get("recipe", {}).get("name"), "sets": {}}


def licences(facts: dict[str, Any]) -> dict[str, str]:
    """Licences, by name, of all texts that a network, the runs before it or its teachers have learnt from."""
    found = {name: of["licence"] for name, of in facts.get("sets", {}).items()}
    recipe = facts["recipe"] if isinstance(facts.get("recipe"), dict) else facts
    found |= {name: of.get("licence", UNNAMED) for name, of in recipe.get("transfer", {}).items()}
    if facts.get("adapted"):
        found |= {name: of["licence"] for name, of in facts["adapted"]["recipe"]["texts"].items()}
    for earlier in [*facts.get("before", []), *facts.get("taught_by", []), *facts.get("averaged", [])]:
        found |= licences(earlier)
    return found


def _facts(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "training.json").read_text("utf-8")))


def _brief(facts: dict[str, Any]) -> dict[str, Any]:
    recipe = facts["recipe"]
    return {
        "recipe": recipe["name"],
        "epochs": recipe["epochs"],
        "seed": recipe["seed"],
        "transfer": recipe.get("transfer", {}),
        "dev": max((h["dev"] for h in facts["history"]), default=None),
    } | {k: facts[k] for k in _KEPT if k in facts}


def history_notes(facts: dict[str, Any]) -> Sequence[str]:
    """A sentence for each run before this one, and one for its teachers."""
    lines = [
        f"Before that: recipe `{b['recipe']}`, {b['epochs']} epochs, {b['seconds'] / 60:.1f} minutes on "
        f"{b.get('device', 'a CPU')}."
        for b in facts.get("before", [])
    ]
    if taught := facts.get("taught_by"):
        names = ", ".join(f"`{t['recipe'] or t['name']}`" for t in taught)
        share = 1 - facts["recipe"]["label_share"]
        lines.append(
            f"Taught by {len(taught)} networks (recipes {names}): {share:.0%} of what a labelled text teaches is their "
            "mean, and all of what an unlabelled one does."
        )
    if averaged := facts.get("averaged"):
        names = ", ".join(f"`{a['recipe'] or a['name']}`" for a in averaged)
        lines.append(f"Its weights are the mean of {len(averaged)} networks (recipes {names}).")
    return lines
