"""Markdown for services that have no escape character: what could be markup is written with the full-width form of the
character, which no parser reads, and which in Chinese text looks at home."""

from __future__ import annotations

import re

from monitor.notify.lines import MessageLine

# Links, pictures, mentions (<@id>), HTML, bold, code. "@" too: some look for names and numbers after it.
_MARKUP = str.maketrans({
    "<": "＜", ">": "＞", "*": "＊", "~": "～", "\\": "＼", "@": "＠", "`": "'", "|": "｜",
})  # fmt: skip
_LINK = re.compile(r"\](?=\s*[\[(:])")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITY = re.compile(r"&(?=#|\w+;)")
_BLOCK = {"#": "＃", "-": "－", "+": "＋", "=": "＝"}


def plain(text: str) -> str:
    """A text that Markdown shows as it is.

    >>> plain("# [点我](http://x.test) <@all> **now** &lt; snake_case _x_")
    '＃ [点我］(http://x.test) ＜＠all＞ ＊＊now＊＊ ＆lt; snake_case ＿x＿'
    """
    text = _LINK.sub("］", _ENTITY.sub("＆", text.translate(_MARKUP)))
    text = _EDGE_UNDERSCORE.sub("＿", text)
    # Setext and thematic breaks, headings and lists are made by what a line begins with.
    return _BLOCK.get(text[:1], text[:1]) + text[1:]


def markdown(line: MessageLine, *, quote_break: str) -> str:
    """One line of a message.

    Args:
        quote_break: what makes a new line within a quotation.
    """
    text, label = plain(line.text), plain(line.label)
    colon = ": " if line.lang == "en" else "："
    match line.role:
        case "title":
            return f"### {text}"
        case "row":
            return f"**{label}**{colon}{text}"
        case "open" | "more":
            return f"[{text}]({address(line.url)})"
        case "heading":
            return f"**{text}**"
        case "quote":
            return f"> {label}{quote_break}> {text}" if label else f"> {text}"
        case "step":
            return f"{label} {text}"
        case _:
            return text


def address(url: str) -> str:
    """A URL of ours that cannot end a link before its time."""
    return url.replace("(", "%28").replace(")", "%29").replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")
