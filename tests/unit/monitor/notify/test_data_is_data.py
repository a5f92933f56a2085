"""A text of the stream cannot call people, hide a link or look like our own words, on any channel."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.notify.message import Message
from tests.support.channel_samples import HTTP, channel_of, message

PINGS = (
    "<!channel> <!here> <!everyone> <@U123> <!subteam^S1> @channel @here @all @所有人 @13800000000 <@all> <@li> "
    '<at id=all></at> <at user_id="all">所有人</at> <at>everyone</at> [点我](http://evil.test) [a] (http://evil.test) '
    "![p](http://evil.test/p.png) <http://evil.test|bank> <a href='http://evil.test'>x</a> <font color=warning>x</font>"
    " &lt;!channel&gt; &#60;!channel&#62; ``` ** __ ~~ # h\n# h\r\n> q\n@all"
)
nasty = st.lists(
    st.sampled_from([*PINGS.split(" "), "\n", "<", "!", "@", "[", "](", ")", "&", "\\", "a", " ", "涨"]), max_size=30
).map("".join)


def told(text: str, lang: str = "both") -> Message:
    evidence = [{"text": text, "title": text, "source": text, "kind": 2, "copies": 2}] * 3
    why = {"summary": text, "sources": [{"source": text, "negative": 3}]}
    return message(
        lang, evidence=evidence, acknowledged_by=text or "x", explanation=why, fingerprint=f"watch:{text}"
    )  # fmt: skip


def body(kind: str, m: Message) -> Any:
    channel: Any = channel_of(kind)
    return json.loads(channel.request(m).body)


def elements(value: Any) -> list[dict[str, Any]]:
    """All objects of a JSON value."""
    if isinstance(value, dict):
        return [value, *(x for v in value.values() for x in elements(v))]
    return [x for v in value for x in elements(v)] if isinstance(value, list) else []


def harmless(m: Message) -> None:
    feishu = elements(body("feishu", m)["card"])
    assert {e["tag"] for e in feishu if "tag" in e} <= {"plain_text", "div", "note", "action", "button"}

    slack = body("slack", m)
    kinds = {e["type"] for e in elements(slack["blocks"]) if "type" in e}
    assert kinds <= {"rich_text", "rich_text_section", "rich_text_quote", "text", "link"}
    assert {e["url"] for e in elements(slack["blocks"]) if "url" in e} == {m.facts["link"]}
    assert "<" not in slack["text"]
    assert not re.search(r"&(?!amp;|lt;|gt;)", slack["text"])

    teams = elements(body("teams", m))
    assert {e["type"] for e in teams if "type" in e} <= {
        "message", "AdaptiveCard", "Action.OpenUrl", "RichTextBlock", "TextRun", "Container",
    }  # fmt: skip
    assert not any("entities" in e for e in teams)

    ding = body("dingtalk", m)
    assert ding["at"] == {"atMobiles": [], "atUserIds": [], "isAtAll": False}
    for text in (ding["markdown"]["text"], body("wecom", m)["markdown"]["content"]):
        assert "@" not in text
        assert "<" not in text
        assert "![" not in text or "](" not in text.split("![", 1)[1].split("\n")[0]
        assert re.findall(r"\]\s*\(([^)]*)\)", text) == [m.facts["link"]] * text.count("](")
        assert not re.search(r"&(#|\w+;)", text)

    telegram = body("telegram", m)["text"]
    assert "@" not in telegram
    assert re.findall(r"<a [^>]*>", telegram) == [f'<a href="{m.facts["link"]}">'] * telegram.count("<a ")


def test_nobody_can_call_everybody_by_a_comment() -> None:
    harmless(told(PINGS))
    harmless(told(PINGS, "zh"))


def test_the_name_of_a_source_in_an_alarm_is_data_too() -> None:
    figures = {"source": PINGS, "message": PINGS}
    for name in (f"system:silent:{PINGS}", f"system:job:{PINGS}", f"system:odd:{PINGS}\u202e"):
        m = message("both", type="system", fingerprint=name, seen_total=0, explanation=figures, evidence=[])
        harmless(m)
        assert "\u202e" not in m.text


@given(nasty)
@settings(max_examples=40, deadline=None)
def test_whatever_the_text(text: str) -> None:
    harmless(told(text))


@pytest.mark.parametrize("kind", [k for k in HTTP if k not in ("sms", "voice")])
def test_readers_still_see_what_was_said(kind: str) -> None:
    shown = json.dumps(body(kind, told("城东那个楼盘又停工了 A&B 100% (3)")), ensure_ascii=False).replace("&amp;", "&")
    assert "城东那个楼盘又停工了 A&B 100% (3)" in shown
