"""The model that ships: the same result in any batch, what is left unscored, and what it must get right."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barometer.vocabulary import SENTIMENTS
from models.folder import read_folder
from models.labels import load_topics
from models.scoring.interface import ScoredText
from models.scoring.scorer import Scorer, load_scorer

WORDS = [
    "跌停", "房企", "债券", "违约", "公告", "上涨", "净利润", "银行", "the bank", "shares", "fell", "$ACME", "回购",
    "，", "😭", "profit", "央行", "not", "2024年", "https://t.co/x", "。", "strong", "投资者", "report",
]  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join),
    st.text(min_size=0, max_size=60),
    st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=150),
)
KINDS = st.sampled_from(["news", "comment", "unknown", None])


def close(a: ScoredText, b: ScoredText) -> bool:
    """Nothing differs but for 1e-5 in a probability."""
    if a[:3] != b[:3] or a.sentiment_probabilities is None or b.sentiment_probabilities is None:
        return a == b
    assert a.topic_probabilities is not None
    assert b.topic_probabilities is not None
    return bool(
        np.abs(np.subtract(a.sentiment_probabilities, b.sentiment_probabilities)).max() < 1e-5
        and np.abs(np.subtract(a.topic_probabilities, b.topic_probabilities)).max() < 1e-5
    )


@given(st.lists(st.tuples(TEXTS, KINDS), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_result_does_not_depend_on_its_batch(
    default_scorer: Scorer, items: list[tuple[str, str | None]], rng: random.Random
) -> None:
    together = default_scorer.score([t for t, _ in items], [k for _, k in items])
    alone = [default_scorer.score([t], [k])[0] for t, k in items]
    order = list(range(len(items)))
    rng.shuffle(order)
    mixed = default_scorer.score([items[i][0] for i in order], [items[i][1] for i in order])
    assert all(close(a, b) for a, b in zip(together, alone, strict=True))
    assert all(close(together[i], b) for i, b in zip(order, mixed, strict=True))


def test_neither_do_long_texts_and_big_batches(default_scorer: Scorer) -> None:
    rng = random.Random(3)
    texts = [" ".join(rng.choices(WORDS, k=rng.choice([1, 3, 8, 20, 50, 90]))) for _ in range(300)]
    together = default_scorer.score(texts)
    assert all(close(together[i], default_scorer.score([texts[i]])[0]) for i in range(0, 300, 7))
    assert all(close(a, b) for a, b in zip(together, reversed(default_scorer.score(texts[::-1])), strict=True))


@pytest.mark.parametrize(
    ("text", "kind", "sentiment", "topic"),
    [
        ("安顺置业未能按期偿付到期美元债，构成违约，多地楼盘停工。", "news", "negative", "real_estate"),
        ("Developer Anshun Estates defaulted on its offshore bonds as housing projects stalled.", "news", "negative",
         "real_estate"),
        ("某地产开发商资金链断裂，数千购房者的楼盘烂尾", "news", "negative", "real_estate"),
        ("烂尾楼业主太惨了，交了首付房子停工两年", "comment", "negative", "real_estate"),
        ("平台老板跑路，投资者提现困难，涉嫌非法集资被立案", "news", "negative", "fraud_default"),
        ("公司前三季度净利润同比增长85%，拟每10股派5元。", "news", "positive", "earnings_dividend"),
        ("央行今日开展500亿元7天期逆回购操作，利率持平。", "news", "neutral", None),
        ("外交部发言人将于周三主持例行记者会。", "news", "neutral", "politics_international"),
        ("The company will hold its annual meeting on 12 May.", "news", "neutral", None),
        ("Oil prices tumbled 6% on fears of a glut.", "news", "negative", "commodities_energy"),
        ("主力又在砸盘，垃圾股，亏惨了", "comment", "negative", None),
    ],
)  # fmt: skip
def test_plain_cases(default_scorer: Scorer, text: str, kind: str, sentiment: str, topic: str | None) -> None:
    (result,) = default_scorer.score([text], [kind])
    assert result.sentiment is not None
    assert SENTIMENTS[result.sentiment] == sentiment
    assert topic is None or topic in result.topics


def test_what_is_left_unscored_and_why(default_scorer: Scorer) -> None:
    texts = ["", "   ", "株価が大きく下がった", "666", "Акции упали", "公司公告"]
    results = default_scorer.score(texts)
    assert [r.scored for r in results] == [False] * 5 + [True]
    assert [r.reason for r in results] == [
        "text_empty", "text_empty", "language:ja", "language:und", "language:ru", None,
    ]  # fmt: skip
    assert results[0].sentiment is None
    assert results[0].topics == ()
    assert default_scorer.score([]) == []


def test_a_given_language_overrides_detection(default_scorer: Scorer) -> None:
    results = default_scorer.score(
        ["666", "公司公告", "公司公告", "公司公告"], langs=["zh", "ja", "zh-CN", "nonsense code"]
    )
    assert [r.scored for r in results] == [True, False, True, True]
    assert [r.lang for r in results] == ["zh", "ja", "zh", "zh"]


def test_title_and_kind_are_inputs(default_scorer: Scorer) -> None:
    body = "详情见公司公告。"
    plain, titled = default_scorer.score([body, body], ["news", "news"], titles=[None, "董事长被立案调查，股价暴跌"])
    assert titled.sentiment == 0
    assert titled.sentiment_probabilities != plain.sentiment_probabilities
    news, comment = default_scorer.score(["明天要起飞了"] * 2, ["news", "comment"])
    assert news.sentiment_probabilities != comment.sentiment_probabilities


def test_a_result_as_json(default_scorer: Scorer) -> None:
    (result,) = default_scorer.score(["恒生指数收涨1.2%"], ["news"])
    row = result.as_dict(default_scorer.version, default_scorer.topics)
    assert set(row) == {
        "scored", "reason", "lang", "sentiment", "sentiment_probabilities", "topics", "topic_probabilities",
        "model_version",
    }  # fmt: skip
    assert set(row["sentiment_probabilities"]) == set(SENTIMENTS)
    assert sum(row["sentiment_probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert row["sentiment"] == max(row["sentiment_probabilities"], key=row["sentiment_probabilities"].get)
    assert set(row["topic_probabilities"]) == {t.id for t in load_topics()}
    cuts = read_folder().thresholds["zh"]
    assert set(row["topics"]) == {t for t, p in row["topic_probabilities"].items() if p >= cuts[t]}


def test_repeats_are_remembered() -> None:
    scorer = load_scorer(threads=1)
    first = scorer.score(["沪指收涨0.3%", "沪指收涨0.3%"], ["news", "comment"])
    again = scorer.score(["沪指收涨0.3%", "沪指收涨0.3%"], ["news", "comment"])
    assert again == first
    assert again[0] is first[0]
    assert first[0] != first[1], "the kind is part of what is remembered"


def test_wrong_arguments_are_named(default_scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="kinds has 2 entries for 1 texts"):
        default_scorer.score(["a"], kinds=["news", "news"])


def test_it_loads_fast_and_is_small() -> None:
    began = time.monotonic()
    scorer = load_scorer(threads=1)
    assert time.monotonic() - began < 2
    assert scorer.languages == ("zh", "en")
    assert scorer.topics == tuple(t.id for t in load_topics())
    assert sum(f.stat().st_size for f in scorer.folder.path.iterdir()) < 60e6


def test_the_serving_path_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from models.scoring.scorer import load_scorer; load_scorer(threads=1).score(['公司公告']);"
        "bad = {'torch', 'transformers', 'sklearn', 'onnx'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_shipped_network_can_be_rebuilt() -> None:
    pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
    texts = [
        "安顺置业未能按期偿付到期美元债，构成违约。",
        "Sales rose 12%, outlook raised.",
        "明天开会",
    ]
    kinds = ["news", "news", "comment"]
    shipped = load_scorer(threads=1).score(texts, kinds)
    rebuilt = load_scorer(backend="torch", device="cpu").score(texts, kinds)
    for a, b in zip(shipped, rebuilt, strict=True):
        assert a.sentiment == b.sentiment
        assert a.sentiment_probabilities == pytest.approx(b.sentiment_probabilities, abs=0.1)
        assert a.topic_probabilities is not None
        assert b.topic_probabilities is not None
        # The rebuilt network does not round activations: a topic on the edge may move, the rest hardly does.
        apart = np.abs(np.subtract(a.topic_probabilities, b.topic_probabilities))
        assert apart.max() < 0.12
        assert apart.mean() < 0.02
