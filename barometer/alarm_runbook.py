"""Runbook for alarms about Barometer itself: what each means and what to do, in both languages, for messages and
screens."""

from __future__ import annotations

from collections.abc import Mapping

from barometer.vocabulary import Lang

# code: (what it means, what to do), for the alarms about Barometer itself
RUNBOOK: Mapping[str, Mapping[Lang, tuple[str, tuple[str, ...]]]] = {
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
    "no_leader": {
        "zh": (
            "没有 monitor 在主持：时间桶不封存，不会有新告警（本通知由看门程序代发）",
            (
                "到运行 monitor 的机器上看进程在不在：在的话看它最后几行日志，不在就启动 barometer monitor。",
                "它等数据库：先恢复数据库，monitor 会自己接上。",
                "恢复后从停下的地方接着封存，一条不漏；期间没有告警不代表平静。",
            ),
        ),
        "en": (
            "No monitor leads: buckets are not sealed and no alert can come (a watchdog tells you this)",
            (
                "Is a monitor running on its machine? Read the last lines of its log; start one: `barometer monitor`.",
                "It waits for the database? Bring that back; the monitor goes on by itself.",
                "It then seals from where it stopped and leaves nothing out. Until then, no alerts does not mean calm.",
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
    "silent_sources": {
        "zh": (
            "多个来源一起沉默：这些来源上的负面现在看不到",
            (
                "一起停的多半是同一个原因：采集主机、网络、代理、账号。先看采集端和它的日志。",
                "告警里列出了是哪些来源；恢复的会自动从名单里去掉，全部恢复后告警自动结束。",
                "确实都停更了：点“解决”，结论选“已知事项”，这些来源不会再提醒。",
            ),
        ),
        "en": (
            "Many sources fell silent together: what is said there is not seen now",
            (
                "What stops together has one cause: the machine that collects, the network, a proxy, an account.",
                "The alarm lists the sources; those that come back leave the list, and with the last one it ends.",
                "They have really stopped: press Resolve, already known; you are not told of these again.",
            ),
        ),
    },
    "source_names": {
        "zh": (
            "来源名称太多：新名称的文本都记在 (other sources) 下",
            (
                "看最近的来源名称：是真的来源，还是有人把用户名、网址或随机字符写进了 source 字段？",
                "在采集端改正；谁能往主题里写，也查一下。原来的名称保留在文本的附加字段里。",
            ),
        ),
        "en": (
            "Too many names of sources: texts under new ones count as (other sources)",
            (
                "Look at the latest names: are they sources, or does somebody write users, addresses or noise there?",
                "Mend it where they are collected, and see who may write into the topic. Names stay with their texts.",
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
    "broker": {
        "zh": (
            "Kafka 连不上：没有文本读进来，也不会有新告警",
            (
                "看 Kafka 的 broker 是否在运行、网络是否通；运行 barometer status 看是哪些进程连不上。",
                "地址、证书或密码改过？核对 kafka_bootstrap 和 kafka_options。",
                "恢复后各进程自己接着读，不丢也不重；期间没有告警不代表平静。",
            ),
        ),
        "en": (
            "Kafka cannot be reached: no text is read, so no alert can come",
            (
                "Are Kafka's brokers running, and is the network up? `barometer status` says who cannot reach them.",
                "Has an address, a certificate or a password changed? Check kafka_bootstrap and kafka_options.",
                "All go on by themselves afterwards, nothing lost and nothing twice. Until then, no alerts does not "
                "mean calm.",
            ),
        ),
    },
    "rights": {
        "zh": (
            "Kafka 权限不足：缺的权限写在告警里，在补上之前读不到文本或写不了进度，不会有新告警",
            (
                "告警里写明了用户（principal）、操作和资源：请 Kafka 管理员按 docs/kafka.md 的权限表补上。",
                "刚改过 ACL？核对主题名、消费组名和用户名是否一致。",
                "补上后不用重启：几秒钟内各进程自己接着做，不丢也不重。",
            ),
        ),
        "en": (
            "A right on Kafka is missing: the alarm says which. Until it is given, texts are not read or progress is "
            "not written, and no alert can come",
            (
                "The alarm names the principal, the operation and the resource: ask Kafka's administrator for it; the "
                "table of rights is in docs/kafka.md.",
                "Were the ACLs changed? Compare the names of topics, of the consumer group and of the user.",
                "Nothing need be restarted: all go on by themselves within seconds, nothing lost and nothing twice.",
            ),
        ),
    },
    "login": {
        "zh": (
            "Kafka 登录被拒绝：用户名、密码或令牌不对，在改正之前读不到文本，不会有新告警",
            (
                "密码换过？把新密码写进 BAROMETER_KAFKA_PASSWORD_FILE 指的文件，几秒钟内自动采用，不用重启。",
                "用 OAUTHBEARER：看告警说的是令牌服务器拒绝还是 Kafka 拒绝，核对 kafka_oauth_* 设置。",
                "账号可能已被目录锁定：请管理员解锁。重试的间隔会拉长到五分钟，不会反复撞锁。",
            ),
        ),
        "en": (
            "Kafka refuses our login: user, password or token are wrong. Until that is mended no text is read, and no "
            "alert can come",
            (
                "Was the password changed? Put the new one into the file that BAROMETER_KAFKA_PASSWORD_FILE names: it "
                "is taken up within seconds, without a restart.",
                "OAUTHBEARER: the alarm says whether the token server or Kafka refuses; check the kafka_oauth_* "
                "settings.",
                "A directory may have locked the account: have it unlocked. Tries are up to five minutes apart, so "
                "that they do not lock it again.",
            ),
        ),
    },
    "not_reading": {
        "zh": (
            "处理进程在运行，却没有读到已有的文本：不会有新告警",
            (
                "运行 barometer status 看原因；进程会自己换一个新的消费者重新入组，通常一分钟内恢复。",
                "没有恢复：重启这个处理进程，读取从停下处继续，不会丢。",
                "反复出现：看 Kafka 的日志和配额（quota），以及处理进程的日志。",
            ),
        ),
        "en": (
            "A worker runs but does not read what is there, so no alert can come",
            (
                "`barometer status` says why. The worker takes a new consumer and joins the group again by itself, "
                "usually within a minute.",
                "It does not recover: restart that worker; it goes on where it stopped and loses nothing.",
                "It comes again: look at Kafka's log, at quotas, and at the worker's log.",
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
    "clock": {
        "zh": (
            "时钟出错：日志里的进度跑到了现在之前，到那时为止的文本都算迟到，不进封存的时间桶，也不会引发告警",
            (
                "校准写进度的机器（monitor 或 barometer produce）的时钟，检查 NTP。",
                "已写的进度收不回来：等时间追上就恢复正常，期间请人工盯看板，迟到的文本照样存了下来。",
            ),
        ),
        "en": (
            "A wrong clock: progress in the log is ahead of the present. Texts until then count as late: they are in "
            "no sealed bucket and raise no alert",
            (
                "Set right the clock of the machine that writes progress (the monitor's, or barometer produce's): NTP.",
                "What is written cannot be taken back. All is as before once time has caught up; until then watch the "
                "dashboard yourself: late texts are stored all the same.",
            ),
        ),
    },
    "sealing": {
        "zh": (
            "封存停滞：文本读到了，时间桶却没有封存，不会有新告警",
            (
                "运行 barometer status，看 seal 任务有没有报错、谁是 leader。",
                "刚导入完大量历史数据：等它追平。否则看 monitor 的日志；数据库慢也会这样。",
                "重启 monitor 是安全的：从停下处继续，结果不变。",
            ),
        ),
        "en": (
            "Sealing is behind: texts are read, but no bucket is sealed, so no alert can come",
            (
                "Run `barometer status`: does the job seal report an error, and who leads?",
                "A large archive has just been imported: wait. Else look at the monitor's log; a slow database does "
                "this too.",
                "Restarting the monitor is safe: it goes on where it stopped, with the same results.",
            ),
        ),
    },
    "database": {
        "zh": (
            "数据库写不进去：磁盘满、只读或连不上；文本没有丢，但在恢复之前不会封存，也不会有新告警",
            (
                "运行 barometer status，看是 full（满）、read-only（只读）还是 away（连不上）。",
                "满：给数据库的磁盘腾出空间（PostgreSQL 还要看 pg_wal 所在的盘），或缩短 retention_days。",
                "只读：查磁盘有无错误、是否连到了备库、default_transaction_read_only 是否被打开。",
                "修好后不用重启：各进程自己接着写，不丢也不重。",
            ),
        ),
        "en": (
            "The database takes no writes: full, read-only or away. No text is lost, but nothing is sealed and no "
            "alert can come until it is mended",
            (
                "Run `barometer status`: is it full, read-only or away?",
                "Full: make room on its disk (on PostgreSQL also where pg_wal is), or lower retention_days.",
                "Read-only: look for errors of the disk, a replica behind the address, default_transaction_read_only.",
                "Nothing need be restarted: all go on by themselves, nothing lost and nothing twice.",
            ),
        ),
    },
    "notify_file": {
        "zh": (
            "通知配置文件有误：新文件没有生效，仍按上一份正确的文件通知",
            (
                "按报错里的文件、字段改正；几秒钟后自动重新读取，不用重启。",
                "改好后用 barometer alerts route-test 和 barometer notify test 检查。",
            ),
        ),
        "en": (
            "The file of receivers is wrong: people are told by the last one that was right",
            (
                "Put right the field that the error names; the file is read again within seconds, without a restart.",
                "Then try `barometer alerts route-test` and `barometer notify test`.",
            ),
        ),
    },
    "rules_file": {
        "zh": (
            "红线规则文件有误：新文件没有生效，仍按上一份正确的规则检查",
            (
                "按报错里的文件、字段改正；几秒钟后自动重新读取，不用重启。",
                "想停用所有红线，要写明 rules: []，空文件不算。",
                "改好后用 barometer rules test 检查。",
            ),
        ),
        "en": (
            "The file of red lines is wrong: texts are held against the last one that was right",
            (
                "Put right the field that the error names; the file is read again within seconds, without a restart.",
                "To switch all red lines off, say so: `rules: []`. An empty file is taken for a mistake.",
                "Then try `barometer rules test`.",
            ),
        ),
    },
    "channel": {
        "zh": (
            "通知渠道发送失败：{object} 收不到通知",
            (
                "看报错：令牌、签名、地址不对，就改通知配置文件或密钥；对方限流或故障，等它恢复。",
                "改好后运行 barometer notify test 接收人，确认能收到。",
                "期间没有送达的通知，在告警页上逐条标为失败，请人工转告。",
            ),
        ),
        "en": (
            "A channel does not deliver: {object} is not told",
            (
                "Read the error. Token, signature or address: mend the file of receivers or the secret. Their rate or "
                "their fault: wait.",
                "Then run `barometer notify test RECEIVER` and see that it arrives.",
                "What was not delivered meanwhile is marked as failed on its alert: tell people yourself.",
            ),
        ),
    },
    "topic": {
        "zh": (
            "Kafka 主题的设置不对：{object}；文本会丢失、被拒收或时间记错",
            (
                "运行 barometer status：它写出现在的值、需要的值和修改命令。",
                "由 Kafka 管理员执行该命令；一分钟内 monitor 会重新检查，不用重启。",
                "改好之前已被删除或记错时间的文本不会自己恢复：从来源重新导入。",
            ),
        ),
        "en": (
            "A setting of the topic in Kafka is wrong: {object}. Texts are lost, refused or dated wrongly",
            (
                "Run `barometer status`: it gives the value found, the value needed and the command that sets it.",
                "Have Kafka's administrator run that command; the monitor looks again within a minute, no restart.",
                "What was deleted or dated wrongly until then does not come back by itself: import it again.",
            ),
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
_ALIASES = {"log_replaced": "replaced", "missing_ticks": "stale"}
_OTHER: Mapping[Lang, tuple[str, tuple[str, ...]]] = {
    "zh": ("系统告警：{object}", ("运行 barometer status，按它列出的问题逐项处理。",)),
    "en": ("System alarm: {object}", ("Run `barometer status` and go through the problems that it lists.",)),
}


def runbook_entry(fingerprint: str, lang: Lang) -> tuple[str, tuple[str, ...]]:
    """What a system alarm means and what to do, by its fingerprint (``system:lag``, ``system:silent:SOURCE``)."""
    _, _, rest = fingerprint.partition(":")
    code, _, thing = rest.partition(":")
    known = RUNBOOK.get(_ALIASES.get(code, code))
    what, steps = (known or _OTHER)[lang]
    return what.replace("{object}", " ".join((thing if known else rest).split())), steps
