"""Texts for the benches: made from our own templates, every one of its own, of the lengths that streams have.

``message(i)`` is a function of its number alone, so any part of a stream can be made by any process. A half of the
comments are shorter than 40 characters; news have a title and two to five sentences. Seven texts of ten are Chinese.
"""

from __future__ import annotations

from random import Random
from typing import Any

_FIRMS = (
    "恒远地产",
    "华岳银行",
    "东江汽车",
    "明川科技",
    "南岭能源",
    "瑞和保险",
    "蓝湾医药",
    "宏达钢铁",
    "天枢半导体",
    "安澜证券",
    "北辰航空",
    "金桥物流",
    "云梯软件",
    "青禾食品",
    "长汀水泥",
    "海珠港务",
)
_FIRMS_EN = (
    "Harrow Estates",
    "Calder Bank",
    "Orrin Motors",
    "Bright Delta",
    "Northfell Energy",
    "Savin Insurance",
    "Palisade Health",
    "Ironmere Steel",
    "Quillon Chips",
    "Tarn Securities",
)
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
    "新车",
    "药品审批",
    "利率",
    "房价",
)
_MOODS = (
    "真的看不懂",
    "又跌了，割肉吧",
    "稳住，长期持有",
    "利好出尽是利空",
    "主力在出货，散户快跑",
    "终于解套了",
    "明天继续涨",
    "管理层不行，迟早出事",
    "再等等看",
    "拿了三年亏了一半",
    "低位加仓",
    "这价格还行",
    "无语",
    "跌停板见",
    "机构又在唱多",
)
_TAILS = (
    "",
    "",
    "",
    "，大家怎么看？",
    "！！！",
    "……",
    "，反正我不买",
    "，坐等打脸",
    " [捂脸]",
    "，纯个人意见，不构成建议",
)
_MOODS_EN = (
    "is going nowhere",
    "looks cheap here",
    "cut its outlook again, I'm out",
    "to the moon",
    "management has no plan",
    "beat on every line",
    "will get diluted, wait for it",
    "is my largest position",
    "keeps missing, third time now",
    "has support at this level",
    "just broke out on volume",
    "might not survive the year",
)
_SENTENCES = (
    "{firm}{day}日晚间公告，{what}相关事项已经董事会审议通过，涉及金额{n}万元，占最近一期净资产的{p}%。",
    "公司表示，本次安排不会对日常经营产生重大影响，但提醒投资者注意市场波动带来的风险。",
    "截至收盘，{firm}报{price}元，{move}{p}%，成交额{n}万元，换手率{q}%。",
    "多位分析人士认为，行业需求仍在恢复之中，{what}的进展将决定下半年的利润水平。",
    "数据显示，今年前{q}个月，相关产品销量同比{move}{p}%，库存水平处于近年来的{level}位。",
    "监管部门要求公司在{day}日之前就{what}的真实性和合规性作出书面说明，并聘请中介机构发表意见。",
    "有投资者在互动平台提问，公司回应称生产经营一切正常，资金链稳定，不存在应披露而未披露的信息。",
)
_SENTENCES_EN = (
    "{firm} said on the {day}th that its board approved a plan worth {n} million dollars, or {p} percent of assets.",
    "Shares {move} {p} percent to {price} dollars in heavy trading, their largest change in {q} months.",
    "The company said the step would not affect daily operations but warned that demand remained hard to predict.",
    "Analysts had expected revenue of {n} million; margins were {p} percent, against {q} percent a year earlier.",
    "Regulators have asked for a written explanation by the {day}th and may open a formal inquiry after that.",
)


def message(i: int, seed: int = 0, news_share: float = 0.2) -> dict[str, Any]:
    """Message ``i`` of the stream; see docs/message.md for its fields."""
    r = Random((seed << 40) + i)
    chinese = r.random() < 0.7
    if r.random() < news_share:
        return _news(r, i, chinese)
    if chinese:
        firm, mood = r.choice(_FIRMS), r.choice(_MOODS)
        parts = [f"{firm}{r.choice(_WHAT)}{mood}{r.choice(_TAILS)}"]
        while r.random() < 0.35:
            parts.append(f"{r.choice(_FIRMS)}{r.choice(_MOODS)}，{r.randrange(1, 90)}块{r.choice(_TAILS)}")
        text = f"{' '.join(parts)} {r.choice('ABCDEFGH')}{i}"
    else:
        parts = [f"{r.choice(_FIRMS_EN)} {r.choice(_MOODS_EN)}."]
        while r.random() < 0.4:
            parts.append(f"I think {r.choice(_FIRMS_EN)} {r.choice(_MOODS_EN)} at {r.randrange(1, 900)} dollars.")
        text = f"{' '.join(parts)} #{i}"
    return {
        "text": text,
        "kind": "comment",
        "source": ("雪岭论坛", "股海夜话", "Tickertalk")[i % 3],
        "author": f"u{r.randrange(50_000)}",
        "published_at": "2025-10-01T09:30:00+08:00",
        "symbols": [f"{600000 + r.randrange(900)}"],
        "engagement": {"likes": r.randrange(90), "replies": r.randrange(9)},
    }


def _news(r: Random, i: int, chinese: bool) -> dict[str, Any]:
    sentences = _SENTENCES if chinese else _SENTENCES_EN
    made = [
        s.format(
            firm=r.choice(_FIRMS if chinese else _FIRMS_EN),
            day=r.randrange(1, 29),
            what=r.choice(_WHAT),
            n=r.randrange(100, 99_999),
            p=round(r.random() * 20, 2),
            q=r.randrange(1, 12),
            level=r.choice("高低"),
            price=round(r.random() * 200, 2),
            move=r.choice("涨跌") if chinese else r.choice(("rose", "fell")),
        )
        for s in r.sample(sentences, r.randrange(2, 6))
    ]
    title = f"{r.choice(_FIRMS)}：{r.choice(_WHAT)}最新进展（{i}）" if chinese else f"{r.choice(_FIRMS_EN)} update {i}"
    source = ("财经早报", "华东财讯", "Meridian Wire")[i % 3]
    return {
        "text": ("" if chinese else " ").join(made),
        "title": title,
        "kind": "news",
        "source": source,
        "url": f"https://news.example/{i % 997}/{i}.html",
        "symbols": [f"{600000 + r.randrange(900)}"],
        "lang": "zh" if chinese else "en",
    }
