"""Identifies the matter of a text, so that a second incident is not merged into the first: the institutions named in
the sentences with its key words, or, where it names none, the text itself (near-copies are the same matter).

Names are read from the text by their endings (银行, 证券, 集团, Bank, Holdings ...), not from a list: the next bank
that is run on is one that nobody has listed. Reading one name too many tells people once too often; reading none
leaves them to find out by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from barometer.near_duplicates import alike, sketch

MOST_NAMES = 3
MOST_SKETCHES = 4
"""Texts that one matter is known by."""
MOST_MATTERS = 40
"""Matters that one alert remembers; the newest."""

_SENTENCE = re.compile(r"[^。！？!?;；\n]+")
_ENDINGS = (
    "银行|农商行|农信社|信用社|证券|基金|信托|保险|人寿|财险|理财|期货|租赁|资管|资本|财富|集团|股份|控股|科技|地产|置业|置地|"
    "实业|金服|支付|交易所|公司|药业|医药|汽车|能源|航空|电子|食品|酒业|物业|教育|传媒"
)
_CHINESE = re.compile(rf"([\u4e00-\u9fffA-Za-z0-9]{{2,10}}?)({_ENDINGS})(?!业|家|间|卡|网点|柜台|客户|储户|理财经理)")
# Words that stand before a name and are none of it. One that is cut off a real name is cut off it everywhere.
_BEFORE_NAME = re.compile(
    r".*(?:的|在|从|对|向|与|及|称|到|于|被|是|说|有|据|因|让|把|了|\d[日时点号]|传|曝|继|报道|记者|储户|客户|网友|今天|昨天|今日|昨日|"
    r"近日|早上|上午|下午|晚上|凌晨|目前|突然|疑似|出现|发生|多名|部分|大量|我|他|她|你|们|去|找|问|告诉|看到|听说|由于|和|或|而|但|"
    r"这|那|该|某|一家|多家|连夜|关于|针对|包括|其中|旗下|之后|获悉|指|当地|本地|知名|大型|投资者|消费者|表示|反映|透露|显示|宣布)"
)
_GENERIC = re.compile(
    r"(?:上市|村镇|商业|国有|股份制|中小|地方|城市|农村|民营|私募|公募|证券|基金|信托|保险|理财|期货|第三方|网络|互联网|房地|开发|担保|"
    r"金融|投资|有限|责任|分|子|母|总|外资|合资|大|小|本|贵|各|几|两|三|多|全|新|老|家|个|一|住|房|互助|养老|社会|医疗|"
    r"公积|政策性|中央|央|国|开)*"
)
_ENGLISH = re.compile(
    r"\b(?:[A-Z][\w&'-]*\s+){1,4}(?:Bank|Bancorp|Securities|Trust|Insurance|Holdings|Group|Capital|Financial|Fund|Inc|"
    r"Corp|Corporation|plc|PLC|Ltd|Co|Motors|Technologies|Energy|Airlines|Exchange)\b|\bBank of (?:[A-Z]\w+\s?){1,3}"
)


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that happened, as far as it can be told apart from others.

    Attributes:
        names: companies and institutions; empty: none is known.
        texts: what it is known by beside, mostly one text.
        told_apart: whether a text without a name is a matter of its own, unless it is a near-copy. Comments are not:
            a hundred people say one thing in a hundred ways.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...] = ()
    told_apart: bool = True

    def kept(self) -> dict[str, Any]:
        """As JSON, for an alert's explanation."""
        return {"names": list(self.names), "sketches": [sketch(t) for t in self.texts[:MOST_SKETCHES]]}


def named(text: str, words: Sequence[str] = (), title: str | None = None) -> tuple[str, ...]:
    """The institutions that a text names: those of the sentences that hold one of the words, else those of the title,
    else those of all of it; at most three, in the order of the text.

    >>> named("甲示例银行一切正常。据记者了解，乙示例农商行出现挤兑。", ["挤兑"])
    ('乙示例农商行',)
    >>> named("某村镇银行门口排队"), named("Depositors queue at Example Valley Bank.")
    ((), ('Example Valley Bank',))
    """
    folded = [w.casefold() for w in words]
    telling = [s for s in _SENTENCE.findall(text) if any(w in s.casefold() for w in folded)]
    for part in ([*telling], [title or ""], [text]):
        found = dict.fromkeys(n for sentence in part for n in _names(sentence))
        if found:
            return tuple(found)[:MOST_NAMES]
    return ()


def _names(sentence: str) -> Iterable[str]:
    for m in _CHINESE.finditer(sentence):
        stem = _BEFORE_NAME.sub("", m.group(1))
        if len(stem) >= 2 and not _GENERIC.fullmatch(stem):
            yield stem + m.group(2)
    for m in _ENGLISH.finditer(sentence):
        yield " ".join(m.group().split())


def same_name(one: str, other: str) -> bool:
    """Whether two names may be one: 建设银行 is 中国建设银行."""
    one, other = one.casefold(), other.casefold()
    return one == other or (min(len(one), len(other)) >= 4 and (one in other or other in one))


def is_known(matter: Matter, known: Sequence[dict[str, Any]]) -> bool:
    """Whether all that a text is about is among known matters (:meth:`Matter.kept`). Where both name somebody the
    names decide: one press release about two banks differs in two characters."""
    sketches = [s for k in known if not (matter.names and k["names"]) for s in k["sketches"]]
    if matter.texts and sketches and alike([sketch(t) for t in matter.texts], sketches):
        return True
    if not matter.names:
        return not matter.told_apart and bool(known)
    names = [n for k in known for n in k["names"]]
    return all(any(same_name(n, k) for k in names) for n in matter.names)


def learnt(known: Sequence[dict[str, Any]], matter: Matter) -> list[dict[str, Any]]:
    """Known matters and this one."""
    return [*known, matter.kept()][-MOST_MATTERS:]


__all__ = ["Matter", "is_known", "learnt", "named", "same_name"]
