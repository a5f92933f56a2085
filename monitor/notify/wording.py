"""The words of messages, in Chinese and English: names, and what the person on call should do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from barometer.records import Kind
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
    "first": {"zh": "首次通知", "en": "first notice"},
    "worse": {"zh": "情况加重", "en": "it got worse"},
    "repeated": {"zh": "再次提醒：还没有人确认", "en": "reminder: nobody has acknowledged it yet"},
    "escalated": {"zh": "升级通知：还没有人确认", "en": "escalated: nobody has acknowledged it"},
    "resolved": {"zh": "已解决", "en": "resolved"},
    "test": {"zh": "测试消息", "en": "test message"},
}
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

DO_SURGE: Mapping[Lang, tuple[str, ...]] = {
    "zh": (
        "打开上面的链接，读几条原文和走势图，判断是真实事件还是误报。",
        "是真实事件：点“确认”，表示由你跟进，然后按预案联系业务负责人。{unacknowledged}",
        "是误报或已知事项：点“解决”并选结论，以后可用来改进模型。",
    ),
    "en": (
        "Open the link above, read a few texts and the chart, and judge: a real event or a false alarm?",
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

# code: (what it means, what to do), for the alarms about Barometer itself
SYSTEM: Mapping[str, Mapping[Lang, tuple[str, tuple[str, ...]]]] = {
    "lag": {
        "zh": (
            "积压：文本读得比来得慢，负面激增会晚报",
            (
                "运行 barometer status，看积压是在涨还是在落。",
                "在落：等它追平。在涨：看处理进程的日志（数据库慢？CPU 满？），或多开处理进程（PostgreSQL 上）。",
                "追平之前，看板上没有告警不代表平静。",
            ),
        ),
        "en": (
            "Backlog: texts arrive faster than they are read, so surges are noticed late",
            (
                "Run `barometer status`: does the lag grow or shrink?",
                "Shrinks: wait. Grows: look at the workers' logs (slow database? full CPU?) or start more workers (on "
                "PostgreSQL).",
                "Until it has caught up, no alerts does not mean that all is calm.",
            ),
        ),
    },
    "stale": {
        "zh": (
            "进度停滞：日志里没有新的进度记录，时间桶无法封存，不会有新告警",
            (
                "运行 barometer status，看 monitor 是否在运行、谁持有进度租约。",
                "有 barometer produce 在导入：它停住了吗？结束它，monitor 会接手。",
                "monitor 在运行却不写：看它的日志，检查 Kafka 是否可写。",
            ),
        ),
        "en": (
            "No progress: no new progress record in the log, so no bucket is sealed and no alert can come",
            (
                "Run `barometer status`: is a monitor running, and who holds the progress lease?",
                "Is a `barometer produce` importing? If it hangs, end it: the monitor takes over.",
                "A monitor runs but writes none: look at its log, and check that Kafka can be written to.",
            ),
        ),
    },
    "silent": {
        "zh": (
            "来源沉默：{object} 很久没有文本，它的负面现在看不到",
            (
                "看采集端：进程还在吗？账号、限流、网页改版？",
                "来源本来就停更：点“解决”，结论选“已知事项”，它不会再提醒。",
            ),
        ),
        "en": (
            "Silent source: nothing from {object} for long; what is said there is not seen now",
            (
                "Look at its collector: still running? Account, rate limit, a changed page?",
                "It has really stopped: press Resolve, already known; you are not told of it again.",
            ),
        ),
    },
    "replaced": {
        "zh": (
            "日志被替换：Kafka 里的日志不是原来读的那份，读取已停，等人决定",
            (
                "先查清原因：集群重建、主题被删、还是保留期太短？在弄清之前不要接受。",
                "运行 barometer log show 看丢失了什么；能恢复原日志就恢复。",
                "接受损失再继续：barometer log accept。",
            ),
        ),
        "en": (
            "Log replaced: the log in Kafka is not the one that was read; reading has stopped and waits for a decision",
            (
                "Find out why first: a rebuilt cluster, a deleted topic, a retention that is too short? Do not accept "
                "before you know.",
                "Run `barometer log show` to see what is lost; bring the old log back if you can.",
                "To accept the loss and go on: `barometer log accept`.",
            ),
        ),
    },
    "unscored": {
        "zh": (
            "未打分比例过高：这部分文本没有情感判断，负面数偏低",
            (
                "在“文本”页按未打分筛选，看是什么语言、什么来源。",
                "模型不支持的语言：换模型，或接受并调高 unscored_alarm_share。",
                "全部未打分：模型没有载入，看处理进程的日志。",
            ),
        ),
        "en": (
            "Too many texts are unscored: nobody judged them, so negatives are undercounted",
            (
                "Filter the Documents page for unscored texts: which language, which source?",
                "A language that the model does not cover: another model, or accept it and raise unscored_alarm_share.",
                "All of them: the model was not loaded; look at the workers' logs.",
            ),
        ),
    },
    "no_worker": {
        "zh": (
            "没有处理进程在运行：文本没有人读",
            ("启动 barometer worker（或看容器为何退出）；读取从停下处继续，不会丢。",),
        ),
        "en": (
            "No worker is running: nobody reads the texts",
            ("Start `barometer worker`, or see why its container ended; it goes on where it stopped.",),
        ),
    },
    "job": {
        "zh": ("后台任务失败：{object}", ("看 monitor 的日志里这个任务的报错；任务会按时再试。",)),
        "en": (
            "A background job failed: {object}",
            ("See its error in the monitor's log; it will be tried again.",),
        ),
    },
}
SYSTEM_ALIASES = {
    "log_replaced": "replaced",
    "silent_source": "silent",
    "source": "silent",
    "missing_tick": "stale",
    "missing_ticks": "stale",
    "no_progress": "stale",
    "tick": "stale",
    "progress": "stale",
    "unscored_share": "unscored",
}
SYSTEM_OTHER: Mapping[Lang, tuple[str, tuple[str, ...]]] = {
    "zh": ("系统告警：{object}", ("运行 barometer status，按它列出的问题逐项处理。",)),
    "en": ("System alarm: {object}", ("Run `barometer status` and go through the problems that it lists.",)),
}


def system_wording(fingerprint: str, lang: Lang) -> tuple[str, tuple[str, ...]]:
    """What a system alarm means and what to do, by its fingerprint (``system:lag``, ``system:silent:SOURCE``)."""
    _, _, rest = fingerprint.partition(":")
    code, _, thing = rest.partition(":")
    known = SYSTEM.get(SYSTEM_ALIASES.get(code, code))
    what, steps = (known or SYSTEM_OTHER)[lang]
    return what.replace("{object}", one_line(thing if known else rest)), steps


FIGURES: Mapping[str, Words] = {
    "records": {"zh": "未读记录", "en": "records waiting"},
    "seconds": {"zh": "落后秒数", "en": "seconds behind"},
    "share": {"zh": "比例", "en": "share"},
    "documents": {"zh": "文本数", "en": "documents"},
    "source": {"zh": "来源", "en": "source"},
    "last_observed_at": {"zh": "最后一条", "en": "last text"},
    "partitions": {"zh": "分区", "en": "partitions"},
    "never_read": {"zh": "从未读到的分区数", "en": "partitions never read"},
    "topic": {"zh": "Kafka 主题", "en": "Kafka topic"},
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
            shown = cut(one_line(", ".join(map(str, value)) if isinstance(value, list) else str(value)), 120)
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


def series_name(series: str, lang: Lang, topics_file: Path | None = None) -> str:
    """A series as people call it: ``topic:real_estate`` is 房地产.

    >>> series_name("topic:real_estate", "zh"), series_name("watch:某某银行", "en")
    ('房地产', '某某银行')
    """
    head, _, name = series.partition(":")
    if head == "topic":
        return _topic_names(topics_file).get(name, {}).get(lang, name)
    return one_line(name or head)
