"""A text of the stream cannot call people, hide a link or look like our own words, on any channel."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.notify.message import Message
from tests.support.channel_samples import HTTP, checks, message, request_of

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


def harmless(m: Message) -> None:
    for kind, check in checks("harmless"):
        check(json.loads(request_of(kind, m).body), m)


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
    shown = request_of(kind, told("城东那个楼盘又停工了 A&B 100% (3)")).body.decode().replace("&amp;", "&")
    assert "城东那个楼盘又停工了 A&B 100% (3)" in shown
