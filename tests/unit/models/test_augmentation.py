"""Texts of our grammar say what their labels say; changes keep the words that matter; the suite is well formed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.behaviour import Check, checks, run, table
from models.data.composition import composed
from models.data.copies import copy_groups
from models.data.examples import Example
from models.errors import TrainingDataError
from models.scoring.scorer import Scorer
from models.training.augmentation import CHANGES, augmented


def test_composed_texts_are_different_balanced_and_the_same_again() -> None:
    texts = composed(2000, 4)
    assert len({e.text for e in texts}) == 2000
    assert [e.text for e in composed(2000, 4)] == [e.text for e in texts]
    for lang in ("zh", "en"):
        moods = [e.sentiment[0] for e in texts if e.lang == lang]
        assert len(moods) == 1000
        assert 0.4 < moods.count(0) / len(moods) < 0.56
        assert 0.4 < moods.count(2) / len(moods) < 0.56
    assert all(e.weak for e in texts), "they train; none measures"


@pytest.mark.parametrize(
    ("part", "mood"),
    [("净利润大幅上升", 2), ("净亏损大幅上升", 0), ("净利润大幅下滑", 0), ("净亏损大幅下滑", 2), ("net loss surged", 0),
     ("Revenue surged", 2), ("Net loss slumped", 2), ("Revenue slumped", 0)],
)  # fmt: skip
def test_a_verb_is_good_or_bad_by_its_subject(part: str, mood: int) -> None:
    alone = [e for e in composed(6000, 4) if e.text.lower().startswith(part.lower()) and e.kind == "comment"]
    assert {e.sentiment[0] for e in alone} <= {mood}


def test_a_grammar_without_a_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("zh: {firms: [a]}\nen: {firms: [b]}\n", "utf-8")
    with pytest.raises(TrainingDataError, match=r"g\.yaml.*good|times|moves"):
        composed(5, 1, tmp_path / "g.yaml")


@given(st.text(min_size=1, max_size=80), st.sampled_from(["zh", "en"]), st.integers(0, 99))
def test_every_change_keeps_the_text_in_it(text: str, lang: str, seed: int) -> None:
    for change in CHANGES:
        made = change(text, lang, random.Random(seed))
        assert len(made) >= len(text) - 1


def test_a_share_of_texts_is_changed_and_no_label() -> None:
    examples = [Example(f"第{i}条公司公告内容如下所示", "news", "zh", "s", (i % 3,)) for i in range(2000)]
    made = augmented(examples, 0.2, 1)
    assert [e.sentiment for e in made] == [e.sentiment for e in examples]
    changed = sum(a.text != b.text for a, b in zip(made, examples, strict=True))
    assert 0.15 < changed / 2000 < 0.25
    assert augmented(examples, 0.0, 1) == examples


def test_the_behaviour_suite_is_complete_and_never_trained_on() -> None:
    from models.data.sets import own_texts

    suite = checks()
    for lang in ("zh", "en"):
        kinds = {c.category for c in suite if c.lang == lang}
        assert kinds >= {"negation", "contrast", "number_direction", "subject", "question", "irony", "company",
                         "emoji", "link", "slip", "long"}  # fmt: skip
        assert "full_width" in kinds or lang == "zh", "Chinese texts without letters stay as they are"
    assert max(len(c.second) for c in suite if c.category == "long") > 4500
    measured = sorted({t for c in suite if c.category != "long" for t in (c.first, c.second)})
    trained = [e.text for e in [*own_texts(), *composed(6000, 20)]]
    groups = copy_groups([*measured, *trained])
    assert not set(groups[: len(measured)]) & set(groups[len(measured) :])


def test_a_check_fails_where_it_should(default_scorer: Scorer) -> None:
    good, bad = "净利润同比翻番，创历史新高，股价涨停。", "公司债务违约，资金链断裂，股价跌停。"
    suite = [
        Check("invariance", "x", "zh", "news", good, bad), Check("invariance", "x", "zh", "news", bad, bad),
        Check("direction", "y", "zh", "news", good, bad), Check("direction", "y", "zh", "news", bad, good),
        Check("invariance", "z", "zh", "news", "", ""),
    ]  # fmt: skip
    outcomes = run(default_scorer, suite)
    assert [o.held for o in outcomes] == [False, True, False, True, False]
    assert table(outcomes)["direction"] == {"share": 0.5, "n": 2}
