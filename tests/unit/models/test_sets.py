"""Labelled sets read onto our labels: classes allowed, topics affirmed, absent and masked, splits without copies."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import pytest

from models.data.copies import copy_groups
from models.data.sets import load_sets, read_split
from models.errors import TrainingDataError
from models.labels import load_topics


def write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([header, *rows])


def one(tmp_path: Path, spec: dict[str, Any], header: list[str], rows: list[list[str]]) -> list[Any]:
    write(tmp_path / "x.csv.gz", header, rows)
    base = {"lang": "zh", "kind": "news", "train": "x.csv.gz", "dev_share": 0, "licence": "ours"}
    return read_split("x", tmp_path, 0, {"x": base | spec})[0]


def test_not_negative_allows_two_classes(tmp_path: Path) -> None:
    spec = {"sentiment": {"column": "negative", "values": {"1": ["negative"], "0": ["neutral", "positive"]}}}
    read = one(tmp_path, spec, ["text", "negative"], [["平台无法提现", "1"], ["平台上线新功能", "0"]])
    assert [e.sentiment for e in read] == [(0,), (1, 2)]


def test_scores_are_cut_and_the_unclear_middle_is_left_out(tmp_path: Path) -> None:
    spec = {"sentiment": {"score": {"column": "s", "negative_to": -0.2, "positive_from": 0.2, "neutral_within": 0.05}}}
    rows = [["a b c d", "-0.9"], ["e f g h", "0.01"], ["i j k l", "0.12"], ["m n o p", "0.2"]]
    assert [e.sentiment for e in one(tmp_path, spec, ["text", "s"], rows)] == [(0,), (1,), (2,)]


def test_partial_topic_labels_are_masked(tmp_path: Path) -> None:
    finnl = load_sets()["finnl"]
    spec = {"topics": finnl["topics"]}
    company, index, region = one(
        tmp_path,
        spec,
        ["text", "topics"],
        [["甲公司发布新品", "中国|公司"], ["沪指收跌", "中国|大盘"], ["某地举行会议", "国际"]],
    )
    assert company.topics["company_operations"] == (1, 1.0)
    assert "earnings_dividend" not in company.topics, "公司 says nothing of the finer company topics"
    assert company.topics["market"] == (0, 1.0)
    assert index.topics["market"] == (1, 1.0)
    assert index.topics["earnings_dividend"][0] == 0
    assert "politics_international" not in region.topics, "国际 alone may be but a region"


def test_other_in_finese_says_nothing(tmp_path: Path) -> None:
    spec = {"topics": load_sets()["finese"]["topics"]}
    read = one(tmp_path, spec, ["text", "event_type"], [["甲公司开会", "其他"], ["乙公司虚增利润", "财务造假"]])
    assert len(read) == 1
    assert {t for t, (said, _) in read[0].topics.items() if said} == {"regulation_legal", "fraud_default"}


def test_repeats_join_topics_and_contradictions_say_nothing(tmp_path: Path) -> None:
    spec = {
        "sentiment": {"column": "s", "values": {"negative": ["negative"], "positive": ["positive"]}},
        "topics": {"column": "t", "labels": {"a": {"is": ["market"]}, "b": {"is": ["macro"]}},
                   "absent": {"market": 1, "macro": 1}},
    }  # fmt: skip
    (read,) = one(tmp_path, spec, ["text", "s", "t"], [["同一句话", "negative", "a"], ["同一句话。", "positive", "b"]])
    assert read.sentiment == ()
    assert read.topics == {"market": (1, 1.0), "macro": (1, 1.0)}


def test_dev_shares_no_near_copy_with_train(tmp_path: Path) -> None:
    spec = {"sentiment": {"column": "s", "values": {"negative": ["negative"]}}, "dev_share": 0.3}
    rows = [
        [f"第{k}家公司公告称由于市场环境变化公司本季度业绩出现{k}%的下滑敬请投资者注意风险", "negative"]
        for k in range(20)
    ]
    rows += [[chr(0x4E00 + 50 * k) * 3 + "公司今日发布公告" + chr(0x5E00 + 31 * k) * 4, "negative"] for k in range(60)]
    write(tmp_path / "x.csv.gz", ["text", "s"], rows)
    base = {"lang": "zh", "kind": "news", "train": "x.csv.gz", "licence": "ours"}
    train, dev = read_split("x", tmp_path, 0, {"x": base | spec})
    assert dev
    assert train
    groups = copy_groups([e.text for e in [*train, *dev]])
    assert not set(groups[: len(train)]) & set(groups[len(train) :])
    more, again = read_split("x", tmp_path, 0, {"x": base | spec})
    assert ([e.text for e in more], [e.text for e in again]) == ([e.text for e in train], [e.text for e in dev])


def test_copy_groups_join_copies_alone() -> None:
    texts = ["The bank will close 40 branches by the end of the year, it said on Monday",
             "The bank will close 45 branches by the end of the year, it said on Monday.",
             "Copper rose to its highest since March as stocks in London warehouses fell again"]  # fmt: skip
    a, b, c = copy_groups(texts)
    assert a == b != c


def test_unrelated_texts_are_not_joined() -> None:
    from models.data.sets import own_texts

    texts = [e.text for e in own_texts()]
    assert len(set(copy_groups(texts))) > 0.97 * len(texts)


@pytest.mark.parametrize(
    ("spec", "said"),
    [({"sentiment": {"column": "nope", "values": {}}}, "line 2.*nope"), ({"train": "gone.csv.gz"}, "is missing"),
     ({"topics": {"column": "s", "labels": {}, "absent": {}}}, "unmapped label")],
)  # fmt: skip
def test_faults_are_named(tmp_path: Path, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingDataError, match=said):
        one(tmp_path, spec, ["text", "s"], [["甲", "x"]])


def test_unknown_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="phrasebank"):
        read_split("phrasebank", tmp_path)


@pytest.mark.slow
def test_all_described_sets_can_be_read(shared_dir: Path) -> None:
    topics = {t.id for t in load_topics()}
    for name in load_sets():
        train, dev = read_split(name, shared_dir / "data")
        assert len(train) > 500, name
        assert len(dev) > 40, name
        assert all(set(e.topics) <= topics for e in train)
        assert not any(e.weak for e in dev), "a rule's label never measures"
