"""Traditional characters as simplified ones, so that a text means the same to the network in either script.

The labelled sets are written in simplified characters. Single characters alone are mapped (OpenCC's dictionary,
Apache-2.0), one to one, so offsets into a text stay what they are.
"""

from __future__ import annotations

from functools import cache

_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00))
"""CJK ideographs: extension A, the unified block, and compatibility forms."""


def simplified(text: str) -> str:
    """The text with its traditional characters mapped; its length is kept.

    >>> simplified("債務違約，著名企業"), simplified("债务违约"), simplified("plain")
    ('债务违约，著名企业', '债务违约', 'plain')
    """
    return text if text.isascii() else text.translate(_table())


_KEPT = "乾"
"""In use in simplified texts too (乾照光电, 乾隆)."""


@cache
def _table() -> dict[int, str]:
    from opencc import OpenCC

    characters = [chr(c) for first, end in _BLOCKS for c in range(first, end)]
    mapped = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {
        ord(a): b
        for a, b in zip(characters, mapped, strict=True)
        if a != b and a not in _KEPT and "\u4e00" <= b < "\ua000"
    }
