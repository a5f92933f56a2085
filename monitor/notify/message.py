"""The words of a notification, so that somebody woken at three in the morning knows what happened and what to do.

:func:`render` turns the facts that were frozen when the notification was made (:mod:`monitor.notify.facts`) into words
when it is sent, so that every attempt says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from barometer.alarm_runbook import runbook_entry
from barometer.store.alerts.evidence import MOSTLY
from barometer.store.alerts.life_cycle import DETECTOR
from monitor.notify import wording as w
from monitor.notify.formats import Lang, clock, cut, duration, number, one_line

COLOURS = {"critical": "#b42318", "warning": "#b54708", "info": "#475467"}


@dataclass(frozen=True, slots=True)
class Quote:
    """A text of the stream, on one line; ``meta`` says what it is, from where and when."""

    meta: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A message in one language. Nothing is escaped yet: that is for whoever knows the format."""

    lang: Lang
    title: str
    reason: str
    what: str
    rows: tuple[tuple[str, str], ...]
    open: str
    quotes_title: str
    quotes: tuple[Quote, ...]
    steps_title: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One notification in words. ``id`` is the same over all attempts."""

    id: str
    title: str
    text: str
    html: str
    facts: Mapping[str, Any]
    sections: tuple[Section, ...]

    @property
    def resolved(self) -> bool:
        return bool(self.facts["reason"] == "resolved")


def render(facts: Mapping[str, Any], message_id: str) -> Message:
    """The words for frozen facts, in the receiver's language or both."""
    langs: tuple[Lang, ...] = ("zh", "en") if facts["lang"] == "both" else (facts["lang"],)
    first, *others = (_section(facts, lang) for lang in langs)
    sections = (first, *(replace(s, quotes=()) for s in others))  # texts are quoted once
    title = " | ".join(s.title for s in sections)
    colour = "#067647" if facts["reason"] == "resolved" else COLOURS[facts["severity"]]
    html = _template().render(sections=sections, title=title, link=facts["link"], colour=colour, message_id=message_id)
    text = ("\n\n" + "-" * 20 + "\n\n").join(_plain(s, facts["link"]) for s in sections)
    return Message(message_id, title, text, html, facts, sections)


@cache
def _template() -> Any:
    loader = PackageLoader("monitor.notify", "templates")
    # Autoescape always: texts of the stream are data, whatever they hold.
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("mail.html")


def _plain(s: Section, link: str) -> str:
    colon = ": " if s.lang == "en" else "："
    lines = [s.title, s.reason, "", *([s.what, ""] if s.what else [])]
    lines += [f"{label}{colon}{value}" for label, value in s.rows]
    lines += ["", f"{s.open}{colon}{link}"]
    if s.quotes:
        lines += ["", s.quotes_title]
        for i, q in enumerate(s.quotes, 1):
            lines += [f"{i}. [{q.meta}]", f"   {q.text}"]
    lines += ["", s.steps_title]
    lines += [f"{i}. {step}" for i, step in enumerate(s.steps, 1)]
    return "\n".join(lines)


# --- one language ----------------------------------------------------------------------------------------------------


def _section(f: Mapping[str, Any], lang: Lang) -> Section:
    zh = lang == "zh"
    return Section(
        lang=lang,
        title=_title(f, lang),
        reason=w.REASON[f["reason"]][lang] + (f"，告警 #{f['alert_id']}" if zh else f", alert #{f['alert_id']}"),
        what=_what(f, lang),
        rows=tuple(_rows(f, lang)),
        open="打开告警" if zh else "Open the alert",
        quotes_title="最能说明问题的文本（原文摘录）" if zh else "The most telling texts (quoted)",
        quotes=tuple(Quote(_meta(e, f, lang), e["text"]) for e in f["evidence"]),
        steps_title="现在该做什么" if zh else "What to do now",
        steps=tuple(_steps(f, lang)),
    )


def _title(f: Mapping[str, Any], lang: Lang) -> str:
    zh = lang == "zh"
    name = f["series"][lang]
    mark = w.SEVERITY[f["severity"]][lang]
    extra = w.MARK.get(f["reason"], {"zh": "", "en": ""})
    head = f"【{mark}{extra['zh']}】" if zh else f"[{mark}{extra['en']}] "
    if f["reason"] == "resolved":
        head = "【已解决】" if zh else "[RESOLVED] "
    others = len((f.get("incident") or {}).get("alerts", ())) - 1
    if others > 0:
        name += f"等 {others + 1} 项" if zh else f" and {others} more"
    if f["type"] == "system":
        return head + one_line(runbook_entry(f["fingerprint"], lang)[0])
    if f["type"] == "rule":
        said = (f.get("red_line") or {}).get(lang) or f["summary"] or ("红线词命中" if zh else "red-line word")
        return f"{head}{name}：{said}" if zh else f"{head}{name}: {said}"
    if f["reason"] == "resolved":
        return f"{head}{name}：负面激增结束" if zh else f"{head}{name}: the surge of negative texts is over"
    seen, expected = number(f["seen_negative"]), number(f["expected_negative"])
    window = duration(f["window_seconds"] * 1000, lang)
    about = ("、" if zh else ", ").join(f.get("about") or ())
    if zh:
        return f"{head}{name}{f'（{about}）' if about else ''}：负面激增，{window}内 {seen} 条（平时约 {expected} 条）"
    return f"{head}{name}{f' ({about})' if about else ''}: {seen} negative texts in {window} ({expected} expected)"


def _what(f: Mapping[str, Any], lang: Lang) -> str:
    zh = lang == "zh"
    if f["type"] == "system":
        # The title says what it means; the check's own sentence (English) is quoted where it says more than figures.
        figures = w.figures(f["figures"], lang, ZoneInfo(f["zone"]))
        more = not figures or f["fingerprint"].startswith(("system:log_replaced", "system:job"))
        parts = [f["summary"] if more else "", figures]
        said = ("。" if zh else ". ").join(p for p in parts if p)
        said = said[:1].upper() + said[1:]
        if f["reason"] != "resolved":
            return said
        gone = "故障已消除。" if zh else "The fault is gone."
        return gone + ((f"此前：{said}" if zh else f" It was: {said}") if said else "")
    said = ""
    if f["seen_total"]:
        window = duration(f["window_seconds"] * 1000, lang)
        seen, total, expected = number(f["seen_negative"]), number(f["seen_total"]), number(f["expected_negative"])
        share = f"{f['seen_negative'] / f['seen_total']:.1%}"
        usual = f.get("expected_share")
        usually = "" if usual is None else f"（{usual:.1%}）" if zh else f" ({usual:.1%})"
        times = f["seen_negative"] / f["expected_negative"] if f["expected_negative"] >= 0.5 else None
        if zh:
            said = f"{window}内的 {total} 条文本中有 {seen} 条负面（{share}），平时约 {expected} 条{usually}"
            said += f"，是平时的 {times:.1f} 倍。" if times else "。"
        else:
            said = f"{seen} of {total} texts in {window} were negative ({share}); about {expected}{usually} are usual"
            said += f", so {times:.1f} times as many. " if times else ". "
        said += _mostly(f, lang)
    if f["reason"] == "resolved":
        peak = ("最高时：" if zh else "At its peak: ") if said else ""
        said = f"{peak}{said}" + _ending(f, lang)
    elif f["summary"] and f["type"] != "rule":  # a rule's stands in the title
        said += f["summary"]
    return said.strip()


def _mostly(f: Mapping[str, Any], lang: Lang) -> str:
    """Whether it is one text many times, or prices: what makes it less of a storm than its numbers say."""
    zh, parts = lang == "zh", []
    seen, one = f["seen_negative"], f.get("one_text") or 0
    if one > 1 and one >= MOSTLY * seen:
        of = (number(min(one, seen)), number(seen))
        parts.append("主要是同一篇文本：{1} 条里有 {0} 条。" if zh else "Mostly one text: {} of {}. ")
        parts[-1] = parts[-1].format(*of)
    prices = f.get("price_moves") or 0.0
    if prices >= MOSTLY:
        parts.append(
            f"负面大多只说行情下跌（{prices:.0%}）。" if zh else f"Mostly about falling prices ({prices:.0%}). "
        )
    return "".join(parts)


def _ending(f: Mapping[str, Any], lang: Lang) -> str:
    zh = lang == "zh"
    if f["resolved_by"] == DETECTOR:
        return "已经回落，告警自动结束。" if zh else "It has calmed down, and the alert ended by itself."
    outcome = w.RESOLUTION.get(f["resolution"] or "", {}).get(lang)
    by = one_line(str(f["resolved_by"] or "?"))
    if zh:
        return f"由 {by} 解决" + (f"，结论：{outcome}。" if outcome else "。")
    return f"Resolved by {by}" + (f" as: {outcome}." if outcome else ".")


def _rows(f: Mapping[str, Any], lang: Lang) -> list[tuple[str, str]]:
    zh, zone = lang == "zh", ZoneInfo(f["zone"])
    rows = []
    end = f["ended_at"] or f["resolved_at"] if f["reason"] == "resolved" else None
    lasted = duration((end or f["told_at"]) - f["started_at"], lang)
    since = f"{clock(f['started_at'], zone)} {'北京时间' if zh and f['zone'] == 'Asia/Shanghai' else f['zone']}"
    if end:
        rows.append(("开始", since) if zh else ("Started", since))
        over = clock(end, zone)
        rows.append(("结束", f"{over}（持续 {lasted}）") if zh else ("Ended", f"{over} (lasted {lasted})"))
    else:
        rows.append(("开始", f"{since}（已 {lasted}）") if zh else ("Since", f"{since} ({lasted} ago)"))
    severity = w.SEVERITY[f["severity"]][lang]
    if f["level"]:
        severity += " · " + w.LEVEL[f["level"]][lang]
    rows.append(("严重程度" if zh else "Severity", severity))
    if f["kinds"]:
        counted = {int(k["kind"]): f" {number(k['negative'])} / {number(k['total'])}" for k in f.get("by_kind") or ()}
        kinds = ("、" if zh else ", ").join(w.KIND[k][lang] + counted.get(k, "") for k in f["kinds"])
        rows.append(("出现在" if zh else "Seen in", kinds))
    if voices := _voices(f, lang):
        rows.append(("负面来自" if zh else "Negative", voices))
    between = "、" if zh else ", "
    if terms := f.get("terms"):
        rows.append(("突出的词" if zh else "Telling terms", between.join(terms)))
    if companies := f.get("companies"):
        rows.append(("涉及公司" if zh else "Companies", between.join(f"{name} {number(n)}" for name, n in companies)))
    together = (f.get("incident") or {}).get("alerts", ())
    if len(together) > 1:
        names = ("、" if zh else ", ").join(one_line(str(x["series"][lang])) for x in together)
        rows.append(("同一事件" if zh else "Same incident", cut(names, 200)))
    if (due := _due_steps(f, lang)) and f["reason"] != "resolved":
        rows.append(("处置时限" if zh else "Deadlines", due))
    if f.get("contact") and f["reason"] != "resolved":
        rows.append(("联系人" if zh else "Contact", cut(one_line(f["contact"]), 100)))
    if f["acknowledged_by"] and f["reason"] != "resolved":
        rows.append(("跟进人" if zh else "In hand of", one_line(f["acknowledged_by"])))
    return rows


def _voices(f: Mapping[str, Any], lang: Lang) -> str:
    """How many different texts and copies the negatives are, and who sent most of them."""
    zh, parts = lang == "zh", []
    if f.get("different") is not None:
        parts.append(f"{number(f['different'])} 篇不同文本" if zh else f"{number(f['different'])} different texts")
    if f.get("copies"):
        parts.append(f"{number(f['copies'])} 篇转载" if zh else f"{number(f['copies'])} copies")
    parts += [f"{name} {number(n)}" for name, n in f.get("sources") or ()]
    return ("、" if zh else ", ").join(parts)


def _due_steps(f: Mapping[str, Any], lang: Lang) -> str:
    """What the level still asks for, and until when."""
    open_ = [x for x in f.get("steps") or () if x["state"] == "open"]
    shown = [f"{_step_name(x['step'], lang)} {_moment(x['due_at'], f)}" for x in open_]
    return ("；" if lang == "zh" else "; ").join(shown)


def _moment(ms: int, f: Mapping[str, Any]) -> str:
    """A time near the message's own: without the date if it is the same day."""
    zone = ZoneInfo(f["zone"])
    day, _, time = clock(ms, zone).partition(" ")
    return time if day == clock(f["told_at"], zone).partition(" ")[0] else f"{day[5:]} {time}"


def _step_name(step: str, lang: Lang) -> str:
    return w.STEP[step][lang] if step in w.STEP else one_line(step)


def _meta(e: Mapping[str, Any], f: Mapping[str, Any], lang: Lang) -> str:
    parts = [w.KIND.get(e["kind"], w.KIND[0])[lang] if e["kind"] else "", e["source"]]
    if e["observed_at"] is not None:
        parts.append(_moment(e["observed_at"], f))
    if e["copies"] > 1:
        parts.append(f"共 {e['copies']} 次转载" if lang == "zh" else f"{e['copies']} copies")
    return " · ".join(p for p in parts if p)


def _steps(f: Mapping[str, Any], lang: Lang) -> list[str]:
    if f["reason"] == "test":
        return ["这是测试，不用做什么。" if lang == "zh" else "This is a test: nothing to do."]
    if f["reason"] == "resolved":
        who = "person" if f["resolved_by"] != DETECTOR else "system" if f["type"] == "system" else "detector"
        return [w.DO_RESOLVED[who][lang]]
    if f["reason"] == "overdue":
        late = ("、" if lang == "zh" else ", ").join(_step_name(x, lang) for x in f.get("overdue") or ())
        return [w.DO_OVERDUE[lang].format(steps=late)]
    again = ""
    if f["type"] == "system":
        return [one_line(step) for step in runbook_entry(f["fingerprint"], lang)[1]]
    if not f["acknowledged_by"]:
        interval = duration(f["repeat_minutes"] * 60_000, lang)
        again = w.UNACKNOWLEDGED[lang].format(interval=interval)
    steps = (w.DO_RULE if f["type"] == "rule" else w.DO_SURGE)[lang]
    written = (f.get("runbook") or {}).get(lang)
    own = [("处置预案：" if lang == "zh" else "Runbook: ") + cut(one_line(written), 300)] if written else []
    return [*own, *(step.format(unacknowledged=again).strip() for step in steps)]
