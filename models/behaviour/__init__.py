"""Behaviour of a model, after CheckList (Ribeiro et al. 2020, arXiv 2005.04118): invariance and direction.

Invariance: a change that doesn't touch the meaning (another company's name, full-width letters, an emoji, a link, a
slip of the keyboard, traditional characters, boilerplate around it) keeps the sentiment. Direction: of two texts that
differ in what decides the mood, the worse one reads worse. ``bases.yaml`` and ``pairs.yaml`` hold the texts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from barometer.vocabulary import KINDS, LANGUAGES, SENTIMENTS
from models.errors import TrainingDataError
from models.scoring.interface import ScoredText
from models.scoring.scorer import Scorer

HERE = Path(__file__).parent
MARGIN = 0.1
"""By how much negative less positive probability must differ for a pair to count as told apart."""

_BOILERPLATE = {
    "zh": "本文内容仅供参考，不构成投资建议。以上信息来源于公开资料，转载请注明出处。",
    "en": "This article is for information only and is not investment advice. All information is from public sources. ",
}
_TRADITIONAL = str.maketrans(
    "兑债销会证监调预计亏损审机构对续经营银账户冻结项产检门责罚价盘挫值发级连续由偿剧恶裁员并关闭两厂请权惨"
    "个骗饼绝望还涨补主货财电话钱来垃业绩减持难净润创轨术单药获标构纷还评红购彰显决强劲营收双场坚飞板满仓贬"
    "严远航讯恒华东联晖贷违约",
    "兌債銷會證監調預計虧損審機構對續經營銀賬戶凍結項產檢門責罰價盤挫值發級連續由償劇惡裁員並關閉兩廠請權慘"
    "個騙餅絕望還漲補主貨財電話錢來垃業績減持難淨潤創軌術單藥獲標構紛還評紅購彰顯決強勁營收雙場堅飛板滿倉貶"
    "嚴遠航訊恆華東聯暉貸違約",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: two texts of one language and kind."""

    family: str
    """``invariance`` or ``direction``."""
    category: str
    lang: str
    kind: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check, what the model said of both texts, and whether it held."""

    check: Check
    held: bool
    first: tuple[float, float, float]
    second: tuple[float, float, float]


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)


def _long(text: str, lang: str) -> str:
    return text + _BOILERPLATE[lang] * (5000 // len(_BOILERPLATE[lang]))


def _slip(text: str, lang: str) -> str:
    """One slip in the middle: a doubled character (Chinese) or two letters swapped (English), placed by the text."""
    rng = random.Random(text)
    inner = [i for i in range(len(text) // 3, len(text) - 2) if text[i].isalpha() and text[i + 1].isalpha()]
    i = rng.choice(inner)
    return text[: i + 1] + text[i] + text[i + 1 :] if lang == "zh" else text[:i] + text[i + 1] + text[i] + text[i + 2 :]


CHANGES: dict[str, Callable[[str, str], str]] = {
    "full_width": lambda t, _: _full_width(t),
    "emoji": lambda t, _: t + " 📊",
    "link": lambda t, _: t + " https://example.com/a/20260113?id=778",
    "mention": lambda t, lang: ("@财经观察 " if lang == "zh" else "@newsdesk ") + t,
    "slip": _slip,
    "spaces": lambda t, _: "  " + t.replace("，", "， ").replace(", ", ",  ") + "\n",
    "long": _long,
}
"""What each change does to (text, language); ``company`` and ``traditional`` are made where they apply."""


def checks() -> list[Check]:
    """All checks of the suite, in the order of the files.

    Raises:
        TrainingDataError: a file cannot be read or an entry is malformed; the message names it.
    """
    try:
        bases = yaml.safe_load((HERE / "bases.yaml").read_text("utf-8"))
        pairs = yaml.safe_load((HERE / "pairs.yaml").read_text("utf-8"))
    except (OSError, yaml.YAMLError) as e:
        raise TrainingDataError(f"behaviour: cannot read {HERE}: {e}") from e
    made = []
    for number, entry in enumerate(bases["texts"], 1):
        try:
            lang, kind, sentiment, text = entry
            SENTIMENTS.index(sentiment)
            _known(lang, kind)
        except ValueError as e:
            raise TrainingDataError(f"behaviour: bases.yaml, text {number}: {e}") from e
        firms = bases["firms"][lang]
        first = text.format(firm=firms[number % len(firms)])
        changed = {name: change(first, lang) for name, change in CHANGES.items()}
        for step in (1, 2):
            changed[f"company_{step}"] = text.format(firm=firms[(number + step) % len(firms)])
        if lang == "zh":
            changed["traditional"] = first.translate(_TRADITIONAL)
        made += [
            Check("invariance", name.split("_")[0] if name.startswith("company") else name, lang, kind, first, t)
            for name, t in changed.items()
            if t != first
        ]
    for category, entries in pairs.items():
        for number, entry in enumerate(entries, 1):
            try:
                lang, kind, worse, better = entry
                _known(lang, kind)
            except ValueError as e:
                raise TrainingDataError(f"behaviour: pairs.yaml, {category} {number}: {e}") from e
            made.append(Check("direction", category, lang, kind, worse, better))
    return made


def _known(lang: str, kind: str) -> None:
    if lang not in LANGUAGES or kind not in KINDS:
        raise ValueError(f"unknown language or kind: {lang}, {kind}")


def run(scorer: Scorer, suite: list[Check] | None = None) -> list[Outcome]:
    """Score every check. A text that is left unscored fails its check."""
    suite = checks() if suite is None else suite
    texts = [t for c in suite for t in (c.first, c.second)]
    said = scorer.score(texts, [c.kind for c in suite for _ in "ab"], [c.lang for c in suite for _ in "ab"])
    outcomes = []
    for i, check in enumerate(suite):
        first, second = said[2 * i], said[2 * i + 1]
        if check.family == "invariance":
            held = first.scored and second.scored and first.sentiment == second.sentiment
        else:
            held = _mood(first) - _mood(second) >= MARGIN
        nothing = (0.0, 0.0, 0.0)
        outcomes.append(
            Outcome(check, held, first.sentiment_probabilities or nothing, second.sentiment_probabilities or nothing)
        )
    return outcomes


def _mood(result: ScoredText) -> float:
    """Negative less positive probability; an unscored text tells nothing apart."""
    negative, _, positive = result.sentiment_probabilities or (float("nan"),) * 3
    return negative - positive


def table(outcomes: list[Outcome]) -> dict[str, dict[str, Any]]:
    """Share of checks that held, by family, by family and language, and by category: ``{name: {held, n}}``."""
    found: dict[str, dict[str, Any]] = {}
    for o in outcomes:
        c = o.check
        for name in (c.family, f"{c.family} {c.lang}", f"{c.family} {c.category}"):
            row = found.setdefault(name, {"held": 0, "n": 0})
            row["held"] += o.held
            row["n"] += 1
    return {k: {"share": round(v["held"] / v["n"], 4), "n": v["n"]} for k, v in sorted(found.items())}
