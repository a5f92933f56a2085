"""An evaluation as a folder: ``figures.json``, ``report.md``, and pictures of confusion and reliability."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from barometer.vocabulary import SENTIMENTS
from models.data.examples import Example
from models.evaluation.figures import confusion, mass_bins, softmax

_PARTS = {
    "sentiment": (
        "accuracy",
        "macro_f1",
        "negative_f1",
        "balanced_accuracy",
        "calibration_error",
        "calibration_error_by_chance",
    ),
    "topics": ("micro_f1", "macro_f1", "classwise_calibration_error"),
    "choice": ("accuracy", "macro_f1"),
}


def figure(measures: dict[str, Any], name: str) -> str:
    """One figure with its 95 % interval where there is one; empty where the measure doesn't apply."""
    value = measures["classes"].get("negative", {}).get("f1") if name == "negative_f1" else measures.get(name)
    if value is None:
        return ""
    low_high = measures.get("intervals", {}).get(name)
    return f"{value:.3f}" + (f" [{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else "")


def markdown(found: dict[str, Any]) -> str:
    """Tables of all figures, the baseline beside them where it was fitted."""
    lines = [f"# {found['version']}", "", f"{found['unscored']} texts unscored and left out.", ""]
    if found.get("trained_on"):
        seen = ", ".join(found["trained_on"])
        lines += [f"**Not of unseen texts**: the model was trained on these texts of {seen} too (see its card).", ""]
    if "behaviour" in found:
        lines += ["## behaviour", "", "| checks | held | of |", "|---|---|---|"]
        lines += [f"| {name} | {row['share']:.3f} | {row['n']} |" for name, row in found["behaviour"].items()]
        lines.append("")
    baseline = found.get("baseline", {})
    for part, names in _PARTS.items():
        head = [n.replace("_", " ") for n in names]
        lines += [f"## {part}", "", "| of | texts | " + " | ".join(head) + " |", "|---" * (len(head) + 2) + "|"]
        for title, group in (("", found["sets"]), ("all ", found.get("groups", {}))):
            for name, measures in group.items():
                if part not in measures:
                    continue
                cells = []
                for n in names:
                    cell = figure(measures[part], n)
                    beside = figure(baseline.get(name, {}).get(part, {"classes": {}}), n) if not title else ""
                    cells.append(f"{cell} ({beside})" if cell and beside else cell)
                lines.append(f"| {title}{name} | {measures[part]['n']} | " + " | ".join(cells) + " |")
        lines.append("")
    if baseline:
        lines += ["In round brackets: TF-IDF and logistic regression trained on the same rows.", ""]
    lines += [
        "## By class",
        "",
        "| set | part | class | precision | recall | F1 | texts |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, measures in found["sets"].items():
        for part, m in measures.items():
            lines += [
                f"| {name} | {part} | {label} | {r['precision']:.3f} | {r['recall']:.3f} | {r['f1']:.3f} | {r['n']} |"
                for label, r in m["classes"].items()
            ]
    return "\n".join(lines) + "\n"


def save(folder: Path, found: dict[str, Any], examples: Sequence[Example], sentiment_logits: np.ndarray) -> None:
    """Write the folder. ``sentiment_logits`` is (n, 3), parallel to the examples."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    (folder / "report.md").write_text(markdown(found), "utf-8")
    single = [i for i, e in enumerate(examples) if len(e.sentiment) == 1]
    for name in dict.fromkeys(examples[i].source for i in single):
        rows = [i for i in single if examples[i].source == name]
        truth = np.array([examples[i].sentiment[0] for i in rows])
        _confusion_picture(folder / f"confusion_{name}.png", name, truth, sentiment_logits[rows].argmax(1))
    for cell in sorted({(examples[i].lang, examples[i].kind) for i in single}):
        rows = [i for i in single if (examples[i].lang, examples[i].kind) == cell]
        truth = np.array([examples[i].sentiment[0] for i in rows])
        _reliability_picture(
            folder / f"reliability_{cell[0]}_{cell[1]}.png", " ".join(cell), truth, softmax(sentiment_logits[rows])
        )


def _confusion_picture(path: Path, title: str, truth: np.ndarray, said: np.ndarray) -> None:
    from matplotlib.figure import Figure

    counts = confusion(truth, said, len(SENTIMENTS))
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    drawn = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = drawn.subplots()
    axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            axes.text(
                j, i, f"{n}\n{share[i, j]:.0%}", ha="center", va="center", color="w" if share[i, j] > 0.5 else "k"
            )
    axes.set(xlabel="said", ylabel="label", title=title, xticks=range(3), yticks=range(3))
    axes.set_xticklabels(SENTIMENTS)
    axes.set_yticklabels(SENTIMENTS)
    drawn.savefig(path, dpi=90)


def _reliability_picture(path: Path, title: str, truth: np.ndarray, probabilities: np.ndarray) -> None:
    from matplotlib.figure import Figure

    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    parts = mass_bins(sure)
    drawn = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = drawn.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    axes.plot([sure[p].mean() for p in parts], [right[p].mean() for p in parts], marker="o", ms=4)
    axes.set(xlabel="probability of the winning class", ylabel="share right", title=title, xlim=(0.3, 1), ylim=(0.3, 1))
    drawn.savefig(path, dpi=90)
