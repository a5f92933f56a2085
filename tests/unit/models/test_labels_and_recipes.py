"""Topics, recipes and the descriptions of sets: what is wrong in them is said with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from models.data.sets import KEYWORDS_FILE, load_sets, own_texts
from models.errors import ModelError, TrainingDataError
from models.labels import load_topics
from models.training.recipe import RECIPES, load_recipe

FORBIDDEN = {"phrasebank", "gold_headlines"}


def test_the_list_of_topics() -> None:
    topics = load_topics()
    assert len(topics) == 20
    assert topics[-1].id == "other"
    assert all(t.zh and t.en and t.description_zh and t.description_en for t in topics)


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "topics.yaml"
    file.write_text("- {id: esg, zh: 可持续, en: ESG}\n", "utf-8")
    assert [t.id for t in load_topics(file)] == ["esg"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("- {id: A b, zh: x, en: y}", "entry 1"), ("- {id: a, zh: x}", "entry 1"), ("[", "not valid YAML"),
     ("- {id: a, zh: x, en: y}\n- {id: a, zh: x, en: y}", "twice"), ("a: 1", "must be a list")],
)  # fmt: skip
def test_bad_topics_are_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "topics.yaml"
    file.write_text(content, "utf-8")
    with pytest.raises(ModelError, match=said):
        load_topics(file)


def test_sets_and_keywords_name_known_topics() -> None:
    known = {t.id for t in load_topics()}
    for name, spec in load_sets().items():
        topics = spec.get("topics", {})
        named = {t for m in topics.get("labels", {}).values() for part in m.values() for t in part}
        assert named | set(topics.get("absent", {})) <= known, name
        assert spec["licence"], name
        assert spec["lang"] in ("zh", "en"), name
    keywords = yaml.safe_load(KEYWORDS_FILE.read_text("utf-8"))["topics"]
    assert set(keywords) <= known
    for pattern in keywords.values():
        re.compile(pattern)


def test_own_texts_cover_every_topic() -> None:
    affirmed = {t for e in own_texts() for t, (target, _) in e.topics.items() if target}
    assert affirmed == {t.id for t in load_topics()}


@pytest.mark.parametrize("name", sorted(p.stem for p in RECIPES.glob("*.yaml")))
def test_shipped_recipes(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert set(recipe.sets) <= set(load_sets()) | {"own", "rehearsal", "composed"}
    assert not set(recipe.sets) & FORBIDDEN, "their licences forbid commercial use"
    if name == "stated":
        assert not any("not stated" in load_sets()[s]["licence"] for s in recipe.sets if s in load_sets())


@pytest.mark.parametrize(
    ("content", "said"),
    [("name: x\nsets: {own: {}}\nepoch: 3", "unknown field 'epoch'"), ("name: x", "mapping `sets`"),
     ("name: x\nsets: {own: {}}\nepochs: many", "epochs must be int"),
     ("name: x\nsets: {own: {}}\nlayers: true", "layers")],
)  # fmt: skip
def test_bad_recipes_are_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(content, "utf-8")
    with pytest.raises(TrainingDataError, match=said):
        load_recipe(file)


def test_a_missing_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(TrainingDataError, match="all, stated"):
        load_recipe("no-such")
