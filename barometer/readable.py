"""Texts as people read them: without markup, and cut around what matters.

Crawlers hand on what pages are written in: tags, links of several hundred characters, entities, emoticons as pictures.
The text is stored as it came; whoever reads it (the language detector, the network, rules, search, screens, messages)
reads it through :func:`readable`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser

# Elements that crawled posts and articles are made of. Anything else between < and > is taken for text: 跌破<5元>.
_BLOCK_NAMES = """
address article aside blockquote body br dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 head header hr html li
main nav ol p pre section table tbody td tfoot th thead title tr ul
"""
_INLINE_NAMES = """
a abbr audio b big button center cite code del em embed font form i iframe img input ins kbd label link mark meta
noscript object picture q s samp script small source span strike strong style sub sup svg u use var video
"""
_BLOCKS, _INLINE = frozenset(_BLOCK_NAMES.split()), frozenset(_INLINE_NAMES.split())
_UNSEEN = frozenset(["script", "style", "head", "svg", "noscript"])
_NAMES = "|".join(sorted(_BLOCKS | _INLINE, key=len, reverse=True))
# A tag has no attributes or such with values: "a <b and c> d" has none.
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s*/?>|\s[^<>]*=[^<>]*>)|<!--", re.IGNORECASE)
_CUT_TAG = re.compile(rf"<(?:{_NAMES})\s[^<>]*$", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_SPACES = re.compile(r"[ \t\xa0]+")
_LINES = re.compile(r"\s*\n\s*")
_BEFORE = 0.3
"""Of an excerpt, what stands before the word that it is cut around."""


def readable(text: str) -> str:
    """A text without markup: tags gone, blocks on lines of their own, emoticons by their names, entities as characters.

    A text without markup is returned as it is, and so is one that is nothing but markup.

    >>> readable('<p>公司<b>破产</b>&nbsp;清算</p><p>债权人<img alt="[泪]" src="https://x.example/1.png"></p>')
    '公司破产 清算\\n债权人[泪]'
    >>> readable("跌破<5元>，a < b && c > d")
    '跌破<5元>，a < b && c > d'
    """
    whole = text
    if "<" in text and (_TAG.search(text) or _CUT_TAG.search(text)):
        reader = _Reader()
        reader.feed(_CUT_TAG.sub("", text))
        reader.close()
        text = "".join(reader.parts)
    elif "&" in text and _ENTITY.search(text):
        text = unescape(text)
    else:
        return text
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip() or whole


def around(text: str, words: Sequence[str], width: int) -> str:
    """At most ``width`` characters of a text: its beginning, or the stretch around the first of the words where the
    beginning ends before it. What is left out is marked by an ellipsis.

    >>> around("今天天气很好，路边停满了车，储户拉横幅维权", ["拉横幅"], 12)
    '…了车，储户拉横幅维权'
    """
    if len(text) <= width:
        return text
    folded = text.casefold()
    places = [(at, len(w)) for w in words if w and (at := folded.find(w.casefold())) >= 0]
    at, length = min(places, default=(0, 0))
    if at + length < width:
        return text[: width - 1] + "…"
    begin = min(max(0, at - int(width * _BEFORE)), len(text) - width + 1)
    end = begin + width - 2
    return "…" + (text[begin:end] + "…" if end < len(text) - 1 else text[begin:])


class _Reader(HTMLParser):
    """Collects what a page shows."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _BLOCKS and tag not in _INLINE:
            self.handle_data(self.get_starttag_text() or "")
        elif tag in _UNSEEN:
            self._unseen += 1
        elif tag == "img":
            self.handle_data(dict(attrs).get("alt") or "")
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)
