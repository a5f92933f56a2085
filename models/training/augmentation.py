"""Changes to training texts that leave their meaning alone: what a forum, a scraper or a keyboard does to a text.

After EDA (Wei and Zou 2019, arXiv 1901.11196), without its random words: those change what a short text says.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from models.data.examples import Example

_BEFORE = {
    "zh": ["【快讯】", "财经早参：", "转发微博 ", "据本台消息，", "[图片] ", "#今日热议# "],
    "en": ["BREAKING: ", "RT ", "Update 1 - ", "(Newswire) ", "ICYMI: "],
}
_AFTER = {
    "zh": ["（来源：综合整理）", "点击查看全文", " 风险提示：市场有风险，投资需谨慎。",
           "更多内容请关注本公众号，欢迎留言讨论。", "本报记者报道。未经授权不得转载。数据如有出入以公告为准。"],
    "en": [" Read more.", " (Reporting by staff)", " Subscribe to our newsletter for daily market updates.",
           " Past performance is no guide to future results. Data as of the close."],
}  # fmt: skip
_EMOJI = ["😀", "🔥", "👀", "💬", "🙏", "❗", "…", "~"]


def _before(text: str, lang: str, rng: random.Random) -> str:
    return rng.choice(_BEFORE[lang]) + text


def _after(text: str, lang: str, rng: random.Random) -> str:
    return text + rng.choice(_AFTER[lang]) * rng.choice((1, 1, 2, 4))


def _link(text: str, _: str, rng: random.Random) -> str:
    return f"{text} http://t.co/{rng.randrange(36**6):x}"


def _mention(text: str, _: str, rng: random.Random) -> str:
    return f"@user{rng.randrange(999)} {text}"


def _mark(text: str, _: str, rng: random.Random) -> str:
    return text + rng.choice(_EMOJI)


def _full_width(text: str, _: str, _rng: random.Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)


def _slip(text: str, lang: str, rng: random.Random) -> str:
    places = [i for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if len(places) < 8:
        return text
    i = rng.choice(places)
    if lang == "zh" or rng.random() < 0.3:
        return text[:i] + text[i] + text[i:]
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :] if rng.random() < 0.6 else text[:i] + text[i + 1 :]


CHANGES: tuple[Callable[[str, str, random.Random], str], ...] = (
    _before,
    _after,
    _after,
    _link,
    _mention,
    _mark,
    _full_width,
    _slip,
)


def augmented(examples: list[Example], share: float, seed: int) -> list[Example]:
    """The same examples, a share of them with one change to the text; labels are kept."""
    rng = random.Random(seed)
    made = []
    for e in examples:
        if rng.random() < share and e.lang in _BEFORE:
            made.append(replace(e, text=rng.choice(CHANGES)(e.text, e.lang, rng)))
        else:
            made.append(e)
    return made
