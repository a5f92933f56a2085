"""Messages that are too long: cut where a reader would cut them, whatever the format, with a link to the rest."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.notify.formats import character_ends, one_line
from monitor.notify.lines import MessageLine, fit, lines_of, more
from monitor.notify.message import Message, Quote, Section
from tests.support.channel_samples import checks, message, request_of

# What people see as one character, and what formats give a meaning to.
PIECES = [
    "👨\u200d👩\u200d👧", "👍🏽", "e\u0301", "🇨🇳", "🏴\U000e0067\U000e0062\U000e007f", "❤\ufe0f", "क\u093f", "각",
    "\u1112\u1161\u11ab",
    "𠮷", "房", "涨停", "a", "word ", "&", "&amp;", "&#64;", "<b>", "</blockquote>", "<at id=all></at>", "[x](http://e.test)",
    "](", "**", "_", "`", "\\", '"', "@all", "<!channel>", "\u0600", "#", "~",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=1200).map("".join),
    st.text(max_size=300).map(one_line),
    st.integers(1, 9000).map(lambda n: "房" * n),
    st.integers(1, 9000).map(lambda n: "&" * n),
)


def long_message(said: list[str], lang: str = "zh") -> Message:
    """A message whose parts are as long as the texts."""
    what, quote, meta, step, title = (said * 5)[:5]
    section = Section(
        lang="zh", title="标题" + title, reason="首次通知", what=what, rows=(("开始", "今天"), ("来源", meta)),
        open="打开告警", quotes_title="原文", quotes=(Quote("论坛", quote), Quote(meta[:40], what)),
        steps_title="该做什么", steps=(step, quote),
    )  # fmt: skip
    sections = (section, replace(section, lang="en", title="Title")) if lang == "both" else (section,)
    title = " | ".join(s.title for s in sections)
    return replace(message(lang), title=title, sections=sections)


def characters(text: str) -> set[int]:
    regex = pytest.importorskip("regex")
    return {m.end() for m in regex.finditer(r"\X", text)}


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_characters_end_where_unicode_says(text: str) -> None:
    ours = set(character_ends(text))
    # Unicode also keeps together what is written before (ARABIC NUMBER SIGN): no fault to cut there.
    assert ours - characters(text) <= {i for i, x in enumerate(text, 1) if x == "\u0600"}
    assert max(ours, default=0) == len(text)


@given(st.lists(texts, min_size=1, max_size=5), st.sampled_from(["zh", "both"]), st.integers(800, 20_000))
@settings(max_examples=60, deadline=None)
def test_lines_are_whole_or_cut_between_characters_and_the_rest_is_linked(
    said: list[str], lang: str, budget: int
) -> None:
    def cost(line: MessageLine) -> int:
        return len(json.dumps([line.text, line.label, line.url]).encode())

    m = long_message(said, lang)
    link = m.facts["link"]
    full = [lines_of(s, link, title=True) for s in m.sections]
    kept = fit(m, budget, cost)
    assert sum(map(cost, kept)) <= budget
    for section, lines in zip(m.sections, full, strict=True):
        mine = [line for line in kept if line.lang == section.lang]
        if mine == lines:
            continue
        assert mine[-1] == more(section.lang, link)
        *whole, last = mine[:-1] or [None]
        assert whole == lines[: len(whole)]
        if last is not None and last != lines[len(whole)]:
            original = lines[len(whole)]
            assert last == replace(original, text=last.text)
            assert last.text.endswith("…")
            assert original.text.startswith(last.text[:-1])
            ends = {len(original.text[:n].rstrip()) for n in character_ends(original.text)}
            assert len(last.text) - 1 in ends
            assert not last.url


def test_what_fits_is_left_alone() -> None:
    m = message("both")
    zh, en = (lines_of(s, m.facts["link"]) for s in m.sections)
    assert fit(m, 100_000, lambda line: len(line.text)) == zh + en
    assert [x.lang for x in zh + en if x.role == "quote"] == ["zh"]  # texts are quoted once


def test_one_language_leaves_its_room_to_the_other() -> None:
    m = long_message(["房" * 3000], "both")
    short = replace(m.sections[0], what="短", quotes=(), rows=(), steps=("看",), title="标题")
    kept = fit(replace(m, sections=(short, m.sections[1])), 2000, lambda line: len(line.text) + 1)
    assert [x for x in kept if x.lang == "zh"] == lines_of(short, m.facts["link"])
    assert sum(len(x.text) + 1 for x in kept) > 1900


@given(st.lists(texts, min_size=1, max_size=5), st.sampled_from(["zh", "both"]))
@example(["&" * 9000], "zh")
@example(["👨\u200d👩\u200d👧" * 2000], "both")
@example(["房" * 9000], "both")
@settings(max_examples=25, deadline=None)
def test_no_channel_exceeds_its_limit_or_breaks_its_format(said: list[str], lang: str) -> None:
    m = long_message(said, lang)
    for kind, check in checks("within_limits"):
        check(request_of(kind, m).body, m)
