"""The words of messages, in Chinese and English: names, and what the person on call should do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from barometer.telling import rule_of
from barometer.unreached import retold
from barometer.vocabulary import Kind
from monitor.notify.formats import Lang, clock, cut, number, one_line

Words = Mapping[Lang, str]

SEVERITY: Mapping[str, Words] = {
    "info": {"zh": "提示", "en": "INFO"},
    "warning": {"zh": "预警", "en": "WARNING"},
    "critical": {"zh": "严重", "en": "CRITICAL"},
}
LEVEL: Mapping[str, Words] = {
    "ordinary": {"zh": "一般", "en": "ordinary"},
    "major": {"zh": "较大", "en": "major"},
    "grave": {"zh": "重大", "en": "grave"},
}
REASON: Mapping[str, Words] = {
    "first": {"zh": "首次通知", "en": "First notice"},
    "worse": {"zh": "情况加重", "en": "Got worse"},
    "matter": {"zh": "又有另一件事", "en": "Another matter"},
    "repeated": {"zh": "再次提醒：还没有人确认", "en": "Reminder: nobody has acknowledged it yet"},
    "escalated": {"zh": "升级通知：还没有人确认", "en": "Escalated: nobody has acknowledged it"},
    "unsnoozed": {"zh": "推迟的时间到了，告警还在", "en": "The snooze is over and the alert is still firing"},
    "overdue": {"zh": "有处置步骤超过了时限", "en": "A step is overdue"},
    "resolved": {"zh": "已解决", "en": "Resolved"},
    "test": {"zh": "测试消息", "en": "Test message"},
}
MARK: Mapping[str, Words] = {
    "worse": {"zh": "·加重", "en": ", worse"},
    "matter": {"zh": "·另一件事", "en": ", another matter"},
    "repeated": {"zh": "·再次提醒", "en": ", reminder"},
    "escalated": {"zh": "·升级", "en": ", escalated"},
    "unsnoozed": {"zh": "·推迟到期", "en": ", snooze over"},
    "overdue": {"zh": "·超时", "en": ", overdue"},
    "test": {"zh": "·测试", "en": ", test"},
}
"""What a title says of the reason."""
STEP: Mapping[str, Words] = {
    "assess": {"zh": "研判", "en": "assessment"},
    "respond": {"zh": "处置", "en": "response"},
    "report": {"zh": "报告", "en": "report"},
    "review": {"zh": "总结", "en": "review"},
}
"""What a level asks for."""
RESOLUTION: Mapping[str, Words] = {
    "real": {"zh": "真实事件", "en": "real event"},
    "false_alarm": {"zh": "误报", "en": "false alarm"},
    "known": {"zh": "已知事项", "en": "already known"},
    "other": {"zh": "其它", "en": "other"},
}
KIND: Mapping[int, Words] = {
    Kind.UNKNOWN: {"zh": "未知", "en": "unknown"},
    Kind.NEWS: {"zh": "新闻", "en": "news"},
    Kind.COMMENT: {"zh": "评论", "en": "comments"},
}

RED_LINE: Words = {"zh": "红线“{rule}”", "en": "Red line “{rule}”"}

DO_SURGE: Mapping[Lang, tuple[str, ...]] = {
    "zh": (
        "打开告警页，读几条原文和走势图，判断是真实事件还是误报。",
        "是真实事件：点“确认”，表示由你跟进，然后按预案联系业务负责人。{unacknowledged}",
        "是误报或已知事项：点“解决”并选结论，以后可用来改进模型。",
    ),
    "en": (
        "Open the alert's page, read a few texts and the chart, and judge: a real event or a false alarm?",
        "Real: press Acknowledge, so that others see it is yours, then call whoever owns the matter. {unacknowledged}",
        "False or already known: press Resolve and say which; the model can learn from it.",
    ),
}
DO_RULE: Mapping[Lang, tuple[str, ...]] = {
    "zh": (
        "红线词命中，一条就告警：先读原文，核对来源是否可靠、说的是不是这家公司。",
        "属实：立即点“确认”，并按预案上报（公关、法务、业务负责人）。{unacknowledged}",
        "不属实：点“解决”，结论选“误报”。",
    ),
    "en": (
        "A red-line word was seen, and one text is enough: read it first. Is the source reliable, is it this company?",
        "True: press Acknowledge at once and report it as your plan says (communications, legal, the owner). "
        "{unacknowledged}",
        "Not true: press Resolve and choose false alarm.",
    ),
}
UNACKNOWLEDGED: Words = {
    "zh": "不确认的话，{interval}后会再次提醒。",
    "en": "Without it you are reminded again in {interval}.",
}
DO_OVERDUE: Words = {
    "zh": "马上完成，并在告警页登记：{steps}。确实不需要的，登记为免做并写明原因。",
    "en": "Do it now and note it on the alert's page: {steps}. What is not needed is waived there, with the reason.",
}
DO_RESOLVED: Mapping[str, Words] = {
    "detector": {
        "zh": "负面已回落，告警自动结束，现在不用做什么。如果还没有人看过，请补看一遍并留下备注。",
        "en": "It has calmed down and the alert ended by itself: nothing to do now. If nobody has looked yet, do, and "
        "leave a comment.",
    },
    "system": {
        "zh": "故障已消除，现在不用做什么。故障期间可能漏报，请看一下概览页。",
        "en": "The fault is gone: nothing to do now. Alerts may have been missed meanwhile, so look at the overview.",
    },
    "person": {"zh": "已有同事处理完毕，不用做什么。", "en": "A colleague has dealt with it: nothing to do."},
}

FIGURES: Mapping[str, Words] = {
    "records": {"zh": "未读记录", "en": "records waiting"},
    "seconds": {"zh": "落后秒数", "en": "seconds behind"},
    "share": {"zh": "比例", "en": "share"},
    "documents": {"zh": "文本数", "en": "documents"},
    "source": {"zh": "来源", "en": "source"},
    "sources": {"zh": "来源名称数", "en": "names of sources"},
    "silent_sources": {"zh": "沉默的来源数", "en": "silent sources"},
    "active_sources": {"zh": "一周内有文本的来源数", "en": "sources heard within the week"},
    "names": {"zh": "名单", "en": "names"},
    "last_observed_at": {"zh": "最后一条", "en": "last text"},
    "partitions": {"zh": "分区", "en": "partitions"},
    "never_read": {"zh": "从未读到的分区数", "en": "partitions never read"},
    "topic": {"zh": "Kafka 主题", "en": "Kafka topic"},
    "job": {"zh": "任务", "en": "job"},
    "channel": {"zh": "渠道", "en": "channel"},
    "message": {"zh": "报错", "en": "error"},
}


def figures(found: Mapping[str, Any], lang: Lang, zone: ZoneInfo) -> str:
    """The figures of a system alarm on one line.

    >>> figures({"records": 12000, "share": 0.5, "odd": None}, "en", ZoneInfo("UTC"))
    'records waiting 12,000, share 50%'
    """
    parts = []
    for key, value in found.items():
        if value is None or value == []:
            continue
        if key.endswith("_at"):
            shown = clock(int(value), zone)
        elif key == "share":
            shown = f"{float(value):.0%}"
        elif isinstance(value, int | float) and not isinstance(value, bool):
            shown = number(value)
        else:
            shown = cut(
                one_line(", ".join(map(str, value)) if isinstance(value, list) else retold(str(value), lang)),
                300 if key in ("message", "names") else 120,
            )
        parts.append(f"{FIGURES[key][lang] if key in FIGURES else one_line(key)} {shown}")
    return ("，" if lang == "zh" else ", ").join(parts)


# --- names -----------------------------------------------------------------------------------------------------------


@cache
def _topic_names(file: Path | None) -> dict[str, Words]:
    """The list of topics is data (``topics_file``); without names of ours a topic is called by its id."""
    try:
        text = (file or resources.files("models").joinpath("topics.yaml")).read_text("utf-8")
        return {row["id"]: {"zh": row["zh"], "en": row["en"]} for row in yaml.safe_load(text)}
    except (OSError, ModuleNotFoundError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        return {}


def alert_name(fingerprint: str, explanation: Mapping[str, Any], lang: Lang, topics_file: Path | None = None) -> str:
    """What an alert is about, as people call it: a series, or the red line that it is of.

    >>> alert_name("rule:挤兑", {"hits": [{"rule": "挤兑", "title": {"zh": "挤兑", "en": "Run on a bank"}}]}, "en")
    'Red line “Run on a bank”'
    """
    rule = rule_of(fingerprint, explanation, lang)
    return series_name(fingerprint, lang, topics_file) if rule is None else RED_LINE[lang].format(rule=one_line(rule))


def series_name(series: str, lang: Lang, topics_file: Path | None = None) -> str:
    """A series as people call it: ``topic:real_estate`` is 房地产.

    >>> series_name("topic:real_estate", "zh"), series_name("watch:某某银行", "en")
    ('房地产', '某某银行')
    """
    head, _, name = series.partition(":")
    if head == "topic":
        return _topic_names(topics_file).get(name, {}).get(lang, name)
    return one_line(name or head)
