"""Security codes in one spelling: 600519, 600519.SH, .SS, .XSHG, SH600519, sh.600519 are one.

The spelling that all are brought to is CODE.EXCHANGE: 600519.SH, 000001.SZ, 830799.BJ and 00700.HK (five digits).
A bare code of six digits belongs to the exchange that gives out such numbers. Anything else (AAPL, $AAPL, a fund's own
code) is compared in upper case as it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_EXCHANGES = {
    "SH": ("SH", "SS", "SSE", "XSHG", "SHSE"),
    "SZ": ("SZ", "SZSE", "XSHE", "SHE"),
    "BJ": ("BJ", "BSE", "BJSE", "XBSE", "NQ"),
    "HK": ("HK", "HKEX", "SEHK", "XHKG", "HKG"),
}
_EXCHANGE = {name: code for code, names in _EXCHANGES.items() for name in names}
_NAMES = "|".join(sorted(_EXCHANGE, key=len, reverse=True))
_AFTER = re.compile(rf"(\d{{1,6}})[.:_-]?({_NAMES})")
_BEFORE = re.compile(rf"({_NAMES})[.:_-]?(\d{{1,6}})")
# Which exchange gives out bare codes that begin so; the longest beginning counts.
_BARE = {
    "SH": ("5", "6", "9"),
    "SZ": ("0", "1", "2", "3"),
    "BJ": ("4", "8", "920"),
}
_IN_TEXT = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?:{_NAMES})[.:_-]?\d{{4,6}}|\d{{4,6}}[.:_-]?(?:{_NAMES}))(?![A-Za-z0-9])"
    r"|(?<=[(（\[【$])\d{6}(?=[)）\]】$])",
    re.IGNORECASE,
)


def canonical(symbol: str) -> str:
    """One spelling for all spellings of a code.

    >>> [canonical(s) for s in ("600519", "sh600519", "sh.600519", "600519.SS", "600519.XSHG", "SSE:600519")]
    ['600519.SH', '600519.SH', '600519.SH', '600519.SH', '600519.SH', '600519.SH']
    >>> canonical("0700.HK"), canonical("hk00700"), canonical("000001"), canonical("$aapl")
    ('00700.HK', '00700.HK', '000001.SZ', 'AAPL')
    """
    text = unicodedata.normalize("NFKC", symbol).strip().strip("$").upper()
    if m := _AFTER.fullmatch(text):
        code, exchange = m.group(1), _EXCHANGE[m.group(2)]
    elif m := _BEFORE.fullmatch(text):
        code, exchange = m.group(2), _EXCHANGE[m.group(1)]
    elif re.fullmatch(r"[0-9]{6}", text):
        code, exchange = text, _exchange_of(text)
    else:
        return text
    if exchange == "HK":
        return f"{code.lstrip('0').rjust(5, '0')}.HK"
    return f"{code}.{exchange}" if len(code) == 6 else text


def canonical_set(symbols: Iterable[object]) -> set[str]:
    """The codes of a message or a company, each in the one spelling."""
    return {canonical(str(s)) for s in symbols}


def symbols_in(text: str) -> set[str]:
    """Codes that stand in a text with their exchange (SH600519, 600519.SH), or in brackets: 某某股份（600519）."""
    return {canonical(hit.group()) for hit in _IN_TEXT.finditer(text)}


def _exchange_of(code: str) -> str:
    found = [(len(p), exchange) for exchange, begins in _BARE.items() for p in begins if code.startswith(p)]
    return max(found)[1] if found else "SZ"
