"""Which language a text is in: by script where that says it, by function words, and by lingua only where in doubt.

Rules before a model because the stream is fast (well over 20,000 texts a second and core) and short: a ticker and two
words have no language to a statistical detector, yet they are English to us.

1. A script of one language (kana, hangul, Cyrillic, Thai …) that is more than a sprinkle decides. Kana beside Chinese
   characters is Japanese when it is more than an eighth of them: Chinese uses the odd の.
2. Chinese characters decide for Chinese where there are at least half as many as there are Latin words, so that mixed
   Chinese and English is Chinese, and an English article that gives a company's Chinese name is English.
3. Latin script without links, tickers, mentions and hashtags: English function words decide for English; so does
   plain ASCII of fewer than four words, or nothing but tickers. The rest (no English function word, or letters with
   accents) goes to lingua, which knows English and eleven other languages here.
4. No letters at all: ``und``.

Japanese or Korean written in Chinese characters alone (some headlines are) is taken for Chinese.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

UNKNOWN = "und"
_HEAD = 400
"""Characters looked at: a language shows in the first lines."""

_SURE, _CLEARLY = 0.4, 12
"""Another language needs this probability, and to be so many times likelier than English."""

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]")
_OTHER_SCRIPTS = {
    "ko": re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "ar": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "hi": re.compile("[\u0900-\u097f]"),
}
_ANY_OTHER = re.compile("[\u0370-\u0e7f\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_MARKS = re.compile(r"https?://\S+|www\.\S+|[@#$]\w+|&\w+;")
_WORD = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’][A-Za-z]+)?")
_LETTER = re.compile("[A-Za-z]")
_CODE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*")
# What people write for a language beside its ISO 639 code: older codes, countries, names.
_ALIASES = {
    "zh": "cmn yue zho chi chs cht cn tw hk han hans hant chinese mandarin cantonese zhs zht zhcn zhtw "
    "中文 汉语 漢語 简体 繁体 简体中文 繁体中文 簡體 繁體 簡體中文 繁體中文 普通话 國語 粤语",
    "en": "eng english us uk 英文 英语 英語 engl",
    "ja": "jp jpn japanese 日文 日语 日語",
    "ko": "kr kor korean 韩文 韩语",
    "id": "in ind indonesian",
    "he": "iw heb hebrew",
    "ru": "rus russian 俄文 俄语",
    "fr": "fra fre french 法文 法语",
    "de": "deu ger german 德文 德语",
    "es": "spa spanish 西班牙语",
}
_ALIAS = {name: code for code, names in _ALIASES.items() for name in names.split()}
_NO_LANGUAGE = re.compile(r"und|mul|mis|zxx|xx|nan|nil|q[a-t][a-z]|null|none|auto|unk\w*|n/?a|other|-+")
"""Placeholders, and ISO 639's codes for no, several and privately agreed languages."""

# Words that are common in English and rare or absent in the other languages that lingua is asked about.
_ENGLISH_WORDS = """
about acquires acquisition after against agreement agrees alert all amid an analyst analysts and announcement
announces annual appoints approves are as at back bad bank be bearish beat beats been before bid billion bond bonds
bought breakout bullish business but buy buying buys by call calls can capital cent ceo cfo chart company contract
corp could credit crore cut cuts deal debt declares despite dividend doesn't don't down downgrade downgraded drops
earnings economy energy equity estimates expects fall falls fed fell filed files finance financial first five for
fourth from fund funds futures gains get gets going good got great group growth guidance had has have he here higher
his hit hits holdings how i'm if inc inflation into investment investor investors is issues it it's its jumps just
lakh launch launches long looks loss lower ltd made make market markets merger million miss misses more most my
names net new news next not now of off offer oil on options or our out outlook over per percent plans plc posts
price prices profit put puts quarter quarterly raised raises rate rates rating record report reports resistance
results reveals revenue rise rises said sales says second sees sell selling sells share shares she short should
since so sold stake still stock stocks strong support talks target than that the their then there they third this
three to today tomorrow trade traders trading trust two up update upgrade upgraded warns was watch we weak week were
what when which who why will win wins with won't would year year's you your
"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())


def normalise_code(given: str | None) -> str | None:
    """A language's ISO 639-1 code from what people write for it; None for what is no language, so that it is detected.

    >>> [normalise_code(x) for x in ("zh-CN", "zh_CN.UTF-8", "chs", "中文", "EN_us", "English", "und", "null")]
    ['zh', 'zh', 'zh', 'zh', 'en', 'en', None, None]
    """
    name = (given or "").split(".")[0].strip().lower()
    if name in _ALIAS:
        return _ALIAS[name]
    if not _CODE.fullmatch(name) or _NO_LANGUAGE.fullmatch(code := re.split("[-_]", name, maxsplit=1)[0]):
        return None
    return _ALIAS.get(code, code)


def detect(text: str) -> str:
    """The ISO 639-1 code of a text's language, or ``und``; see the module for the rules.

    >>> detect("恒大又跌停了"), detect("$TSLA to the moon"), detect("株価が下がった"), detect("666")
    ('zh', 'en', 'ja', 'und')
    """
    head = text[:_HEAD]
    if head.isascii():
        return _latin(head)
    han = len(_HAN.findall(head))
    kana = len(_KANA.findall(head))
    if kana and (kana * 8 > han and (kana > 1 or han <= 2)):
        return "ja"
    if _ANY_OTHER.search(head):
        counts = {code: len(pattern.findall(head)) for code, pattern in _OTHER_SCRIPTS.items()}
        code = max(counts, key=lambda c: counts[c])
        if counts[code] > max(2 * han, len(_LETTER.findall(_MARKS.sub(" ", head)))):
            return code
    if han:
        words = len(_WORD.findall(_MARKS.sub(" ", head)))
        if 2 * han >= words:
            return "zh"
    return _latin(head)


def _latin(head: str) -> str:
    clean = _MARKS.sub(" ", head)
    words = _WORD.findall(clean)
    if not words:
        # Nothing but tickers, tags or a link: English enough where it has letters of a ticker or tag.
        return "en" if re.search(r"[#$][A-Za-z]", head) else UNKNOWN
    hits = sum(w.lower() in _ENGLISH for w in words)
    if hits * 12 >= len(words) + 4:  # one in 8 words, two in 20, three in 32
        return "en"
    if len(words) < 4 and clean.isascii():
        return "en"
    return _by_model(clean)


def _by_model(clean: str) -> str:
    """English unless another language is clearly likelier: names of firms look like many languages."""
    values = _lingua().compute_language_confidence_values(clean)
    english = next(v.value for v in values if v.language.name == "ENGLISH")
    if values[0].value < _SURE or english * _CLEARLY > values[0].value:
        return "en"
    return str(values[0].language.iso_code_639_1.name.lower())


@cache
def _lingua() -> Any:
    from lingua import Language as L
    from lingua import LanguageDetectorBuilder

    return LanguageDetectorBuilder.from_languages(
        L.ENGLISH,
        L.SPANISH,
        L.PORTUGUESE,
        L.FRENCH,
        L.GERMAN,
        L.ITALIAN,
        L.DUTCH,
        L.TURKISH,
        L.POLISH,
        L.INDONESIAN,
        L.VIETNAMESE,
        L.SWEDISH,
    ).build()
