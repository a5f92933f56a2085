"""The gold and the rehearsal set are whole, apart from each other and from all else of ours, and gold never trains."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from app.demo.scenario import load_texts
from barometer.records import normalise
from barometer.vocabulary import SENTIMENTS
from models.behaviour import checks
from models.data import own_sets
from models.data.own_sets import GOLD_FOLDER, HARD, READINGS, OwnText, gold, read_folder, read_labels, rehearsal
from models.data.sets import own_texts, read_split
from models.errors import TrainingDataError
from models.evaluation.measuring import dev_of
from models.labels import load_topics
from models.training.recipe import RECIPES, Recipe, load_recipe
from models.training.sampling import gather

ROOT = Path(__file__).resolve().parents[3]
TOPICS = [t.id for t in load_topics()]
GOOD = {"id": "g-1", "text": "甲公司公告", "kind": "news", "lang": "zh", "sentiment": "neutral", "topics": ["market"]}


@pytest.mark.parametrize(("texts", "prefix", "least", "each"), [(gold(), "g", 1000, 20), (rehearsal(), "r", 600, 12)])
def test_a_set_covers_languages_kinds_sentiments_topics_and_hard_cases(
    texts: Sequence[OwnText], prefix: str, least: int, each: int
) -> None:
    assert len(texts) >= least
    assert all(re.fullmatch(rf"{prefix}-{t.lang}-{t.kind[0]}-\d{{4}}", t.id) for t in texts)
    assert len({normalise(t.text) for t in texts}) == len(texts)
    of_topic = Counter((t.lang, topic) for t in texts for topic in t.topics)
    assert {
        k: n for k in ((lang, topic) for lang in ("zh", "en") for topic in TOPICS) if (n := of_topic[k]) < each
    } == {}
    moods = Counter((topic, t.sentiment) for t in texts for topic in t.topics)
    assert {k for k in ((t, s) for t in TOPICS for s in SENTIMENTS) if moods[k] < 3} == set()
    groups = Counter((t.lang, t.kind, t.sentiment) for t in texts)
    assert len(groups) == 12
    assert min(groups.values()) >= 40
    assert {h for t in texts for h in t.hard} == set(HARD)


def test_the_rehearsal_set_has_plain_notices_in_every_topic_of_chinese_news() -> None:
    plain = Counter(
        topic for t in rehearsal() if (t.lang, t.kind, t.sentiment) == ("zh", "news", "neutral") for topic in t.topics
    )
    assert {topic for topic in TOPICS if plain[topic] < 2} == set()
    assert sum(t.sentiment == "neutral" for t in rehearsal() if (t.lang, t.kind) == ("zh", "news")) >= 90


def test_no_text_of_ours_is_a_near_copy_of_one_that_is_used_otherwise() -> None:
    """The texts that train, those that measure, and the demo's have at most 45 % of their trigrams in common."""
    sets = {
        "gold": [t.text for t in gold()],
        "rehearsal": [t.text for t in rehearsal()],
        "own": [e.text for e in own_texts()],
        "behaviour": sorted({t for c in checks() if c.category != "long" for t in (c.first, c.second)}),
        "demo": [t.text for t in load_texts("all")],
    }
    apart = [("rehearsal", other) for other in sets if other != "rehearsal"] + [("own", "gold")]
    counter = CountVectorizer(analyzer="char", ngram_range=(3, 3), binary=True, dtype=np.int32)
    counter.fit(normalise(t) for texts in sets.values() for t in texts)
    grams = {name: counter.transform([normalise(t) for t in texts]) for name, texts in sets.items()}
    found = []
    for one, other in apart:
        a, b = grams[one], grams[other]
        common = (a @ b.T).toarray()
        sizes = np.asarray(a.sum(1)).reshape(-1, 1) + np.asarray(b.sum(1)).reshape(1, -1)
        share = common / np.maximum(1, sizes - common)
        found += [(sets[one][i], sets[other][j], share[i, j]) for i, j in zip(*np.nonzero(share > 0.45), strict=True)]
    assert found == []


def test_gold_is_refused_in_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="'gold' measures and is never trained on: take it out of the recipe"):
        gather(Recipe("x", {"own": {}, "gold": {}}, path=tmp_path / "x.yaml"), tmp_path)


def test_gold_is_reached_only_by_what_measures() -> None:
    """Another module that must read the gold set (to measure!) is named here, where a reviewer sees it."""
    allowed = {"models/data/own_sets.py", "models/evaluation/agreement.py", "models/evaluation/measuring.py"}
    names = {"gold", "gold_examples", "GOLD_FOLDER"}
    readers = set()
    for path in (
        p for folder in ("models", "barometer", "monitor", "dashboard", "ingest") for p in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imports = isinstance(node, ast.ImportFrom) and node.module == "models.data.own_sets"
            whole = (
                isinstance(node, ast.ImportFrom)
                and node.module == "models"
                and any(a.name == "own_sets" for a in node.names)
            )
            if whole or (imports and {a.name for a in node.names} & names):
                readers.add(str(path.relative_to(ROOT)))
    assert readers <= allowed
    for recipe in RECIPES.glob("**/*.yaml"):
        assert not re.search(r"^\s*gold\b|models/gold", recipe.read_text("utf-8"), re.M), recipe
    assert all("gold" not in load_recipe(p).sets for p in RECIPES.glob("*.yaml"))


def test_rehearsal_labels_every_topic_and_trains_whole(tmp_path: Path) -> None:
    train, dev = read_split("rehearsal", tmp_path)
    assert len(train) == len(rehearsal())
    assert dev == []
    for e in train:
        assert list(e.topics) == TOPICS
        assert any(said for said, _ in e.topics.values())
        assert all(weight == 1.0 if said else 0.5 <= weight <= 1.0 for said, weight in e.topics.values())
        assert e.source == "rehearsal", "the name by which a recipe samples it"
        assert not e.weak


def test_gold_measures_by_name(tmp_path: Path) -> None:
    examples = dev_of("gold", None, TOPICS)
    assert len(examples) == len(gold())
    assert all({w for _, w in e.topics.values()} == {1.0} and len(e.sentiment) == 1 for e in examples)
    assert any(e.title for e in examples)


def test_both_sets_are_in_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"][
        "models"
    ]
    packed = {p for pattern in patterns for p in (ROOT / "models").glob(pattern)}
    assert packed >= {*GOLD_FOLDER.rglob("*.jsonl"), *own_sets.REHEARSAL_FOLDER.rglob("*.jsonl")}


@pytest.mark.parametrize(
    ("change", "said"),
    [({"text": " "}, "text must be a text"), ({"id": 3}, "id must be"), ({"kind": "tweet"}, "kind must be one of news"),
     ({"lang": "de"}, "lang must be one of zh, en, not 'de'"), ({"sentiment": "bad"}, "sentiment must be one of"),
     ({"topics": []}, "topics must be"), ({"topics": ["weather"]}, "topics must be.*weather"),
     ({"topics": ["market", "market"]}, "each once"), ({"topics": ["other", "market"]}, "`other` stands alone"),
     ({"topics": "market"}, "topics must be a list"), ({"topics": [["market"]]}, "topics must be a list"),
     ({"hard": ["tricky"]}, "hard must be a list of negation"), ({"price_move": "yes"}, "price_move must be true"),
     ({"title": ""}, "title must be"), ({"mood": "bad"}, "unknown field 'mood'"),
     ({"id": "g-0"}, "'g-0' is taken by .*1$")],
)  # fmt: skip
def test_a_fault_is_named_with_file_line_and_field(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    lines = [json.dumps(GOOD | {"id": "g-0"}), json.dumps(GOOD | change)]
    (tmp_path / "zh_news.jsonl").write_text("\n".join(lines), "utf-8")
    with pytest.raises(TrainingDataError, match=rf"zh_news\.jsonl:2: .*{said}"):
        read_folder(tmp_path)


@pytest.mark.parametrize(("content", "said"), [("[1]", ":1: not a JSON object"), ("{", ":1: not JSON"),
                                               ("", "holds no texts"), ("\xff", "not in the expected")])  # fmt: skip
def test_a_broken_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "a.jsonl").write_text(content, "latin-1")
    with pytest.raises(TrainingDataError, match=said):
        read_folder(tmp_path)


def test_a_reading_says_each_text_once(tmp_path: Path) -> None:
    row = json.dumps({"id": "g-1", "sentiment": "negative", "topics": ["market"]})
    (tmp_path / "labels.jsonl").write_text(f"{row}\n{row}\n", "utf-8")
    with pytest.raises(TrainingDataError, match=":2: id 'g-1' comes twice"):
        read_labels(tmp_path / "labels.jsonl")


def test_a_third_of_the_gold_set_was_read_again() -> None:
    for path in READINGS.values():
        assert len(read_labels(path)) >= len(gold()) // 3
