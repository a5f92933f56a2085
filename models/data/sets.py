"""Labelled sets, read onto our labels with masks: what a set doesn't say is not learnt.

``sets.yaml`` describes every set; this module reads them as it says. An :class:`Example` carries the sentiment classes
that its label allows (none: nothing is said) and, per topic, a target with a weight (0: masked).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from barometer.files import BadRow, read_rows
from barometer.records import hash64, normalise
from barometer.vocabulary import KINDS, SENTIMENTS
from models.data.composition import composed
from models.data.copies import copy_groups
from models.data.examples import Example
from models.data.own_sets import rehearsal_examples
from models.errors import TrainingDataError
from models.labels import load_topics

SETS_FILE = Path(__file__).with_name("sets.yaml")
KEYWORDS_FILE = Path(__file__).with_name("keywords.yaml")
OWN_TEXTS = Path(__file__).with_name("own_texts.yaml")

SPLIT_SEED = 20
"""Of the dev splits that are drawn: the same whatever the seed of a training run, so that runs can be compared."""

_COMPOSED = 6000
"""Texts that the grammar makes; a recipe samples from them."""

# A flash without any of these says neither good nor bad: weakly neutral.
_DIRECTION = re.compile(
    r"[涨跌升降增减亏损违罚警危险崩挫滑疲弱强败死亡病疫诉爆停失坏优佳劣喜忧压难困慌恐劲旺暖冷热火]|"
    r"新高|新低|突破|超|利好|利空|最|破产|逾期|制裁|袭击|战争|冲突|第一|首次|成功|获|扩大|收窄|反弹|回落|"
    r"批准|支持|担忧|威胁|短缺|确诊|改善|加快|放缓|过剩|紧张|风波|质疑|调查|处分|问询|立案|退市|违约"
)


def load_sets(path: Path = SETS_FILE) -> dict[str, dict[str, Any]]:
    """The descriptions of the labelled sets by name. Raises TrainingDataError if the file cannot be read."""
    try:
        return dict(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as e:
        raise TrainingDataError(f"sets: cannot read {path}: {e}") from e


def read_split(
    name: str, data: Path, seed: int = SPLIT_SEED, sets: dict[str, dict[str, Any]] | None = None
) -> tuple[list[Example], list[Example]]:
    """(train, dev) of a set. Where the set has no dev split, one is drawn by hash.

    Exact repeats (same normalised text and kind) are folded; training texts that are near copies of a dev text are
    dropped. Dev keeps only what the set's own labels say: weak and distant labels are training aids.

    Raises:
        TrainingDataError: unknown set, missing file, missing column, or a label that ``sets.yaml`` doesn't map.
    """
    if name == "own":
        return own_texts(), []
    if name == "rehearsal":
        return rehearsal_examples(), []
    if name == "gold":
        raise TrainingDataError("set 'gold' measures and is never trained on: take it out of the recipe's sets")
    if name == "composed":
        return composed(_COMPOSED, seed), []
    sets = load_sets() if sets is None else sets
    if name not in sets:
        known = ", ".join([*sets, "own", "rehearsal", "composed"])
        raise TrainingDataError(f"set {name!r} is not described in {SETS_FILE} (known: {known})")
    spec = sets[name]
    train = _fold(_examples(name, spec, rows_of(data / spec["train"])))
    if "votes" in spec:
        _count_votes(train, name, spec["votes"], data)
    if "dev" in spec:
        dev = _fold(_examples(name, spec, rows_of(data / spec["dev"]), distant=False))
        groups = copy_groups([e.text for e in [*train, *dev]])
        held_out = set(groups[len(train) :])
        return [e for e, g in zip(train, groups, strict=False) if g not in held_out], dev
    chosen = [_drawn(e, spec["dev_share"], seed) for e in train]
    groups = copy_groups([e.text for e in train])
    held_out = {g for g, drawn in zip(groups, chosen, strict=True) if drawn}
    plain = _fold(_examples(name, spec, rows_of(data / spec["train"]), distant=False))
    return (
        [e for e, g in zip(train, groups, strict=True) if g not in held_out],
        [e for e in plain if _drawn(e, spec["dev_share"], seed)],
    )


def whole_set(name: str, data: Path, sets: dict[str, dict[str, Any]] | None = None) -> list[Example]:
    """All labelled texts of a set, those that :func:`read_split` holds out for dev and their near copies too.

    Raises: as :func:`read_split`.
    """
    spec = (load_sets() if sets is None else sets).get(name)
    if spec is None:
        return read_split(name, data, sets=sets)[0]
    files = [data / spec[part] for part in ("train", "dev") if part in spec]
    every = _fold(example for file in files for example in _examples(name, spec, rows_of(file)))
    if "votes" in spec:
        _count_votes(every, name, spec["votes"], data)
    return every


def _count_votes(train: Sequence[Example], name: str, spec: dict[str, Any], data: Path) -> None:
    """Give each text the mean of its own label and those of its other annotations, the latter with ``share``."""
    counts: dict[str, list[float]] = {}
    for number, row in enumerate(rows_of(data / spec["file"]), 2):
        try:
            cell = counts.setdefault(normalise(row["text"]), [0.0] * len(SENTIMENTS))
            cell[SENTIMENTS.index(row[spec["column"]])] += 1
        except (KeyError, ValueError) as e:
            raise TrainingDataError(f"set {name}: {spec['file']}, line {number}: {e}") from e
    share = float(spec["share"])
    for example in train:
        said = counts.get(normalise(example.text))
        if said and len(example.sentiment) == 1:
            mean = [share * n / sum(said) for n in said]
            mean[example.sentiment[0]] += 1 - share
            example.votes = (mean[0], mean[1], mean[2])


def _drawn(example: Example, share: float, seed: int) -> bool:
    """Whether a text is in the dev split: by its hash, so that more data never moves a text to the other side."""
    return hash64(f"{seed}:{normalise(example.text)}") % 10_000 < share * 10_000


def own_texts(path: Path = OWN_TEXTS) -> list[Example]:
    """The project's own training texts, for topics that the sets lack; never used to measure."""
    try:
        rows = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as e:
        raise TrainingDataError(f"own texts: cannot read {path}: {e}") from e
    known = [t.id for t in load_topics()]
    examples = []
    for number, row in enumerate(rows, 1):
        try:
            lang, kind, sentiment, names, text = row
            topics = names.split("+")
            if unknown := set(topics) - set(known):
                raise ValueError(f"unknown topics {sorted(unknown)}")
            examples.append(
                Example(
                    text,
                    KINDS[KINDS.index(kind)],
                    lang,
                    "own",
                    (SENTIMENTS.index(sentiment),),
                    1.0,
                    {t: (int(t in topics), 1.0 if t in topics else 0.5) for t in known},
                    weak=True,
                )
            )
        except (ValueError, AttributeError, TypeError) as e:
            raise TrainingDataError(f"own texts: {path}, entry {number}: {e}") from e
    return examples


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a file, as all commands read files. Raises TrainingDataError if it is missing, or a row is broken."""
    if not path.is_file():
        raise TrainingDataError(f"labelled set: {path} is missing (is --data the right folder?)")
    for row in read_rows(str(path)):
        if isinstance(row, BadRow):
            raise TrainingDataError(f"labelled set: {row}")
        yield {k: "" if v is None else v if isinstance(v, str) else str(v) for k, v in row.fields.items()}


def _examples(
    name: str, spec: dict[str, Any], rows: Iterable[dict[str, str]], distant: bool = True
) -> Iterator[Example]:
    patterns, weights = _keywords() if distant and spec.get("keywords") else ({}, {})
    for number, row in enumerate(rows, 2):
        try:
            text = row["text"]
            kind = (
                spec["kind"] if isinstance(spec["kind"], str) else spec["kind"]["values"][row[spec["kind"]["column"]]]
            )
            labels = _labels(spec, row)
            allowed, weight, weak = _sentiment(spec.get("sentiment"), row, labels, distant)
            topics = _topics(spec, row, labels)
        except KeyError as e:
            raise TrainingDataError(f"set {name}, line {number}: no such column or unmapped label: {e}") from e
        example = Example(text, kind, spec["lang"], name, allowed, weight, topics, weak=weak)
        example.title = row.get("title") or None
        if spec.get("topics", {}).get("one_of"):
            example.one_of = tuple(t for t, w in spec["topics"]["absent"].items() if w >= spec["topics"]["one_of"])
        for topic, pattern in patterns.items():
            if topic not in example.topics:
                found = int(bool(pattern.search(text)))
                example.topics[topic] = (found, weights["is" if found else "absent"])
        if text.strip() and (example.sentiment or example.topics):
            yield example


def _keywords() -> tuple[dict[str, re.Pattern[str]], dict[str, float]]:
    raw = yaml.safe_load(KEYWORDS_FILE.read_text("utf-8"))
    return {t: re.compile(p, re.I) for t, p in raw["topics"].items()}, raw["weights"]


def _labels(spec: dict[str, Any], row: dict[str, str]) -> list[str]:
    topics = spec.get("topics")
    if not topics:
        return []
    cell = row[topics["column"]]
    return [x for x in cell.split(topics["separator"]) if x] if "separator" in topics else [cell]


def _sentiment(
    spec: dict[str, Any] | None, row: dict[str, str], labels: list[str], distant: bool
) -> tuple[tuple[int, ...], float, bool]:
    """(allowed classes, weight, weak)."""
    if not spec:
        return (), 0.0, False
    weight = float(spec.get("weight", 1.0))
    if "values" in spec:
        allowed = spec["values"].get(row[spec["column"]], [])  # 'mixed' and the like: nothing is said
        return _classes(allowed), weight, False
    if "score" in spec:
        cut = spec["score"]
        score = float(row[cut["column"]])
        if score <= cut["negative_to"]:
            return (0,), weight, False
        if score >= cut["positive_from"]:
            return (2,), weight, False
        return ((1,) if abs(score) <= cut["neutral_within"] else ()), weight, False
    if not distant:
        return (), 0.0, False
    if "labels" in spec:
        said = [set(spec["labels"][x]) for x in labels if x in spec["labels"]]
        allowed = list(set.intersection(*said)) if said and len(said) == len(labels) else []
        return _classes(allowed), weight, True
    if spec.get("plain") and "新冠" not in labels and not _DIRECTION.search(row["text"]):
        return (1,), weight, True
    return (), 0.0, False


def _classes(names: Sequence[str]) -> tuple[int, ...]:
    return tuple(sorted(SENTIMENTS.index(n) for n in names))


def _topics(spec: dict[str, Any], row: dict[str, str], labels: list[str]) -> dict[str, tuple[float, float]]:
    topics = spec.get("topics")
    if not topics or set(labels) & set(topics.get("drop", ())):
        return {}
    complete = topics.get("complete")
    said: dict[str, tuple[float, float]] = {}
    if not complete or row[complete["column"]] != complete["unless"]:
        said = {t: (0, float(w)) for t, w in topics["absent"].items()}
    meanings = [topics["labels"][x] for x in labels]
    for meaning in meanings:
        for topic in meaning.get("open", ()):
            said.pop(topic, None)
    affirmed = [t for m in meanings for t in m.get("is", ())]
    said |= dict.fromkeys(affirmed, (1, 1.0))
    if "other" in topics["absent"] and not affirmed and "other" in said:
        del said["other"]  # nothing but a region was marked: not the same as 'none of the topics'
    return said


def _fold(examples: Iterable[Example]) -> list[Example]:
    """One example a normalised text and kind: affirmed topics are joined, contradicting sentiments say nothing."""
    folded: dict[tuple[str, str], Example] = {}
    for e in examples:
        key = (normalise(e.text), e.kind)
        first = folded.setdefault(key, e)
        if first is e:
            continue
        if first.sentiment and e.sentiment:
            first.sentiment = tuple(sorted(set(first.sentiment) & set(e.sentiment)))
        for topic in set(first.topics) | set(e.topics):
            a, b = first.topics.get(topic), e.topics.get(topic)
            if (a and a[0]) or (b and b[0]):
                first.topics[topic] = max(x for x in (a, b) if x)
            elif a is None or b is None:
                first.topics.pop(topic, None)  # left open by one of them
    return [e for e in folded.values() if e.sentiment or e.topics]
