"""Numbers, times and texts of the stream, as messages show them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from barometer.vocabulary import Lang


def number(value: float) -> str:
    """A count or an expectation with one digit where it is small.

    >>> number(45), number(8.24), number(1234.5)
    ('45', '8.2', '1,234')
    """
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:,.1f}"


def duration(ms: float, lang: Lang) -> str:
    """A span of time in its two largest units.

    >>> duration(30 * 60_000, "zh"), duration(7_500_000, "en")
    ('30 分钟', '2 h 5 min')
    """
    units = {"zh": ("天", "小时", "分钟", "秒"), "en": ("d", "h", "min", "s")}[lang]
    left = max(0, int(ms)) // 1000
    parts = []
    for size, unit in zip((86_400, 3_600, 60, 1), units, strict=True):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or f"0 {units[-1]}"


def clock(ms: int, zone: ZoneInfo) -> str:
    """A time of day with its date, in the zone of the settings."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def rfc3339(ms: int | None) -> str:
    """UTC with milliseconds; Go's zero time for None, as Alertmanager has it."""
    if ms is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- texts of the stream ---------------------------------------------------------------------------------------------

# Format characters would let a text reorder or hide what stands around it; joiners within emoji are harmless.
_HIDDEN = ("Cc", "Cf", "Cs")
_JOINERS = "\u200d\u200c"
_SPACE = re.compile(r"\s+")


def one_line(text: str) -> str:
    """A text of the stream as one line without control and direction characters: it cannot pass for our own lines."""
    kept = "".join(
        x for x in _SPACE.sub(" ", text) if x in _JOINERS or unicodedata.category(x) not in ("Cc", "Cf", "Cs")
    )
    return kept.strip()


def cut(text: str, limit: int) -> str:
    """At most ``limit`` code points and an ellipsis, never within a character as people see it (combining marks,
    emoji sequences, flags).

    >>> cut("房地产", 5), cut("房地产企业", 3), cut("ok👍🏽!", 3)
    ('房地产', '房地产…', 'ok…')
    """
    if len(text) <= limit:
        return text
    end = limit
    while end > 0 and _joined(text, end):
        end -= 1
    return text[:end].rstrip() + "…"


def character_ends(text: str) -> Iterator[int]:
    """Where each character, as people see it, ends: a text may be cut at these places only.

    >>> list(character_ends("涨👍🏽e\u0301!"))
    [1, 3, 5, 6]
    """
    for end in range(1, len(text)):
        if not _joined(text, end):
            yield end
    if text:
        yield len(text)


def _joined(text: str, at: int) -> bool:
    """Whether a cut before ``text[at]`` would fall inside one visible character (the rules of Unicode's annex 29 for
    what occurs in texts: marks, joiners, emoji, flags, Hangul syllables in parts)."""
    following, previous = text[at], text[at - 1]
    if previous == "\u200d" or following in _JOINERS or "\U0001f3fb" <= following <= "\U0001f3ff":
        return True
    if unicodedata.category(following) in ("Mn", "Me", "Mc") or "\U000e0020" <= following <= "\U000e007f":
        return True
    if following in "\uff9e\uff9f" or "\u1160" <= following <= "\u11ff":
        return True
    if previous == "\r" and following == "\n":
        return True
    if "\u1100" <= previous <= "\u115f" and ("\u1100" <= following <= "\u115f" or "\uac00" <= following <= "\ud7a3"):
        return True
    if _is_flag(following) and _is_flag(previous):
        before = 0
        while at - 1 - before >= 0 and _is_flag(text[at - 1 - before]):
            before += 1
        return before % 2 == 1
    return False


def _is_flag(x: str) -> bool:
    return "\U0001f1e6" <= x <= "\U0001f1ff"
