"""Words about keys, parts of the product and their jobs, in Chinese and English."""

from __future__ import annotations

SHELL_TEXTS: dict[str, tuple[str, str]] = {
    # keys
    "keys.title": ("键盘操作", "Keyboard"),
    "keys.open": ("键盘操作（?）", "Keyboard (?)"),
    "keys.go": ("到{page}", "Go to {page}"),
    "keys.next": ("下一条、上一条", "Next, previous item"),
    "keys.enter": ("打开选中的一条", "Open the selected item"),
    "keys.search": ("搜索", "Search"),
    "keys.theme": ("切换深浅色", "Switch dark or light"),
    "keys.chart": (
        "走势图上选前后一点，看原文（先用 Tab 选中图）",
        "On a chart: point before or after (Tab to the chart first)",
    ),
    "keys.close": ("关闭对话框", "Close a dialog"),
    "keys.help": ("打开这个说明", "Open this help"),
    "keys.then": ("接着", "then"),
    "keys.on": ("使用单键快捷键", "Use single-key shortcuts"),
    "keys.on_hint": (
        "用语音输入或误触时可以关掉；Tab 与方向键不受影响。",
        "Switch off when using speech input or to avoid slips; Tab and arrow keys still work.",
    ),
    # parts of the product
    "role_of.worker": ("处理进程", "worker"),
    "role_of.monitor": ("监测进程", "monitor"),
    "role_of.dashboard": ("看板", "dashboard"),
    "role_of.produce": ("导入", "produce"),
    "process.starting": ("启动中", "starting"),
    "process.running": ("运行中", "running"),
    "process.waiting": ("等待中", "waiting"),
    "process.stopping": ("停止中", "stopping"),
    "process.stopped": ("已停止", "stopped"),
    "process.not reading": ("读不到", "not reading"),
    "process.standing by": ("待命", "standing by"),
    "process.leading": ("主持中", "leading"),
    "job.seal": ("封存与检测", "Sealing and detection"),
    "job.alarms": ("检查自身", "Self-checks"),
    "job.rules": ("红线规则", "Red lines"),
    "job.outbox": ("发送通知", "Sending notifications"),
    "job.reminders": ("提醒与升级", "Reminders and escalation"),
    "job.search": ("编搜索索引", "Search index"),
    "job.fold": ("汇总旧时段", "Rolling up old buckets"),
    "job.retention": ("清理过期数据", "Deleting expired data"),
    "job.progress": ("写进度记录", "Progress records"),
    "job.heartbeat": ("心跳", "Heartbeat"),
    "job.dead-letter-relay": ("转发死信", "Dead-letter relay"),
    "job.topics": ("检查 Kafka 主题设置", "Kafka topic settings check"),
    "lease.leader": ("主持", "leader"),
    # what went wrong
    "broken.title": ("这个页面没能打开", "This page could not be opened"),
    "broken.database": (
        "数据库没有回答。告警照常检测和通知，只是这里看不到；稍后再试，或查看 dashboard 的日志。",
        "The database did not answer. Alerts are still detected and sent, they just cannot be shown: try again in a "
        "moment, or see the dashboard's log.",
    ),
    "broken.other": (
        "服务器出了错，已记入 dashboard 的日志。其它页面不受影响。",
        "A server error; it is in the dashboard's log. Other pages may still work.",
    ),
    "broken.again": ("再试一次", "Try again"),
    "broken.parts": (
        "自 {time} 起，服务器没能更新部分内容：以下可能不是现在的情况",
        "Since {time} the server could not refresh parts of this page: it may be out of date",
    ),
    # days
    "days.off": ("休", "off"),
    "days.working": ("班", "working"),
    # an alert's ways on
    "alert.to_texts": ("搜索这段时间的负面文本", "Search its negative texts"),
    "alert.rule_subject": ("红线：{rule}", "Red line: {rule}"),
    "alert.rule_sentence": ("命中红线规则“{rule}”：{words}", "Red line “{rule}”: {words}"),
    "alert.rule_more": ("，共 {n} 篇", ", {n} texts"),
}
