"""A stream of ninety days, bucket by bucket: who says what of whom, and when it turns bad.

Everything in a bucket follows from the seed and the bucket's start, so several processes can make several parts, and a
store that was filled yesterday can be brought up to today. Busy and quiet series, busy hours and quiet nights, copies
of the day's stories, texts in which two words of three are common and one is rare: what makes queries slow.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import NamedTuple

from barometer.records import fingerprint, pack_row
from bench.search import Language

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PARTITIONS = 12
SYMBOLS = 119
FIRMS = 60
SOURCES = 160
STORIES = 60
"""A day: what is copied by others."""
COPIES = 0.14
STORMS_A_DAY = 24
TOPICS = {  # weight, usual share of negatives
    "market": (30, 0.24),
    "company_operations": (14, 0.15),
    "industry": (10, 0.14),
    "earnings_dividend": (11, 0.2),
    "ma_financing_ipo": (5, 0.1),
    "shareholding": (5, 0.18),
    "management": (3, 0.22),
    "regulation_legal": (4, 0.55),
    "fraud_default": (2, 0.8),
    "credit_bonds": (4, 0.4),
    "financial_sector": (8, 0.2),
    "real_estate": (9, 0.3),
    "macro": (9, 0.2),
    "policy_central_bank": (7, 0.12),
    "politics_international": (7, 0.35),
    "commodities_energy": (7, 0.25),
    "fx_crypto": (4, 0.3),
    "analyst_view": (5, 0.16),
    "public_health": (1, 0.3),
    "other": (6, 0.2),
}
_HEADS = ("恒", "华", "东", "明", "南", "瑞", "蓝", "宏", "天", "安", "北", "金", "云", "青", "长", "海")
_TAILS = ("远地产", "岳银行", "江汽车", "川科技", "岭能源", "和保险", "湾医药", "达钢铁")
_WHAT = (
    "业绩",
    "公告",
    "财报",
    "减持",
    "回购",
    "停牌",
    "重组",
    "分红",
    "债券",
    "订单",
    "新品",
    "审批",
    "利率",
    "房价",
    "评级",
    "诉讼",
    "违约",
    "兑付",
    "立案",
    "罚单",
)
_NEGATIVE = (
    "又跌了，割肉吧",
    "管理层不行，迟早出事",
    "拿了三年亏了一半",
    "跌停板见",
    "暴雷了，血本无归",
    "谁来管管",
    "投诉了没人理",
    "数据太难看",
)
_OTHER = ("再等等看", "低位加仓", "这价格还行", "稳住，长期持有", "终于解套了", "看多一个月", "没什么变化", "观望为主")
_NEWS_BAD = (
    "{firm}公告称，{what}出现重大不利变化，涉及{name}项目，金额{n}万元。",
    "监管部门就{name}一事对{firm}立案调查，{what}被要求书面说明。",
    "{firm}未能在宽限期内支付{name}相关款项，构成实质性违约。",
)
_NEWS = (
    "{firm}晚间公告，{what}相关事项已经董事会审议通过，涉及{name}，金额{n}万元。",
    "公司表示，{name}的安排不会对日常经营产生重大影响，提醒投资者注意市场波动。",
    "多位分析人士认为，{name}需求仍在恢复之中，{what}的进展将决定下半年的利润水平。",
    "数据显示，{name}销量同比变动{n}件，库存处于近年来的低位。",
    "有投资者在互动平台提问{name}，{firm}回应称生产经营一切正常。",
)
_ENGLISH = (
    "{firm} said its board approved the {name} plan worth {n} million dollars.",
    "Shares moved in heavy trading after the {name} report on {what}.",
    "Analysts had expected less of {name}; margins held, the company warned on {what}.",
)
_ENGLISH_WHAT = ("earnings", "guidance", "default", "bonds", "dividend", "lawsuit", "orders", "buyback")


class Storm(NamedTuple):
    """A time in which much is said of one series, most of it negative."""

    start: int
    end: int
    series: int
    strength: float
    """Further texts a bucket."""


@dataclass(frozen=True, slots=True)
class Said:
    """One text of the stream, judged."""

    at: int
    row: int
    kind: int
    source: int | None
    lang: str
    title: str | None
    text: str
    print: int
    sentiment: int | None
    """None: unscored."""
    p: float
    topics: tuple[str, ...]
    series: tuple[int, ...]
    symbols: tuple[str, ...]
    likes: int


class Stream:
    """The whole stream.

    Args:
        documents: how many texts ``days`` have, about.
        bucket_ms: width of a bucket.
    """

    def __init__(self, documents: int, days: int, bucket_ms: int = 10 * MINUTE, seed: int = 1) -> None:
        self.bucket_ms, self.seed = bucket_ms, seed
        self.words = Language(7)
        rng = Random(seed)
        self.firms = [h + t for h in _HEADS for t in _TAILS]
        rng.shuffle(self.firms)
        self.firms = self.firms[:FIRMS]
        self.codes = [f"{c:06d}" for c in rng.sample(range(600_000, 603_000), 900)]
        self.names = [
            "all",
            *(f"topic:{t}" for t in TOPICS),
            *(f"symbol:{c}" for c in self.codes[:SYMBOLS]),
            *(f"watch:{f}" for f in self.firms),
        ]
        """Of the series; the id of a series is its place, from 1 on."""
        self.ids = {name: i for i, name in enumerate(self.names, 1)}
        self.sources = [
            f"{rng.choice(('财经', '证券', '楼市', '快讯', '股海'))}{self.words.words[500 + i]}" for i in range(SOURCES)
        ]
        self._topics = list(TOPICS)
        self._topic_weights = list(accumulate(w for w, _ in TOPICS.values()))
        self._source_weights = list(accumulate(1 / (i + 2) for i in range(SOURCES)))
        self._code_weights = list(accumulate(1 / (i + 5) for i in range(900)))
        self._firm_weights = list(accumulate(1 / (i + 3) for i in range(FIRMS)))
        self._name_weights = list(accumulate(1 / (i + 40) for i in range(len(self.words.words))))
        self._story_weights = list(accumulate(1 / (i + 1) for i in range(STORIES)))
        self._stories: dict[int, list[tuple[str, str, int, str, tuple[str, ...], int, int]]] = {}
        self._storms: dict[int, list[Storm]] = {}
        a_day = sum(activity(i * bucket_ms) for i in range(7 * DAY // bucket_ms)) / 7
        in_storms = STORMS_A_DAY * 9.4 * 9  # expected texts of the storms of a day
        self._mean = max(documents / days - in_storms, documents / days / 5) / a_day

    def storms(self, day: int) -> list[Storm]:
        """Those that begin on a day (of UTC, counted from the epoch)."""
        if day not in self._storms:
            r = Random(self.seed * 7 + day)
            found = []
            for _ in range(STORMS_A_DAY):
                start = day * DAY + r.randrange(DAY // self.bucket_ms) * self.bucket_ms
                long = max(2, round(r.lognormvariate(2, 0.7))) * self.bucket_ms
                found.append(Storm(start, start + long, r.randint(2, len(self.names)), r.uniform(4, 14)))
            self._storms[day] = found
        return self._storms[day]

    def mean(self, start: int) -> float:
        """Expected number of texts of a bucket outside of storms."""
        return self._mean * activity(start)

    def bucket(self, start: int) -> Iterator[Said]:
        """The texts of the bucket that begins at ``start``, in order of time."""
        r = Random(self.seed * 1_000_003 + start // self.bucket_ms)
        n = _poisson(r, self.mean(start))
        extra: list[int] = []
        for storm in (s for d in (start // DAY - 1, start // DAY) for s in self.storms(d)):
            if storm.start <= start < storm.end:
                extra += [storm.series] * _poisson(r, storm.strength)
        times = sorted(r.randrange(self.bucket_ms) for _ in range(n + len(extra)))
        about: Sequence[int] = [0] * n + extra
        if extra:
            about = r.sample(about, len(about))
        first = start // self.bucket_ms % 10_000_000 * 50_000
        for i, at in enumerate(times):
            yield self._said(r, start + at, pack_row(1, i % PARTITIONS, first + i // PARTITIONS), about[i])

    def _said(self, r: Random, at: int, row: int, about: int) -> Said:
        kind = 1 if r.random() < 0.35 else 2
        source = None if r.random() < 0.01 else draw(r, self._source_weights) + 1
        if not about and r.random() < COPIES:
            day = at // DAY
            title, text, print_, lang, topics, firm, sentiment = self._story(day, draw(r, self._story_weights))
            series = [self.ids[f"topic:{t}"] for t in topics] + [self.ids[f"watch:{self.firms[firm]}"]]
            return Said(
                at,
                row,
                1,
                source,
                lang,
                title,
                text,
                print_,
                sentiment,
                0.55 + 0.44 * r.random(),
                topics,
                tuple(series),
                (),
                r.randrange(400),
            )
        topics, firm, symbols, sentiment = self._subject(r, about)
        lang = "en" if r.random() < 0.12 else "zh"
        title, text = self._words(r, kind, lang, firm, sentiment)
        if kind == 1 and at % 25 == 0:
            text = "".join(f"{text}（{i}）" for i in range(1, 12))  # a long article: lists show its beginning
        series = [self.ids[f"topic:{t}"] for t in topics]
        series += [self.ids[f"symbol:{s}"] for s in symbols if f"symbol:{s}" in self.ids]
        if firm is not None:
            series.append(self.ids[f"watch:{self.firms[firm]}"])
        if not about and r.random() < 0.015:
            return Said(at, row, kind, source, "el", title, text, fingerprint(text), None, 0.0, (), (), symbols, 0)
        return Said(
            at,
            row,
            kind,
            source,
            lang,
            title,
            text,
            fingerprint(text),
            sentiment,
            0.5 + 0.49 * r.random(),
            topics,
            tuple(dict.fromkeys(series)),
            symbols,
            int(r.paretovariate(1.1)),
        )

    def _subject(self, r: Random, about: int) -> tuple[tuple[str, ...], int | None, tuple[str, ...], int]:
        """Topics, firm, symbols, sentiment."""
        x = r.random()
        n = 1 if x < 0.55 else 2 if x < 0.85 else 3 if x < 0.97 else 0
        topics = tuple(dict.fromkeys(self._topics[draw(r, self._topic_weights)] for _ in range(n)))
        firm = draw(r, self._firm_weights) if r.random() < 0.4 else None
        symbols: tuple[str, ...] = ()
        if r.random() < 0.45:
            symbols = tuple({self.codes[draw(r, self._code_weights)] for _ in range(1 + (r.random() < 0.3))})
        share = TOPICS[topics[0]][1] if topics else 0.2
        if about:
            share = 0.85
            head, _, name = self.names[about - 1].partition(":")
            if head == "topic":
                topics = (name, *topics[:1]) if name not in topics else topics
            elif head == "symbol":
                symbols = (name,)
            elif head == "watch":
                firm = self.firms.index(name)
        sentiment = 0 if r.random() < share else 1 if r.random() < 0.68 else 2
        return topics, firm, symbols, sentiment

    def _words(self, r: Random, kind: int, lang: str, firm: int | None, sentiment: int) -> tuple[str | None, str]:
        if lang == "en":
            parts = [
                s.format(
                    firm="The firm" if firm is None else f"Firm {firm}",
                    name=r.choice(self.words.english),
                    what=r.choice(_ENGLISH_WHAT),
                    n=r.randrange(10, 9_999),
                )
                for s in r.sample(_ENGLISH, r.randint(1, 3) if kind == 1 else 1)
            ]
            return (parts[0][:60] if kind == 1 else None), " ".join(parts) + f" {r.randrange(10**6)}"
        who = "公司" if firm is None else self.firms[firm]
        if kind == 2:
            name = self.words.words[draw(r, self._name_weights)]
            mood = r.choice(_NEGATIVE if sentiment == 0 else _OTHER)
            tail = "" if r.random() < 0.5 else f"，{self.words.words[draw(r, self._name_weights)]}{r.choice(_WHAT)}"
            return None, f"{who}{r.choice(_WHAT)}，{name}{mood}{tail}，{r.randrange(10**5)}"
        sentences = r.sample(_NEWS, r.randint(2, 5))
        if sentiment == 0:
            sentences[0] = r.choice(_NEWS_BAD)
        made = [
            s.format(
                firm=who,
                what=r.choice(_WHAT),
                n=r.randrange(100, 99_999),
                name=self.words.words[draw(r, self._name_weights)],
            )
            for s in sentences
        ]
        return f"{who}：{r.choice(_WHAT)}与{self.words.words[draw(r, self._name_weights)]}", "".join(made)

    def _story(self, day: int, number: int) -> tuple[str, str, int, str, tuple[str, ...], int, int]:
        if day not in self._stories:
            if len(self._stories) > 3:
                self._stories.clear()
            r, made = Random(self.seed * 11 + day), []
            for _ in range(STORIES):
                topics, firm, _symbols, sentiment = self._subject(r, 0)
                firm = firm or 0
                title, text = self._words(r, 1, "zh", firm, sentiment)
                made.append((title or "", text, fingerprint(text), "zh", topics, firm, sentiment))
            self._stories[day] = made
        return self._stories[day][number]


def activity(ms: int) -> float:
    """How busy an hour is: two peaks of the day, a third at the weekend."""
    hour = (ms / HOUR + 8) % 24
    busy = 0.2 + 1.5 * math.exp(-(((hour - 11) / 4.5) ** 2)) + 0.7 * math.exp(-(((hour - 20.5) / 2) ** 2))
    return busy * (0.35 if int(ms / DAY + 8 / 24 + 3) % 7 >= 5 else 1.0)


def draw(r: Random, cumulated: Sequence[float]) -> int:
    """A place by its weight."""
    return bisect_right(cumulated, r.random() * cumulated[-1], 0, len(cumulated) - 1)


def _poisson(r: Random, mean: float) -> int:
    if mean > 30:
        return max(0, round(r.gauss(mean, math.sqrt(mean))))
    limit, k, p = math.exp(-mean), 0, 1.0
    while (p := p * r.random()) > limit:
        k += 1
    return k


__all__ = ["PARTITIONS", "SOURCES", "TOPICS", "Said", "Storm", "Stream", "activity"]
