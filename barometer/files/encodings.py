"""Detects the encoding of a text file: by its byte order mark, else by evidence; ambiguous files are refused."""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import Final, NamedTuple

from charset_normalizer import from_bytes

from barometer.errors import BarometerError

NOT_DECODED: Final = re.compile("[\udc80-\udcff]")
"""What ``surrogateescape`` leaves of bytes that are not in the encoding."""
_OF_CHINESE: Final = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef“”‘’…—·×℃\ufffd]")
_FEW: Final = 8
"""Fewer hanzi must be commoner to say as much."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SCRIPTS: Final = 2
_BROKEN: Final = 0.2
"""So many lines of a file may be broken; beyond it is in another encoding."""
_PLAIN: Final = 0.5
_APART: Final = 0.2
"""The one encoding must have so much more for it than the other."""
_FREQUENT: Final = frozenset(
    "的一是不了在有人这我他们来上个大中到国说会为子和你地出对也时要就可以生能过得而自之年发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从"
    "想实日者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向"
    "头文体政美相见被利什二等产新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东"
    "声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量"
    "再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界"
    "达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清"
    "今切院让识候带导争运股价涨跌亏损银款债券违约贷监融证投基钱仓盘炒套牛熊涉嫌罚款诉破产亿元增减持"
    "購時間標題內容來源鏈接作者點贊评轉發網址链标容源赞转评网布文章帖购"
)
"""Hanzi that Chinese texts are full of; Korean and Japanese bytes that are read as Chinese give others."""


class Encoding(NamedTuple):
    """An encoding, and how it is known."""

    name: str
    by: str

    def __str__(self) -> str:
        return f"{self.name.upper().removesuffix('-SIG')}{f' ({self.by})' if self.by else ''}"


def encoding_of(start: bytes, whole: bool, named: str | None, path: str) -> Encoding:
    """The encoding of a file by its beginning.

    Args:
        start: as much of it as there is to see.
        whole: that is all of it; else a character may be cut at the end.
        named: what the user says.

    Raises:
        BarometerError: ``named`` is unknown or cannot be; nothing is named, and the bytes do not tell.
    """
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if named is not None:
        return _checked(named, marked, start, whole, path)
    if marked is not None:
        return Encoding(marked, "")
    text = _text(start, "utf-8", whole)
    # Latin alone in UTF-16 is valid UTF-8, of which every other character is NUL; a stray NUL is no evidence.
    if b"\0" in start[:4096] and (text is None or text.count("\0") * 3 > len(text)) and (wide := _without_mark(start)):
        return Encoding(wide, "by evidence")
    if text is not None and (not _by_chance(text) or _share(start, "gb18030", whole) < _PLAIN):
        return Encoding("utf-8", "")
    (most, name), (less, _) = sorted(((_share(start, x, whole), x) for x in ("gb18030", "big5hkscs")), reverse=True)
    if most >= _PLAIN and most - less >= _APART:
        return Encoding(name, "by evidence")
    # A few broken characters: those rows are named one by one.
    lines = start.decode("utf-8", "replace").splitlines()
    if sum("\ufffd" in line for line in lines) <= len(lines) * _BROKEN:
        return Encoding("utf-8", "")
    guess = from_bytes(start[: 1 << 16]).best()
    likely = f"; it may be {guess.encoding}" if guess is not None else ""
    raise BarometerError(f"{path}: not UTF-8, nor plainly GB18030 or Big5{likely}: name it with --encoding")


def _checked(named: str, marked: str | None, start: bytes, whole: bool, path: str) -> Encoding:
    try:
        name = codecs.lookup(named).name
        if not codecs.lookup(name)._is_text_encoding:
            raise LookupError
    except (LookupError, ValueError):
        raise BarometerError(f"--encoding: unknown encoding {named!r}; use utf-8, gb18030 ...") from None
    family = name.replace("-sig", "").replace("_", "-")
    if marked is not None and not marked.startswith(family[:6]):
        raise BarometerError(
            f"{path}: begins with the mark of {marked.removesuffix('-sig')}, not {named}: leave --encoding out"
        )
    if marked is not None:
        return Encoding(marked, "")
    if family != "utf-8" and (text := _text(start, "utf-8", whole)) is not None and _cjk(text) >= 2:
        raise BarometerError(f"{path}: is UTF-8, not {named}: leave --encoding out")
    if not family.startswith(("utf", "gb", "big5", "hz", "cp65001")) and _share(start, "gb18030", whole) >= _PLAIN:
        raise BarometerError(f"{path}: is GB18030, not {named}: leave --encoding out")
    return Encoding("utf-8-sig" if name == "utf-8" else "gb18030" if name in ("gb2312", "gbk") else name, "")


def _by_chance(text: str) -> bool:
    """Whether UTF-8 may be valid by chance: 全员知识 in GB18030 is valid, too, in two bytes a character.

    These are of many scripts at once. No language has letters of so many, and Chinese has three bytes a character.
    """
    return max(text, default="") < "\u0800" and len({ord(c) >> 7 for c in text if c > "\x7f"}) > _SCRIPTS


def _cjk(text: str) -> int:
    return sum("\u3000" <= c <= "\u9fff" or "\uff00" <= c <= "\uffef" for c in text)


def _text(start: bytes, encoding: str, whole: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(start, final=whole)
    except (UnicodeDecodeError, LookupError):
        return None


def _without_mark(start: bytes) -> str | None:
    """UTF-16 without a mark: one of two bytes is mostly zero in what is Latin, commas and line ends included."""
    even, odd = start[:4096:2].count(0), start[1:4096:2].count(0)
    n = min(len(start), 4096) // 2
    if max(even, odd) < n * 0.05 or min(even, odd) > max(even, odd) * 0.1:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _share(start: bytes, encoding: str, whole: bool) -> float:
    """How much speaks for a Chinese encoding, 0 to 1: 0 where the bytes do not decode, or give rare characters."""
    sample = start[: 1 << 18]
    text = _text(sample, encoding, whole and len(sample) == len(start))
    if text is None:  # a broken byte here and there is no disproof
        text = sample.decode(encoding, "replace")
        if text.count("\ufffd") * 50 > sum(c > "\x7f" for c in text):
            return 0.0
    hanzi = [c for c in text if "\u3400" <= c <= "\u9fff"]
    other = sum(c > "\x7f" and not _OF_CHINESE.match(c) for c in text)
    if not hanzi:
        return 0.0
    frequent = _frequent_in(encoding)
    common = sum(c in frequent for c in hanzi) / len(hanzi)
    if len(hanzi) < _FEW:
        common *= 0.6
    return min(1.0, common * 2.5) * len(hanzi) / (len(hanzi) + 3 * other)


@cache
def _frequent_in(encoding: str) -> frozenset[str]:
    if encoding == "gb18030":
        return _FREQUENT
    from opencc import OpenCC  # only for files that are neither UTF-8 nor GB18030

    return frozenset(OpenCC("s2t").convert("".join(_FREQUENT)))
