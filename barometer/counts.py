"""Parses counts of likes, reads and replies as pages show them: ``1.2万``, ``3.5亿``, ``1,234``, ``10w+``."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_UNITS: Final = {
    "": 1, "百": 10**2, "千": 10**3, "k": 10**3, "万": 10**4, "萬": 10**4, "w": 10**4, "十万": 10**5, "百万": 10**6,
    "m": 10**6, "千万": 10**7, "kw": 10**7, "亿": 10**8, "億": 10**8, "b": 10**9,
}  # fmt: skip
_COUNT: Final = re.compile(
    r"\+?(?P<n>\d{1,3}(?:,\d{3})+|\d{1,19})(?P<f>\.\d{1,9})?\s*"
    r"(?P<u>十万|百万|千万|kw|[百千k万萬w亿億mb])?\s*(?:\+|次|人|条|个)?",
    re.A | re.I,
)


def read_count(value: object) -> int | None:
    """A whole number that is not negative, or None.

    >>> [read_count(x) for x in ("1.2万", "3.5亿", "1,234", "10w+", "12.0", "1.5", "赞")]
    [12000, 350000000, 1234, 100000, 12, None, None]
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and value >= 0 else None  # inf and nan are none
    found = _COUNT.fullmatch(unicodedata.normalize("NFKC", value).strip()) if isinstance(value, str) else None
    if found is None:
        return None
    unit = _UNITS[(found["u"] or "").lower()]
    number = Decimal(found["n"].replace(",", "") + (found["f"] or "")) * unit
    if unit == 1 and number != int(number):
        return None
    return int(number.to_integral_value(ROUND_HALF_UP))
