"""How far readers agree: the gold set's labels and those of readers who saw the texts alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from barometer.vocabulary import SENTIMENTS
from models.data.own_sets import FORMER_FILE, READINGS, Labels, OwnText, gold, known_topics, read_labels
from models.errors import TrainingDataError


def gold_report() -> dict[str, Any]:
    """Sizes of the gold set, how many labels were mended, and the agreement of each reading.

    A reading's ``as_written`` is its agreement with the labels from before any was mended, which the reader did not
    know; ``as_mended`` that with the labels that stand now, some of which follow the readers.

    Raises:
        TrainingDataError: a file of the set is missing or malformed, or a reading names a text that is not in the set.
    """
    texts = {t.id: t for t in gold()}
    former = _labels_of(texts, FORMER_FILE)
    now = {i: Labels(t.sentiment, frozenset(t.topics)) for i, t in texts.items()}
    readings = {}
    for name, path in READINGS.items():
        said = _labels_of(texts, path)
        groups = sorted({(texts[i].lang, texts[i].kind) for i in said})
        readings[name] = {
            "as_written": agreement(now | former, said),
            "as_mended": agreement(now, said),
            "groups": {
                f"{lang}:{kind}": agreement(
                    now | former, {i: s for i, s in said.items() if (texts[i].lang, texts[i].kind) == (lang, kind)}
                )
                for lang, kind in groups
            },
        }
    return {
        "counts": counts(gold()),
        "mended": {
            "sentiment": sum(s.sentiment != now[i].sentiment for i, s in former.items()),
            "topics": sum(s.topics != now[i].topics for i, s in former.items()),
        },
        "readings": readings,
    }


def _labels_of(texts: Mapping[str, OwnText], path: Path) -> dict[str, Labels]:
    found = read_labels(path)
    if unknown := sorted(set(found) - set(texts)):
        raise TrainingDataError(f"own set: {path}: no text of the gold set has the id {unknown[0]!r}")
    return found


def counts(texts: Sequence[OwnText]) -> dict[str, Any]:
    """How many texts: in all, by language, kind and sentiment; by topic and language; hard ones by why."""
    groups = Counter((t.lang, t.kind, t.sentiment) for t in texts)
    topics = Counter((topic, t.lang) for t in texts for topic in t.topics)
    return {
        "texts": len(texts),
        "groups": {
            f"{lang}:{kind}": {s: groups[lang, kind, s] for s in SENTIMENTS}
            for lang, kind in sorted({(t.lang, t.kind) for t in texts})
        },
        "topics": {t: {lang: topics[t, lang] for lang in ("zh", "en")} for t in known_topics()},
        "hard": dict(Counter(h for t in texts for h in t.hard).most_common()),
        "hard_texts": sum(bool(t.hard) for t in texts),
    }


def agreement(first: Mapping[str, Labels], second: Mapping[str, Labels]) -> dict[str, Any]:
    """Agreement over the texts of ``second``.

    Sentiment: the share of equal labels, and Cohen's kappa (Cohen 1960, 'A coefficient of agreement for nominal
    scales'), which sets aside what two readers would agree on by chance. Topics: F1 of one reader against the other
    (it is symmetric), over all topics and for each; the mean Jaccard index of the two sets of a text; the share of
    texts with equal sets; and Krippendorff's alpha with MASI distance (Passonneau 2006, 'Measuring agreement on
    set-valued items'), which counts a subset as nearer than an overlap.
    """
    pairs = [(first[i], labels) for i, labels in second.items()]
    n = len(pairs)
    each = {
        t: f1([(t in a.topics, t in b.topics) for a, b in pairs])
        for t in known_topics()
        if any(t in a.topics | b.topics for a, b in pairs)
    }
    figures = {
        "micro_f1": f1([(t in a.topics, t in b.topics) for a, b in pairs for t in each]),
        "macro_f1": sum(each.values()) / len(each),
        "mean_jaccard": sum(len(a.topics & b.topics) / len(a.topics | b.topics) for a, b in pairs) / n,
        "equal_sets": sum(a.topics == b.topics for a, b in pairs) / n,
        "alpha": krippendorff_alpha([(a.topics, b.topics) for a, b in pairs], masi_distance),
    }
    return {
        "texts": n,
        "sentiment": {
            "accuracy": round(sum(a.sentiment == b.sentiment for a, b in pairs) / n, 4),
            "kappa": round(cohen_kappa([(a.sentiment, b.sentiment) for a, b in pairs]), 4),
        },
        "topics": {k: round(v, 4) for k, v in figures.items()} | {"each": {t: round(v, 4) for t, v in each.items()}},
    }


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Cohen's kappa of two readers' labels; 1 where both always say one and the same thing."""
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[x] * second[x] for x in first) / n**2
    return (sum(a == b for a, b in pairs) / n - chance) / (1 - chance) if chance < 1 else 1.0


def masi_distance(a: frozenset[str], b: frozenset[str]) -> float:
    """1 − Jaccard index × monotonicity: 1 for equal sets, 2/3 if one holds the other, 1/3 if they overlap, else 0."""
    if a == b:
        return 0.0
    monotonicity = 2 / 3 if a <= b or b <= a else 1 / 3 if a & b else 0.0
    return 1 - len(a & b) / len(a | b) * monotonicity


def krippendorff_alpha(
    pairs: Sequence[tuple[frozenset[str], frozenset[str]]], distance: Callable[[frozenset[str], frozenset[str]], float]
) -> float:
    """Krippendorff's alpha of two readers who both labelled every text: 1 − observed / expected distance."""
    values = Counter(x for pair in pairs for x in pair)
    n = 2 * len(pairs)
    # fsum: the same whoever is called the first reader, though the terms come in another order.
    observed = math.fsum(distance(a, b) for a, b in pairs) / len(pairs)
    expected = math.fsum(i * j * distance(a, b) for a, i in values.items() for b, j in values.items()) / (n * (n - 1))
    return 1 - observed / expected if expected else 1.0


def f1(pairs: Sequence[tuple[bool, bool]]) -> float:
    """F1 of one reader's yes against the other's; 1 where neither ever says yes."""
    said = sum(a + b for a, b in pairs)
    return 2 * sum(a and b for a, b in pairs) / said if said else 1.0


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown tables."""
    c, mended = report["counts"], report["mended"]
    lines = [
        f"{c['texts']:,} texts, {c['hard_texts']} of them hard. Mended after the readings: the sentiment of "
        f"{mended['sentiment']}, the topics of {mended['topics']}.",
        "",
    ]
    lines += [_row("texts", *SENTIMENTS, "all"), "|---|--:|--:|--:|--:|"]
    lines += [_row(name.replace(":", " "), *row.values(), sum(row.values())) for name, row in c["groups"].items()]
    lines += ["", _row("hard because of", "texts"), "|---|--:|", *(_row(h, n) for h, n in c["hard"].items()), ""]
    lines += [
        _row(
            "reading",
            "texts",
            "sentiment: equal",
            "kappa",
            "topics: micro F1",
            "macro F1",
            "mean Jaccard",
            "equal sets",
            "alpha",
        ),
        "|---|" + "--:|" * 8,
    ]
    for name, reading in report["readings"].items():
        shown = {"": reading["as_written"], ", labels as mended": reading["as_mended"]}
        for part, found in (shown | {f", {k.replace(':', ' ')}": v for k, v in reading["groups"].items()}).items():
            s, t = found["sentiment"], found["topics"]
            figures = [s["accuracy"], s["kappa"], *(t[k] for k in _TOPIC_FIGURES)]
            lines.append(_row(name + part, found["texts"], *(f"{x:.3f}" for x in figures)))
    lines += [
        "",
        _row("topic", "zh", "en", *(f"F1, {name}" for name in report["readings"])),
        "|---|--:|--:|" + "--:|" * len(report["readings"]),
    ]
    for topic, row in c["topics"].items():
        f1s = [reading["as_written"]["topics"]["each"].get(topic) for reading in report["readings"].values()]
        lines.append(_row(topic, row["zh"], row["en"], *(f"{x:.2f}" if x is not None else "" for x in f1s)))
    return "\n".join(lines)


_TOPIC_FIGURES = ("micro_f1", "macro_f1", "mean_jaccard", "equal_sets", "alpha")


def _row(*cells: Any) -> str:
    return f"| {' | '.join(str(x) for x in cells)} |"
