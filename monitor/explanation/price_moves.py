"""Recognises negative texts that report a falling price and nothing worse: a surge of them is the market's, and no
matter of reputation.

By words alone, Chinese and English, in the title and the first sentences: a fall or a loss, beside something that has a
price or a figure, and no word of what would be news by itself (default, investigation, fraud, layoffs ...).
"""

from __future__ import annotations

import re
import unicodedata

READ = 120
"""Characters: what a text is about stands at its beginning."""

_ZH_FALL = re.compile(
    r"[收暴大急重下领微续齐普狂连阴闪](?:跌|挫)|跌[停超幅破逾近穿回去至到得了惨麻]|跌\d|杀跌|跳水|走低|走弱|下挫|下探|翻绿|飘绿|一片绿|"
    r"回落|低开|失守|破位|探底|套牢|被套|割肉|崩盘|股灾|绿油油|缩水|创.{0,6}新低|(?<![涨])跌(?!倒|落神坛|宕)"
)
_ZH_PRICE = re.compile(
    r"股|指数|沪指|深[成证]|创指|大盘|板块|期货|合约|主力|原油|油价|金价|黄金|白银|铜|铁矿|币|汇率|人民币|美元|日元|债|基金|"
    r"点|盘[中前后初尾]|开盘|收盘|[0-9.]+%|价格|市值|行情|庄家|散户|仓"
)
_EN_FALL = re.compile(
    r"\b(?:f[ae]ll(?:s|en|ing)?|drop(?:s|ped|ping)?|slip(?:s|ped|ping)?|slid(?:e|es|ing)?|slump(?:s|ed|ing)?|"
    r"plung(?:e|es|ed|ing)|plummet(?:s|ed|ing)?|tumbl(?:e|es|ed|ing)|s[iau]nk(?:s|ing)?|declin(?:e|es|ed|ing)|"
    r"div(?:e|es|ed|ing)|dips?|dipped|down|lower|los(?:e|es|ing)|sheds?|crash(?:es|ed|ing)?|sell-?off|"
    r"retreat(?:s|ed|ing)?|eas(?:e|es|ed|ing)|weak(?:er|ens|ened)?|losers?|low)\b"
)
_EN_PRICE = re.compile(
    r"[0-9]\s?%|\b(?:shares?|stocks?|index|futures|points?|pre-?market|after hours|oil|crude|gold|silver|copper|"
    r"bitcoin|dollar|euro|yen|pound|dow|nasdaq|s&p|ftse|nikkei|sensex|nifty|price|prices|52.week|session)\b|\$[a-z]"
)
_OTHER = re.compile(
    r"违约|逾期|立案|调查|处罚|罚|诉讼|起诉|被诉|造假|欺诈|诈骗|跑路|失联|破产|重整|清算|退市|亏损|爆雷|暴雷|停产|停工|裁员|辞职|"
    r"离职|被捕|逮捕|刑拘|留置|双规|质押|冻结|减持|召回|事故|爆炸|起火|死亡|维权|挤兑|兑付|下调评级|警示函|监管函|问询|制裁|断供|烂尾|投诉|"
    r"\b(?:default(?:s|ed)?|bankrupt\w*|fraud\w*|probe[sd]?|investigat\w+|lawsuit|sue[sd]?|suing|fine[sd]|penalt\w+|"
    r"layoffs?|cuts? (?:\d[\d,]* )?jobs|resign(?:s|ed)?|steps? down|recalls?|downgrade[sd]?|missed|misses|loss|losses|"
    r"profit|earnings|sales|revenue|guidance|scandal|breach|strike|delist\w*|sanction\w*|charged|arrest\w*|crisis|"
    r"death|accident|halts?|halted|offering)\b"
)


def is_price_move(text: str, title: str | None = None) -> bool:
    """Whether a text tells of falling prices and of nothing that we know to be worse.

    >>> is_price_move("沪指收跌1.2%，券商板块领跌"), is_price_move("某房企债券违约，股价暴跌")
    (True, False)
    >>> is_price_move("Acme shares fall 4% in early trade"), is_price_move("Acme cuts 900 jobs, shares fall")
    (True, False)
    """
    whole = unicodedata.normalize("NFKC", f"{title} {text}" if title else text)[:READ].lower()
    if _OTHER.search(whole):
        return False
    return bool(
        (_ZH_FALL.search(whole) and _ZH_PRICE.search(whole)) or (_EN_FALL.search(whole) and _EN_PRICE.search(whole))
    )
