"""Traditional characters as simplified ones, so that a text means the same to the network in either script.

The labelled sets are written in simplified characters. OpenCC (Apache-2.0) converts by whole phrases, Taiwan's variants
included: 答覆 is 答复, 覆蓋 is 覆盖, and 乾隆 keeps its 乾. A text keeps its length, so offsets into it stay what they
are; where a phrase would change it, single characters are mapped.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00))
"""CJK ideographs: extension A, the unified block, and compatibility forms."""
_IN_BOTH = "乾著藉瞭覆麽"
"""In use in simplified texts too (乾照光电, 著名, 慰藉, 瞭望): alone they make no text traditional."""


def simplified(text: str) -> str:
    """The text in simplified characters, if it has any that only traditional texts use; its length is kept.

    >>> simplified("債務違約，客服沒有答覆"), simplified("乾照光电的著作"), simplified("plain")
    ('债务违约，客服没有答复', '乾照光电的著作', 'plain')
    """
    if text.isascii() or not _traditional().search(text):
        return text
    made = str(_phrases().convert(text))
    return made if len(made) == len(text) else text.translate(_characters())


@cache
def _phrases() -> Any:
    from opencc import OpenCC

    return OpenCC("tw2s")


@cache
def _characters() -> dict[int, str]:
    characters = [chr(c) for first, end in _BLOCKS for c in range(first, end)]
    mapped = _phrases().convert("\n".join(characters)).split("\n")
    pairs = zip(characters, mapped, strict=True)
    return {ord(a): b for a, b in pairs if a != b and a not in _IN_BOTH and "\u4e00" <= b < "\ua000"}


@cache
def _traditional() -> re.Pattern[str]:
    return re.compile("[" + "".join(map(chr, _characters())) + "]")
