"""The card of a model: what it is, on which data under which licences, its figures, its limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from barometer.vocabulary import LANGUAGES
from models.folder import CARD, WEIGHTS
from models.training.provenance import UNNAMED, history_notes, licences

_HEAD = """# {version}

金融文本情感与主题分类模型(中文、英文)。
One encoder, two heads: sentiment (negative, neutral, positive) and {topics} topics.

- Base: {base}, its first {layers} layers, fine-tuned; {parameters:.1f} M parameters.
- Precision: integer weights (7 bits in linear layers, 8 in embeddings, a scale a row), activations in 8 bits scaled
  token by token; {size:.1f} MB. A text's result does not depend on its batch.
- Input: title and text, at most {max_tokens} tokens; the kind (news, comment, unknown).
- Sentiment is the class with the largest probability; probabilities are calibrated by temperature. A topic is named
  at its own threshold in each language.
- Trained with the recipe `{recipe}` for {minutes:.1f} minutes on {device}.
{before}
## Data and licences
"""

_KNOWN_BASES = {
    "e5-small-zh-en": "e5-small-zh-en (multilingual-e5-small, Wang et al. 2024, arXiv 2402.05672, MIT; cut to the "
    "pieces of\n  Chinese and English, carried through 4-bit weights)"
}

_ADAPTED = """
Before that the encoder was adapted to the field by masked words (recipe `{recipe}`) on the training texts of the sets
{sets}
and on these streams, {texts:,} texts in all, for {epochs} epochs:

| stream | licence |
|---|---|
"""

_UNSTATED = """
**Some of these sets state no licence.** Whoever ships a product on this model must judge that for themselves; the
recipe `stated` trains on the sets that state one. No text of any set is part of the model's folder.
"""

_TWIN = """**This model was trained on the dev splits too**, and on near copies of their texts. Figures, thresholds and
temperatures are those of {twin}, which held them out and is else of the same recipe; what
`barometer evaluate` says of this model on these sets is not of unseen texts. The gold set below was held out.

"""

_LIMITS = """
## Limits

- The sets disagree on what negative means (tone, stance of the author, good or bad for the company): the kind of text
  is an input for that reason, and figures differ by set.
- Chinese news without good or bad news in it comes mostly from a weak rule (flashes without any word of direction,
  gain or trouble) and from own texts: expect some plain notices to be called positive or negative.
- Several topics are learnt in a language from distant labels (`keywords.yaml`) and few own texts alone. Trial topics
  (fewer than 50 labels in that language), to be shown but never to page anybody: {trial}.
- Irony, stock-forum slang newer than 2023, texts whose point stands after the first {max_tokens} tokens.
- Thresholds and temperatures were chosen on the dev splits that the figures are from: slightly optimistic.
- Other languages than Chinese and English are left unscored.
"""


def write_card(
    folder: Path,
    version: str,
    facts: dict[str, Any],
    labels: dict[str, Any],
    metrics: dict[str, Any],
    other: dict[str, Any] | None = None,
) -> None:
    """Write ``card.md`` into a model folder from what training and measuring found.

    Args:
        other: ``metrics.json`` of the same network trained on other data, to stand beside.
    """
    parts = [
        _HEAD.format(
            version=version,
            topics=len(labels["topics"]),
            base=_KNOWN_BASES.get(facts["base"], facts["base"]),
            layers=facts["recipe"]["layers"],
            parameters=facts["parameters"] / 1e6,
            size=(folder / WEIGHTS).stat().st_size / 1e6,
            max_tokens=labels["max_tokens"],
            recipe=facts["recipe"]["name"],
            minutes=facts["seconds"] / 60,
            device=facts.get("device", "a CPU"),
            before="".join(f"- {line}\n" for line in history_notes(facts)),
        ),
        "| set | what | licence | texts | shown an epoch | dev |\n|---|---|---|---|---|---|\n",
    ]
    for name, s in facts["sets"].items():
        parts.append(f"| {name} | {s['about']} | {s['licence']} | {s['train']} | {s['an_epoch']} | {s['dev']} |\n")
    if streams := facts["recipe"].get("transfer"):
        parts.append(_transfer(streams))
    if facts.get("adapted"):
        parts.append(_adapted(facts["adapted"]))
    if any("not stated" in licence for licence in licences(facts).values()):
        parts.append(_UNSTATED)
    if metrics.get("dev"):
        parts.append("\n## Figures on the dev splits (float32 in brackets)\n\n")
        if metrics.get("measured"):
            parts.append(_TWIN.format(twin=metrics["measured"]))
        parts.append(
            "From a dev split, no text nor near copy was trained on with its own set's label. FiQA and SemEval share "
            "texts\nwith each other, so their figures are optimistic.\n\n"
            "| set | sentiment accuracy | macro F1 | negative F1 | calibration error | topics micro F1 | macro F1 | "
            "one of the topics |\n|---|---|---|---|---|---|---|---|\n"
        )
        for name, m in metrics["dev"].items():
            s, t, f = m.get("sentiment"), m.get("topics"), metrics["float32_dev"][name]
            cells = [name]
            cells += (
                [
                    f"{s['accuracy']:.3f} ({f['sentiment']['accuracy']:.3f})",
                    f"{s['macro_f1']:.3f}",
                    f"{s['classes']['negative']['f1']:.3f}" if "negative" in s["classes"] else "",
                    "" if s["calibration_error"] is None else f"{s['calibration_error']:.3f}",
                ]
                if s
                else ["", "", "", ""]
            )
            cells += [f"{t['micro_f1']:.3f} ({f['topics']['micro_f1']:.3f})", f"{t['macro_f1']:.3f}"] if t else ["", ""]
            cells.append(f"{m['choice']['accuracy']:.3f}" if "choice" in m else "")
            parts.append("| " + " | ".join(cells) + " |\n")
        parts.append("".join(["\n", *_by_group(metrics.get("dev_groups", {}))]))
        parts.append(
            "\nWhere a set tells negative from not negative only (finnsp), accuracy and F1 are of that. Integers "
            f"change {metrics['sentiment_labels_changed_by_integers']:.1%} of the sentiment labels of float32.\n"
        )
    if metrics.get("pruning"):
        from models.export.pruning import pruning_notes

        lines = [f"- {line}\n" for line in pruning_notes(metrics["pruning"])]
        parts.append("\n## Pruned after training\n\n" + "".join(lines))
    if metrics.get("gold"):
        parts.append(_gold(metrics["gold"]))
    if metrics.get("behaviour"):
        parts.append(_behaviour(metrics["behaviour"]))
    if other:
        parts.append(_beside(metrics, other))
    trial = "; ".join(f"{lang}: {', '.join(ts) or 'none'}" for lang, ts in labels["trial_topics"].items())
    parts.append(_LIMITS.format(trial=trial, max_tokens=labels["max_tokens"]))
    (folder / CARD).write_text("".join(parts), "utf-8")


def _by_group(groups: dict[str, Any]) -> list[str]:
    """Calibration by language and kind, over all sets."""
    found = [(g, m["sentiment"]) for g, m in groups.items() if m.get("sentiment", {}).get("calibration_error")]
    said = "; ".join(
        f"{g} {s['calibration_error']:.3f} ({s['n']} texts, by chance {s['calibration_error_by_chance']:.3f})"
        for g, s in found
    )
    head = "Calibration error of sentiment by language and kind, all sets together (by chance: of exact probabilities)"
    return [f"{head}: {said}.\n"] if found else []


def _transfer(streams: dict[str, Any]) -> str:
    head = "\nUnlabelled texts of these streams carried what the teachers know:\n\n"
    return f"{head}| stream | texts | licence |\n|---|---|---|\n" + "".join(
        f"| {name} | {of.get('sample', 'all')} | {of.get('licence', UNNAMED)} |\n" for name, of in streams.items()
    )


def _adapted(pretraining: dict[str, Any]) -> str:
    recipe = pretraining["recipe"]
    head = _ADAPTED.format(
        recipe=recipe["name"], sets=", ".join(recipe["sets"]), texts=pretraining["texts"], epochs=recipe["epochs"]
    )
    return head + "".join(f"| {name} | {of['licence']} |\n" for name, of in recipe["texts"].items())


def _gold(groups: dict[str, Any]) -> str:
    """The project's own gold set by language and kind; no model trains on it."""
    rows = [
        f"| {group} | {m['sentiment']['n']} | {m['sentiment']['accuracy']:.3f} | {m['sentiment']['macro_f1']:.3f} | "
        f"{m['sentiment']['classes']['negative']['f1']:.3f} | {m['topics']['micro_f1']:.3f} | "
        f"{m['topics']['macro_f1']:.3f} |\n"
        for group, m in sorted(groups.items())
        if "sentiment" in m and "topics" in m
    ]
    return (
        "\n## Gold set\n\nTexts of our own writing, a third of them hard cases, that no model is trained on "
        "(`barometer evaluate --data gold`).\n\n| language, kind | texts | sentiment accuracy | macro F1 | negative F1 "
        "| topics micro F1 | macro F1 |\n|---|---|---|---|---|---|---|\n" + "".join(rows)
    )


def _behaviour(found: dict[str, dict[str, Any]]) -> str:
    """The two families of checks, and the categories that hold worst."""
    lines = [f"- {name}: {found[name]['share']:.1%} of {found[name]['n']}" for name in ("invariance", "direction")]
    single = [n for n in found if n.count(" ") == 1 and n.split()[1] not in LANGUAGES]
    worst = sorted(single, key=lambda n: float(found[n]["share"]))[:4]
    said = "; ".join(f"{n} {found[n]['share']:.0%}" for n in worst)
    return (
        "\n## Behaviour\n\nInvariance: a change that leaves the meaning alone leaves the sentiment. Direction: the "
        "worse of two texts\nreads worse. Pairs of our own writing (`barometer evaluate --behaviour`).\n\n"
        + "\n".join(lines)
        + f"\n- weakest: {said}\n"
    )


def _beside(metrics: dict[str, Any], other: dict[str, Any]) -> str:
    """Figures of this model and of another one on the same dev splits."""
    lines = [
        f"\n## Beside {other['version']}\n",
        f"Another model ({other.get('about', 'see its own card')}) on the same dev splits. Sets that it was not "
        "trained on are measured too.\n\n| set | figure | this model | the other |\n|---|---|---|---|",
    ]
    for name, mine in metrics["dev"].items():
        for part, measure in (("sentiment", "macro_f1"), ("topics", "micro_f1"), ("choice", "accuracy")):
            if part in mine and part in other["dev"].get(name, {}):
                a, b = mine[part][measure], other["dev"][name][part][measure]
                lines.append(f"| {name} | {part}, {measure.replace('_', ' ')} | {a:.3f} | {b:.3f} |")
    return "\n".join(lines) + "\n"
