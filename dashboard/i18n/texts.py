"""Every word on the screens, in Chinese and English. ``t(lang, key)`` looks one up; a missing key is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Literal

import yaml

from barometer.vocabulary import LANGUAGES, Lang
from dashboard.i18n.account import ACCOUNT_TEXTS
from dashboard.i18n.alerts import ALERT_TEXTS
from dashboard.i18n.documents import DOCUMENT_TEXTS
from dashboard.i18n.learn import LEARN_TEXTS
from dashboard.i18n.pages import PAGE_TEXTS
from dashboard.i18n.shell import SHELL_TEXTS
from dashboard.i18n.telling import TELLING_TEXTS

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")


def as_lang(value: object) -> Lang:
    """A language from outside; Chinese unless it is one we have."""
    return "en" if value == "en" else "zh"


def as_theme(value: object) -> Theme:
    return "dark" if value == "dark" else "light"


def t(lang: Lang, key: str, **values: object) -> str:
    """The text of a key.

    Raises:
        KeyError: no such key.
    """
    text = TEXTS[key][LANGUAGES.index(lang)]
    return text.format(**values) if values else text


def add_topics(topics: Iterable[Mapping[str, str]]) -> None:
    """Names of topics from the operator's own list: entries with id, zh and en."""
    for topic in topics:
        TEXTS[f"topic.{topic['id']}"] = (topic["zh"], topic["en"])


def code_text(lang: Lang, prefix: str, code: str | None) -> str:
    """The text for a code of the store, as ``prefix.code``; the code itself where there is none."""
    if not code:
        return ""
    return t(lang, f"{prefix}.{code}") if has(f"{prefix}.{code}") else code


def why_unscored(lang: Lang, reason: str) -> str:
    """Why a text has no sentiment, of a reason that the store keeps: a code, or ``language:`` and a language."""
    code, _, language = reason.partition(":")
    said = code_text(lang, "unscored", code)
    if not language:
        return said
    return f"{said}（{language}）" if lang == "zh" else f"{said} ({language})"


def has(key: str) -> bool:
    return key in TEXTS


def series_name(lang: Lang, name: str) -> str:
    """A series as people call it: ``topic:real_estate`` is 房地产; what has no name of its own is shown as it is."""
    if name == "all":
        return t(lang, "series.all")
    if name.startswith("rule:"):
        return t(lang, "alert.rule_subject", rule=name.removeprefix("rule:"))
    key = f"topic.{name.removeprefix('topic:')}"
    if name.startswith("topic:") and key in TEXTS:
        return t(lang, key)
    return name.removeprefix("topic:").removeprefix("symbol:").removeprefix("watch:")


TEXTS: dict[str, tuple[str, str]] = {
    "product": ("舆情晴雨表", "Barometer"),
    "tagline": ("财经舆情监测", "Watching the mood of the market"),
    # navigation
    "nav.overview": ("概览", "Overview"),
    "nav.alerts": ("告警", "Alerts"),
    "nav.documents": ("文本", "Documents"),
    "nav.system": ("系统", "System"),
    "nav.menu": ("菜单", "Menu"),
    "nav.skip": ("跳到正文", "Skip to content"),
    "logout": ("退出", "Log out"),
    "switch.lang": ("English", "中文"),
    "switch.lang_label": ("切换到英文", "Switch to Chinese"),
    "switch.theme": ("切换深浅色", "Switch dark or light"),
    "role.viewer": ("查看者", "viewer"),
    "role.analyst": ("分析员", "analyst"),
    "role.admin": ("管理员", "administrator"),
    # log-in
    "login.title": ("登录", "Log in"),
    "login.name": ("用户名", "User name"),
    "login.password": ("密码", "Password"),
    "login.submit": ("登录", "Log in"),
    "login.wrong": ("用户名或密码不对", "Wrong user name or password"),
    "login.throttled": ("尝试次数太多，请稍后再试", "Too many attempts; please wait a moment"),
    "login.csrf": ("页面已过期，请再试一次", "The page has expired; please try again"),
    "login.expired": ("登录已过期，请重新登录", "Your session has ended; please log in again"),
    "login.oidc": ("单点登录", "Log in with single sign-on"),
    "login.or": ("或用密码", "or with a password"),
    "login.no_passwords": ("这里不用密码登录", "Password log-in is switched off here"),
    "login.oidc_away": (
        "登录服务暂时不可用，请稍后再试",
        "The sign-on service is unavailable; please try again in a while",
    ),
    "login.oidc_failed": ("登录没有完成，请再试一次", "The log-in was not completed; please try again"),
    "login.oidc_no_role": (
        "您的账号没有使用本系统的权限，请联系管理员",
        "Your account has no role here; please ask the administrator",
    ),
    "login.oidc_refused": (
        "您的账号不能登录，请联系管理员",
        "Your account is not allowed to log in; please ask the administrator",
    ),
    "login.help": (
        "没有账号？请管理员运行 barometer users add",
        "No account? Ask an administrator to run: barometer users add",
    ),
    # common
    "never": ("从未", "never"),
    "just_now": ("刚刚", "just now"),
    "ago": ("{time}前", "{time} ago"),
    "unit.seconds": ("{n} 秒", "{n} s"),
    "unit.minutes": ("{n} 分钟", "{n} min"),
    "unit.hours": ("{n} 小时", "{n} h"),
    "unit.days": ("{n} 天", "{n} days"),
    "unit.years": ("{n} 年", "{n} years"),
    "range.15m": ("15 分钟", "15 min"),
    "range.1h": ("1 小时", "1 h"),
    "range.6h": ("6 小时", "6 h"),
    "range.24h": ("24 小时", "24 h"),
    "range.7d": ("7 天", "7 days"),
    "range.30d": ("30 天", "30 days"),
    "range.90d": ("90 天", "90 days"),
    "range.365d": ("1 年", "1 year"),
    "range.label": ("时间范围", "Time range"),
    "kind.all": ("全部", "All"),
    "kind.news": ("新闻", "News"),
    "kind.comment": ("评论", "Comments"),
    "kind.unknown": ("未分类", "Unknown"),
    "kind.label": ("类型", "Kind"),
    "sentiment.negative": ("负面", "Negative"),
    "sentiment.neutral": ("中性", "Neutral"),
    "sentiment.positive": ("正面", "Positive"),
    "sentiment.unscored": ("未打分", "Unscored"),
    "sentiment.label": ("情绪", "Sentiment"),
    "offline": (
        "与服务器的连接已中断：页面上的数字停在 {time}",
        "The connection to the server is lost: the figures on this page stopped at {time}",
    ),
    "not_found": ("没有这个页面", "There is no such page"),
    "not_found.hint": ("链接可能已失效。", "The link may be out of date."),
    "not_found.home": ("回到首页", "Back to the home page"),
    "zone": ("时间均为 {zone}", "times in {zone}"),
    "wrong": (
        "这个操作没有完成，因为服务器出了错。请重试；若一直如此，请查看 dashboard 的日志。",
        "This did not work because of an error on the server. Try again; if it persists, see the dashboard's log.",
    ),
    # the line of truth
    "truth.live": ("数据实时", "Data is live"),
    "truth.quiet": ("{time} 以后没有新文本（{lag}）", "no texts since {time} ({lag})"),
    "truth.no_texts": ("没有文本", "no texts"),
    "problem.alarm": ("系统告警在持续：{name}", "System alert firing: {name}"),
    "truth.asof": ("截至 {time}，滞后 {lag}", "up to {time}, {lag} behind"),
    "truth.workers": ("{n} 个处理进程", "workers: {n}"),
    "truth.no_workers": ("没有处理进程在运行", "no worker is running"),
    "truth.no_monitor": ("没有监测进程在运行：不会有新告警", "no monitor is running: no new alerts will be raised"),
    "truth.unscored": ("近一小时未打分 {share}", "{share} unscored in the last hour"),
    "truth.sources": ("{n} 个来源", "sources: {n}"),
    "truth.silent": ("{n} 个来源沉默", "silent sources: {n}"),
    "truth.stale": (
        "数据已停在 {time}（{lag}前）：以下不是现在的情况",
        "Data stopped at {time} ({lag} ago): what you see is out of date",
    ),
    "truth.behind": ("正在追赶：还有 {n} 条未处理", "Catching up: {n} records not read yet"),
    "truth.empty": ("还没有收到任何数据", "No data has arrived yet"),
    "truth.no_progress": (
        "没有进度记录：时间段不会封存，也不会有告警",
        "No progress records: buckets are not sealed and nothing can be alerted",
    ),
    "truth.replaced": ("日志已被替换，等待处理：{reason}", "The log was replaced and needs an operator: {reason}"),
    "truth.details": ("详情", "Details"),
    # overview
    "overview.title": ("概览", "Overview"),
    "overview.running": ("进行中的告警", "Ongoing alerts"),
    "overview.calm": ("没有进行中的告警", "No ongoing alerts"),
    "overview.not_calm": (
        "没有进行中的告警，但数据不是最新的，不能说明风平浪静",
        "No ongoing alerts, but the data is not current, so this does not mean that all is calm",
    ),
    "overview.series": ("主题", "Topics"),
    "overview.volume": ("文本量", "Texts"),
    "overview.negative": ("负面", "Negative"),
    "overview.share": ("负面占比", "Negative share"),
    "overview.change": ("与预期相比", "vs expected"),
    "overview.trend": ("负面走势", "Negative trend"),
    "overview.as_usual": ("如常", "as usual"),
    "overview.too_few": ("文本太少，不作判断", "too few texts to tell"),
    "overview.interval": ("99% 区间 {low}–{high}", "99% interval {low} to {high}"),
    "overview.learning": ("学习中", "learning"),
    "overview.learning_hint": ("样本还少，尚无预期", "too little data for an expectation yet"),
    "overview.expected": ("预期 {n}", "expected {n}"),
    "overview.none": ("这段时间没有文本", "No texts in this period"),
    "overview.empty": ("还没有数据", "There is no data yet"),
    "overview.empty_hint": (
        "用 barometer produce 送入文本，或运行 make demo 看一个完整的例子。主题会在第一批文本打分后出现。",
        "Send texts with barometer produce, or run make demo for a complete example. "
        "Topics appear once the first texts have been scored.",
    ),
    "overview.kpi_texts": ("文本", "Texts"),
    "overview.kpi_share": ("负面占比", "Negative share"),
    "overview.kpi_above": ("高于预期的主题", "Topics above expected"),
    "overview.kpi_open": ("未确认告警", "Unacknowledged alerts"),
    "overview.of": ("共 {n} 个", "of {n}"),
    "overview.negatives_of": ("{n} 条负面", "{n} negative"),
    "overview.alerting": ("告警中", "alerting"),
    "overview.until": ("以数据末端 {time} 为准", "up to the end of the data, {time}"),
    "overview.trial": ("试用", "trial"),
    "overview.trial_hint": ("试用中的主题：只显示，不通知", "A topic on trial: shown, but nobody is notified"),
    # series
    "series.all": ("全部文本", "All texts"),
    "series.negatives": ("负面文本数", "Negative texts"),
    "series.share": ("负面占比", "Negative share"),
    "series.volume": ("文本量", "Texts"),
    "series.expected": ("预期", "Expected"),
    "series.band": ("预期范围", "Expected range"),
    "series.open": ("未封存", "Not sealed yet"),
    "series.open_hint": ("浅色部分还在进数，未经判定", "The lighter part is still filling and has not been judged"),
    "series.outage": ("停供", "Outage"),
    "series.texts_of": ("{from_} 至 {to} 的原文", "Texts from {from_} to {to}"),
    "series.texts_all": ("最近 {range}里最负面的原文", "The most negative texts of the last {range}"),
    "series.rolling": ("负面占比（滚动 {time}）", "Negative share (over {time})"),
    "series.copies": ("{n} 篇相同", "{n} copies"),
    "series.no_texts": ("这段时间没有打过分的文本", "No scored texts in this period"),
    "series.no_texts_all": ("总计不保存逐条原文，请到“文本”页查看", "For the total, see Documents"),
    "series.unknown": ("没有这个主题", "There is no such topic"),
    "series.alerts": ("这个主题的告警", "Alerts of this topic"),
    "series.no_alerts": ("这段时间没有告警", "No alerts in this period"),
    "series.per": ("每点 {time}", "{time} a point"),
    "series.distinct": ("独立声音 {n}", "{n} independent"),
    "series.wait": ("正在取原文……", "Fetching the texts…"),
    "series.more": ("只列出最负面的 {n} 组", "Only the {n} most negative groups are listed"),
    # alerts
    **ACCOUNT_TEXTS,
    **ALERT_TEXTS,
    **DOCUMENT_TEXTS,
    **LEARN_TEXTS,
    **PAGE_TEXTS,
    **SHELL_TEXTS,
    **TELLING_TEXTS,
    "alerts.title": ("告警", "Alerts"),
    "alerts.open": ("待处理", "Open"),
    "alerts.resolved": ("已解决", "Resolved"),
    "alerts.all": ("全部", "All"),
    "alerts.state": ("状态", "State"),
    "alerts.subject": ("对象", "Subject"),
    "alerts.started": ("开始", "Started"),
    "alerts.lasted": ("持续", "Lasted"),
    "alerts.seen": ("负面 / 预期", "Negative / expected"),
    "alerts.score": ("强度", "Score"),
    "alerts.by": ("处理人", "By"),
    "alerts.none": ("没有告警", "No alerts"),
    "alerts.none_open": ("没有待处理的告警", "No open alerts"),
    "alerts.more": ("更早的告警", "Older alerts"),
    "state.firing": ("告警中", "Firing"),
    "state.acknowledged": ("已确认", "Acknowledged"),
    "state.resolved": ("已解决", "Resolved"),
    "state.over": ("负面已回落", "surge is over"),
    "severity.info": ("提示", "Info"),
    "severity.warning": ("预警", "Warning"),
    "severity.critical": ("严重", "Critical"),
    "level.ordinary": ("一般", "Ordinary"),
    "level.major": ("较大", "Major"),
    "level.grave": ("重大", "Grave"),
    "type.surge": ("负面激增", "Negative surge"),
    "type.rule": ("红线规则", "Red-line rule"),
    "type.system": ("系统", "System"),
    "fault.log_replaced": ("日志被替换", "The log was replaced"),
    "fault.lag": ("读取滞后", "Reading is behind"),
    "fault.clock": ("时钟出错", "Clock is wrong"),
    "fault.missing_ticks": ("没有进度记录", "No progress records"),
    "fault.rules_file": ("红线规则文件有误", "The rules file is invalid"),
    "fault.broker": ("Kafka 连不上", "Kafka cannot be reached"),
    "fault.rights": ("Kafka 权限不足", "Missing Kafka permission"),
    "fault.login": ("Kafka 登录被拒绝", "Kafka refuses the login"),
    "fault.not_reading": ("处理进程读不到文本", "A worker is not reading"),
    "fault.no_worker": ("没有处理进程", "No worker is running"),
    "fault.unscored": ("大量文本未打分", "Many texts unscored"),
    "fault.silent": ("来源沉默", "Source silent"),
    "fault.silent_sources": ("多个来源沉默", "Several sources silent"),
    "fault.source_names": ("来源名称太多", "Too many source names"),
    "fault.sealing": ("封存停滞", "Sealing is behind"),
    "fault.topic": ("Kafka 主题设置不对", "Wrong setting of a Kafka topic"),
    "fault.job": ("后台任务失败", "A background job is failing"),
    "alert.number": ("告警 #{id}", "Alert #{id}"),
    "alert.unknown": ("没有这条告警", "There is no such alert"),
    "alert.sentence": (
        "{window}内有 {seen} 条负面，预期 {expected} 条",
        "{seen} negative texts in {window}, {expected} expected",
    ),
    "alert.times": ("{n} 倍", "{n}×"),
    "alert.of_total": ("占 {total} 条文本的 {share}", "{share} of {total} texts"),
    "alert.started": ("开始", "Started"),
    "alert.detected": ("发现", "Detected"),
    "alert.peak": ("最高点", "Peak"),
    "alert.ended": ("回落", "Ended"),
    "alert.running": ("仍在持续", "still ongoing"),
    "alert.score": ("强度（−log₁₀ p）", "Score (−log₁₀ p)"),
    "alert.detector": ("检测器", "Detector"),
    "alert.model": ("模型", "Model"),
    "alert.arm": ("依据", "Triggered by"),
    "arm.volume": ("负面条数", "count of negatives"),
    "arm.share": ("负面占比", "share of negatives"),
    "alert.copies": ("其中转载", "Copies among them"),
    "alert.sources": ("主要来源", "Main sources"),
    "alert.window": ("窗口", "Window"),
    "alert.numbers": ("数字", "Figures"),
    "alert.chart": ("前后走势（负面文本数）", "Before and after (negative texts)"),
    "alert.to_do": ("该做什么", "What to do"),
    "alert.evidence": ("证据", "Evidence"),
    "alert.evidence_hint": (
        "告警时保存的副本，来源删除后仍在",
        "Copies kept with the alert, even if the source deletes them",
    ),
    "alert.no_evidence": ("没有保存原文", "No texts were kept"),
    "alert.history": ("经过", "History"),
    "alert.notifications": ("通知", "Notifications"),
    "alert.no_notifications": ("没有发出通知", "No notifications were sent"),
    "alert.act": ("处理", "Actions"),
    "alert.comment": ("备注", "Comment"),
    "alert.comment_hint": ("写给同事和以后的自己（可不填）", "For colleagues and for later (optional)"),
    "alert.resolution": ("结论", "Outcome"),
    "resolution.real": ("真实事件", "Real event"),
    "resolution.false_alarm": ("误报", "False alarm"),
    "resolution.known": ("已知事项", "Already known"),
    "resolution.other": ("其它", "Other"),
    "alert.viewer": ("查看者不能处理告警", "Viewers cannot act on alerts"),
    "alert.acknowledged_by": ("{name} 于 {time} 确认", "Acknowledged by {name} at {time}"),
    "alert.resolved_by": ("{name} 于 {time} 解决", "Resolved by {name} at {time}"),
    "alert.back": ("全部告警", "All alerts"),
    "alert.see_series": ("看这个主题", "Open the topic"),
    "actor.detector": ("检测器", "Detector"),
    "actor.system": ("系统", "System"),
    "action.opened": ("触发", "Opened"),
    "action.worse": ("加重", "Got worse"),
    "action.updated": ("更新", "Updated"),
    "action.ended": ("负面回落", "Surge over"),
    "action.reopened": ("再次触发", "Reopened"),
    "action.acknowledged": ("确认", "Acknowledged"),
    "action.resolved": ("解决", "Resolved"),
    "action.notified": ("已通知", "Notified"),
    "action.notification_failed": ("通知失败", "Notification failed"),
    "action.level": ("定级", "Level set"),
    "action.commented": ("备注", "Comment"),
    "action.assigned": ("指派", "Assigned"),
    "action.silenced": ("静默", "Silenced"),
    "action.escalated": ("升级", "Escalated"),
    "action.matter": ("又有另一件事", "Another matter"),
    "action.grouped": ("归入同一事件", "Joined an incident"),
    "action.held": ("免打扰，稍后通知", "Held for quiet hours"),
    "action.snoozed": ("推迟", "Snoozed"),
    "action.woken": ("推迟结束", "Snooze over"),
    "action.step_done": ("步骤完成", "Step done"),
    "action.step_waived": ("步骤免除", "Step waived"),
    "action.overdue": ("步骤逾期", "Step overdue"),
    "notification.pending": ("待发送", "pending"),
    "notification.sending": ("发送中", "sending"),
    "notification.sent": ("已送达", "sent"),
    "notification.failed": ("失败", "failed"),
    "notification.silenced": ("被静默", "silenced"),
    "notification.cancelled": ("已取消", "cancelled"),
    "reason.first": ("首次", "first"),
    "reason.worse": ("加重", "worse"),
    "reason.matter": ("另一件事", "another matter"),
    "reason.repeated": ("重复", "repeated"),
    "reason.escalated": ("升级", "escalated"),
    "reason.unsnoozed": ("推迟到期", "snooze over"),
    "reason.overdue": ("步骤逾期", "step overdue"),
    "reason.resolved": ("已解决", "resolved"),
    # documents
    "documents.title": ("文本", "Documents"),
    "documents.series": ("主题", "Topic"),
    "documents.any": ("不限", "Any"),
    "documents.none": ("没有符合条件的文本", "No texts match"),
    "documents.none_hint": ("放宽时间或去掉一个条件试试。", "Try a longer period or fewer filters."),
    "documents.older": ("更早", "Older"),
    "documents.newest": ("回到最新", "Back to the newest"),
    "documents.late": ("迟到", "late"),
    "documents.late_hint": (
        "到达时所属时间段已封存：保存但不参与判定",
        "Arrived after its bucket was sealed: stored, not judged",
    ),
    "documents.count": ("显示 {n} 条", "{n} shown"),
    "documents.live": ("自动更新", "updates by itself"),
    "documents.open_source": ("原文链接", "Source link"),
    "unscored.language": ("语言不支持", "language not covered"),
    "unscored.text_empty": ("没有可评分的文字", "nothing to score"),
    "unscored.scorer_error": ("打分出错", "scoring failed"),
    # system
    "system.title": ("系统", "System"),
    "system.problems": ("需要处理", "Needs attention"),
    "system.fine": ("没有发现问题", "No problems found"),
    "system.flow": ("数据流", "Flow"),
    "system.lag_records": ("未读记录", "Unread records"),
    "system.lag_time": ("水位滞后", "Watermark lag"),
    "system.rate": ("每秒写入", "Written per second"),
    "system.rate_hint": ("近一分钟", "over the last minute"),
    "system.unscored": ("未打分", "Unscored"),
    "system.unscored_hint": ("近一小时", "in the last hour"),
    "system.balance": ("记录账", "Record accounting"),
    "system.balanced": ("账平：每条记录都有去处", "Balanced: every record is accounted for"),
    "system.unbalanced": ("账不平：差 {n} 条", "Not balanced: {n} records unaccounted for"),
    "system.records": ("记录", "records"),
    "system.documents": ("文本", "documents"),
    "system.repeats": ("重复", "repeats"),
    "system.dead_letters": ("死信", "dead letters"),
    "system.tombstones": ("空记录", "tombstones"),
    "system.progress": ("进度记录", "progress records"),
    "system.late": ("其中迟到", "late"),
    "system.partitions": ("分区", "Partitions"),
    "system.partition": ("分区", "Partition"),
    "system.next_offset": ("已写到", "Next offset"),
    "system.lag": ("未读", "Lag"),
    "system.progress_at": ("进度", "Progress"),
    "system.processes": ("进程", "Processes"),
    "system.role": ("角色", "Role"),
    "system.host": ("主机", "Host"),
    "system.started": ("启动", "Started"),
    "system.seen": ("最近心跳", "Last seen"),
    "system.process_state": ("状态", "State"),
    "system.gone": ("失联", "gone"),
    "system.leader": ("主节点", "leader"),
    "system.jobs": ("定时任务", "Jobs"),
    "system.job": ("任务", "Job"),
    "system.last_run": ("上次运行", "Last run"),
    "system.took": ("用时", "Took"),
    "system.result": ("结果", "Result"),
    "system.ok": ("正常", "ok"),
    "system.failed": ("失败", "failed"),
    "system.running": ("运行中", "running"),
    "system.leases": ("租约", "Leases"),
    "system.lease": ("租约", "Lease"),
    "system.holder": ("持有者", "Holder"),
    "system.term": ("任期", "Term"),
    "system.expires": ("到期", "Expires"),
    "system.expired": ("已过期", "expired"),
    "system.sources": ("来源", "Sources"),
    "system.sources_all": ("全部 {n} 个来源", "all {n} sources"),
    "system.sources_most": ("共 {known} 个，列出 {n} 个", "{n} of {known}"),
    "system.silent_now": ("现在沉默的来源", "Sources that are silent now"),
    "system.sources_few": ("只看前 {n} 个", "only the first {n}"),
    "system.source": ("来源", "Source"),
    "system.last_text": ("最近文本", "Last text"),
    "system.last_day": ("近 24 小时", "Last 24 h"),
    "system.silent": ("沉默", "silent"),
    "system.muted": ("不告警", "muted"),
    "system.letters": ("最近的死信", "Latest dead letters"),
    "system.no_letters": ("没有死信", "No dead letters"),
    "system.reason": ("原因", "Reason"),
    "system.detail": ("说明", "Detail"),
    "system.place": ("位置", "Place"),
    "system.value": ("开头", "First bytes"),
    "system.when": ("时间", "When"),
    "system.size": ("大小", "Size"),
    "system.none": ("无", "none"),
    "letter.broken_json": ("JSON 损坏", "broken JSON"),
    "letter.invalid_utf8": ("不是 UTF-8", "invalid UTF-8"),
    "letter.wrong_type": ("类型不对", "wrong type"),
    "letter.text_missing": ("没有 text", "text missing"),
    "letter.text_empty": ("text 为空", "text empty"),
    "letter.unknown_kind": ("kind 不明", "unknown kind"),
    "letter.time_out_of_range": ("时间越界", "time out of range"),
    "letter.no_timestamp": ("没有时间戳", "no timestamp"),
    "letter.too_large": ("过大", "too large"),
    "letter.broken_progress": ("进度记录损坏", "broken progress record"),
    "letter.broken_replay_header": ("重放头损坏", "broken replay header"),
    "letter.broken_batch": ("批次无法解开", "batch cannot be unpacked"),
    # problems that the status report names
    "problem.empty": ("还没有读过任何记录", "Nothing has been read yet"),
    "problem.replaced": (
        "日志被替换：{reason}。先运行 barometer log show 查清原因，再决定是否 barometer log accept",
        "The log was replaced: {reason}. Find out why (barometer log show), then decide on barometer log accept",
    ),
    "problem.lag": ("积压 {records} 条未读", "Records waiting to be read: {records}"),
    "problem.stale": ("水位停在 {seconds} 秒前", "The watermark is {seconds} s behind"),
    "problem.clock": (
        "日志里的进度比现在早到 {seconds} 秒：到那时的文本都算迟到",
        "Progress in the log is {seconds} s ahead of the present: texts until then count as late",
    ),
    "problem.no_progress": ("有分区没有进度记录", "A partition has no progress record"),
    "problem.broker": ("{process}：Kafka 连不上（{state}）", "{process}: Kafka cannot be reached ({state})"),
    "problem.rights": ("Kafka 权限不足（{names}）：{reason}", "Missing Kafka permission ({names}): {reason}"),
    "problem.login": ("Kafka 登录被拒绝（{names}）：{reason}", "Kafka refuses the login ({names}): {reason}"),
    "problem.not_reading": ("{process} 没有读到已有的文本", "{process} is not reading the records that are there"),
    "problem.no_worker": ("没有处理进程在运行", "No worker is running"),
    "problem.database": (
        "数据库写不进去（{state}）：恢复之前不会有新数据和新告警",
        "The database accepts no writes ({state}): no new data and no new alerts until this is fixed",
    ),
    "problem.no_monitor": ("没有监测进程在运行", "No monitor is running"),
    "problem.silent": ("来源沉默：{names}", "Silent sources: {names}"),
    "problem.unscored": ("近一小时 {share} 未打分", "{share} of the last hour's texts are unscored"),
    "problem.unbalanced": (
        "记录账不平，差 {difference} 条",
        "Record accounting does not balance: {difference} records off",
    ),
    "problem.topic": (
        "Kafka 主题 {topic} 的设置 {name} 不对：{remedy}",
        "The setting {name} of the topic {topic} in Kafka is wrong: {remedy}",
    ),
    "problem.job": ("任务 {name} 失败：{message}", "Job {name} failed: {message}"),
    "problem.notifications": ("{failed} 条通知没有送达", "Notifications not delivered: {failed}"),
}
# One list of topics for models, messages and screens; an operator's own replaces names of it (`topics_file`).
add_topics(yaml.safe_load(resources.files("models").joinpath("topics.yaml").read_text("utf-8")))
