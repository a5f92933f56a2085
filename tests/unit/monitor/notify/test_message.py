"""What messages say, and that no text of the stream can say more than itself."""

from __future__ import annotations

import doctest
import re
import unicodedata
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.alarm_runbook import RUNBOOK, runbook_entry
from barometer.settings import load_settings
from monitor.notify import formats, wording
from monitor.notify.channels import base, http, markdown
from monitor.notify.config import Receiver
from monitor.notify.facts import facts_of
from monitor.notify.formats import cut, one_line
from monitor.notify.message import Message, render
from monitor.notify.wording import REASON
from tests.support.alert_examples import AT, alert

SETTINGS = load_settings(public_url="http://barometer.test", repeat_interval_minutes=90)


def said(reason: str = "first", lang: str = "zh", **more: Any) -> Message:
    receiver = Receiver.model_validate({"name": "r", "lang": lang, "channels": [{"type": "mail", "to": "a@b.c"}]})
    facts = facts_of(alert(**more), reason=reason, receiver=receiver, settings=SETTINGS, now_ms=AT + 1_500_000)
    return render(facts, "key")


def test_a_first_message_says_what_since_when_how_bad_and_what_to_do() -> None:
    m = said()
    assert m.title == "【严重】房地产：负面激增，30 分钟内 31 条（平时约 6.5 条）"
    for part in (
        "30 分钟内的 88 条文本中有 31 条负面（35.2%），平时约 6.5 条，是平时的 4.8 倍",
        "开始：2023-11-15 06:20 北京时间（已 25 分钟）",
        "严重程度：严重 · 较大",
        "出现在：新闻、评论",
        "http://barometer.test/alerts/7",
        "不确认的话，1 小时 30 分钟后会再次提醒。",
        "共 3 次转载",
    ):
        assert part in m.text
        assert escape(part.partition("：")[2] or part) in m.html


def test_english_and_both() -> None:
    assert "31 of 88 texts in 30 min were negative (35.2%); about 6.5 are usual" in said(lang="en").text
    assert not re.search("[\u4e00-\u9fff]", said(lang="en", evidence=[]).text)
    both = said(lang="both").text
    assert "平时约 6.5 条" in both
    assert "about 6.5 are usual" in both


@pytest.mark.parametrize("reason", sorted(REASON))
def test_every_reason_is_told_in_both_languages(reason: str) -> None:
    more = {"state": "resolved", "resolved_by": "li", "resolved_at": AT + 1} if reason == "resolved" else {}
    m = said(reason, "both", **more)
    assert REASON[reason]["zh"] in m.text
    assert REASON[reason]["en"] in m.text


def with_facts(lang: str = "zh", reason: str = "first", **facts: Any) -> Message:
    """A message with what the outbox adds to the facts of an alert."""
    return render({**said(reason, lang).facts, **facts}, "key")


def test_who_is_behind_the_negatives() -> None:
    sources = [
        {"source": s, "negative": n} for s, n in (("论坛<b>", 15), (None, 9), ("财经网", 3), ("甲", 2), ("乙", 1))
    ]
    why = {"independent_negative": 19, "copies": 12, "sources": sources, "expected_share": 0.074}
    m = said(lang="both", explanation=why)
    assert "负面来自：19 篇不同文本、12 篇转载、论坛<b> 15、财经网 3、甲 2\n" in m.text
    assert "Negative: 19 different texts, 12 copies, 论坛<b> 15" in m.text
    assert "平时约 6.5 条（7.4%），是平时的 4.8 倍" in m.text
    assert "about 6.5 (7.4%) are usual, so 4.8 times" in m.text
    assert "论坛&lt;b&gt;" in m.html


def test_what_it_is_about_and_whether_it_is_mostly_one_text_or_prices() -> None:
    why = {
        "one_text": 24, "price_moves": 0.62, "companies": [{"company": "某银行", "negative": 20}],
        "terms": [{"term": t, "texts": 9, "before": 0} for t in ("停工", "<b>", "c", "d", "e", "sixth")],
    }  # fmt: skip
    m = said(lang="both", explanation=why)
    for part in (
        "主要是同一篇文本：31 条里有 24 条。", "负面大多只说行情下跌（62%）。",
        "突出的词：停工、<b>、c、d、e\n", "涉及公司：某银行 20",
        "Mostly one text: 24 of 31. Mostly about falling prices (62%).", "Telling terms: 停工, <b>, c, d, e\n",
        "Companies: 某银行 20",
    ):  # fmt: skip
        assert part in m.text
    assert "停工、&lt;b&gt;、c" in m.html
    few = said(lang="both", explanation={"one_text": 1, "price_moves": 0.2, "terms": [], "companies": []}).text
    assert not re.search("同一篇|行情|突出|涉及|Mostly|terms|Companies", few)


def test_the_title_says_whom_it_is_about_and_each_kind_stands_beneath() -> None:
    why = {
        "companies": [{"company": "609866.SH", "name": "恒远", "negative": 20}, {"company": "乙银行", "negative": 2}],
        "by_kind": [{"kind": 1, "negative": 20, "total": 50}, {"kind": 2, "negative": 11, "total": 38}],
    }
    m = said(lang="both", explanation=why, kinds=[1, 2])
    assert "房地产（恒远）：负面激增，30 分钟内 31 条" in m.title
    assert "Real estate (恒远): 31 negative texts" in m.title
    assert "出现在：新闻 20 / 50、评论 11 / 38" in m.text
    assert "涉及公司：恒远 609866.SH 20、乙银行 2" in m.text


def test_a_red_line_is_told_in_the_readers_language() -> None:
    title = {"zh": "聚集维权", "en": "Customers protest"}
    hit = {"rule": "涉众维权", "title": title, "about": ["甲地产"], "words": ["拉横幅", "围堵"]}
    why = {"hits": [hit], "summary": "红线 · Red line"}
    given = {"type": "rule", "seen_total": 0, "seen_negative": 0, "explanation": why}
    zh, en = said(fingerprint="rule:涉众维权", **given), said(lang="en", fingerprint="rule:涉众维权", **given)
    assert zh.title == "【严重】红线“聚集维权”：甲地产：拉横幅、围堵"
    assert en.title == "[CRITICAL] Red line “Customers protest”: 甲地产: 拉横幅, 围堵"
    of_a_topic = said(lang="both", **given).title
    assert of_a_topic.startswith(
        "【严重】房地产：红线“聚集维权”：甲地产：拉横幅、围堵 | [CRITICAL] Real estate: Red line “Cus"
    )
    before = {**given, "explanation": {"summary": "红线 · Red line"}}
    assert said(**before).title == "【严重】房地产：红线 · Red line", "kept before hits had titles"


def test_runbook_and_contact_are_told() -> None:
    m = with_facts("both", runbook={"zh": "先打电话\n给网点", "en": "Call the branch"}, contact="李雷 138")
    assert "1. 处置预案：先打电话 给网点" in m.text
    assert "1. Runbook: Call the branch" in m.text
    assert "联系人：李雷 138" in m.text
    assert "Contact: 李雷 138" in m.text


def test_alerts_of_one_cause_are_told_together() -> None:
    together = [
        {"id": i, "series": {"zh": zh, "en": en}}
        for i, (zh, en) in enumerate([("房地产", "Real estate"), ("银行", "Banks")])
    ]
    m = with_facts("both", incident={"id": 3, "alerts": together})
    assert "【严重】房地产等 2 项：负面激增" in m.title
    assert "[CRITICAL] Real estate and 1 more: 31 negative" in m.title
    assert "同一事件：房地产、银行" in m.text
    assert "Same incident: Real estate, Banks" in m.text


def test_steps_of_a_level_have_their_time() -> None:
    steps = [
        {"step": "assess", "state": "done", "due_at": AT},
        {"step": "respond", "state": "open", "due_at": AT + 3_600_000},
    ]
    m = with_facts(steps=steps)
    assert "处置时限：处置 07:20" in m.text
    assert "研判" not in m.text
    late = with_facts("both", "overdue", steps=steps, overdue=["respond"])
    assert late.title.startswith("【严重·超时】")
    assert "马上完成，并在告警页登记：处置。" in late.text
    assert "note it on the alert's page: response." in late.text


def test_who_resolved_it_and_as_what() -> None:
    m = said("resolved", state="resolved", resolved_by="li", resolved_at=AT + 60_000, resolution="false_alarm")
    assert m.title.startswith("【已解决】房地产")
    assert "由 li 解决，结论：误报。" in m.text
    assert "最高时：30 分钟内的 88 条" in m.text
    by_itself = said("resolved", state="resolved", resolved_by="detector", ended_at=AT + 60_000)
    assert "告警自动结束" in by_itself.text


def test_nothing_is_divided_by_an_expectation_of_nothing() -> None:
    assert "倍" not in said(expected_negative=0.0).text
    assert "负面（" not in said(seen_total=0, seen_negative=0).text


@pytest.mark.parametrize("code", RUNBOOK)
def test_system_alarms_say_what_to_do(code: str) -> None:
    more: dict[str, Any] = {
        "type": "system",
        "kinds": [],
        "seen_total": 0,
        "evidence": [],
    }
    m = said(
        lang="both",
        fingerprint=f"system:{code}:财经网",
        **more,
        explanation={"records": 12_000, "kinds": {}, "told_score": 0},
    )
    what, steps = runbook_entry(f"system:{code}:财经网", "zh")
    assert what in m.title
    assert all(step in m.text for step in steps)
    assert "未读记录 12,000" in m.text
    assert "told_score" not in m.text
    assert m.title.count("系统告警：") == 0


def test_a_fault_that_is_gone_is_told_so() -> None:
    over = {"type": "system", "fingerprint": "system:lag", "kinds": [], "seen_total": 0, "evidence": []}
    over |= {"state": "resolved", "resolved_by": "detector", "ended_at": AT}
    m = said("resolved", "both", **over, explanation={"records": 5})
    assert "故障已消除。此前：未读记录 5" in m.text
    assert "The fault is gone. It was: Records waiting 5" in m.text
    assert "It was" not in said("resolved", "both", **over).text


def test_a_system_alarm_that_we_have_no_words_for_is_still_told() -> None:
    m = said(type="system", fingerprint="system:odd", kinds=[], seen_total=0, explanation={"summary": "odd"})
    assert "系统告警：odd" in m.title
    assert "barometer status" in m.text


@given(st.text(max_size=400))
def test_a_text_of_the_stream_stays_one_escaped_line(text: str) -> None:
    m = said(evidence=[{"text": text, "title": None, "source": text, "kind": 2}], resolved_by=text)
    plain = said(evidence=[{"text": "x", "source": "y", "kind": 2}])
    assert m.text.count("\n") == plain.text.count("\n")
    # Whatever the text holds, the page has the same tags as with a harmless one.
    assert re.findall(r"<[a-z/!][^>]*>", m.html) == re.findall(r"<[a-z/!][^>]*>", plain.html)
    assert not any(unicodedata.category(x) in ("Cc", "Cs") and x != "\n" for x in m.text)
    assert not any("\u202a" <= x <= "\u202e" or "\u2066" <= x <= "\u2069" for x in m.text)


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_cut_text_is_a_beginning(text: str, limit: int) -> None:
    found = cut(text, limit)
    assert len(found) <= limit + 1
    if len(text) <= limit:
        assert found == text
    else:
        assert found.endswith("…")
        assert text.startswith(found[:-1])


@pytest.mark.parametrize(
    "unit",
    ["👨\u200d👩\u200d👧", "👍🏽", "e\u0301", "🇨🇳", "❤\ufe0f", "क\u093f"],
    ids=["family", "skin", "accent", "flag", "heart", "vowel sign"],
)
def test_a_cut_never_splits_what_people_see_as_one_character(unit: str) -> None:
    text = "涨" + unit * 3 + "!"
    whole = {"涨" + unit * n + "…" for n in range(4)}
    assert {cut(text, n) for n in range(1, len(text) - 1)} <= whole


def test_one_line_keeps_emoji_and_drops_what_hides() -> None:
    assert one_line(" a\u202eb\r\n\tc\x00 👨\u200d👩 ") == "ab c 👨\u200d👩"


@pytest.mark.parametrize("module", [formats, wording, base, http, markdown], ids=lambda m: m.__name__)
def test_examples_in_docstrings_run(module: Any) -> None:
    result = doctest.testmod(module, extraglobs={"ZoneInfo": ZoneInfo})
    assert result.attempted
    assert not result.failed
