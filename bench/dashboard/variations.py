"""The same request with other things asked for: other series, ranges, alerts, words. What is varied is what people vary
by clicking and typing; everything else stays as the browser sent it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import select

from barometer.store import tables as t
from barometer.store.engine import Store
from bench.dashboard.stream import DAY, Stream, draw

RANGES = ("6h", "24h", "7d", "30d", "90d")
KINDS = (None, None, "news", "comment")
FEELINGS = (None, None, "negative", "neutral", "positive", "unscored")


@dataclass(frozen=True)
class Cases:
    """What there is to ask for in a store."""

    stream: Stream
    firing: tuple[int, ...]
    open: tuple[int, ...]
    past: tuple[int, ...]
    now: int
    documents_: tuple[str, ...] = ()
    """Names of some scored texts, as the API has them."""
    silences: tuple[int, ...] = ()
    labelled: tuple[int, ...] = ()
    """Ids of texts that people label."""

    def series(self, r: Random) -> str:
        return r.choice(self.stream.names[1:])

    def alert(self, r: Random) -> int:
        return r.choice(self.open if r.random() < 0.5 else self.past)

    def words(self, r: Random) -> str:
        """What is typed into a search box: common words, rare ones, two together, phrases, none that is there."""
        common = ("违约", "业绩", "兑付", "立案", "公司", "减持")
        names = self.stream.words.words
        one = r.choice(common)
        some = names[draw(r, self.stream._name_weights)]
        rare = names[r.randrange(30_000, len(names))]
        return r.choice(
            (
                one,
                f"{one} {r.choice(common)}",
                some,
                rare,
                f"{one} {some}",
                f'"{some}{one}"',
                f"{some} -{one}",
                f"{r.choice(self.stream.firms)} {one}",
                "查无此词",
                "default bonds",
            )
        )

    def overview(self, r: Random) -> dict[str, str | None]:
        by_text = r.random() < 0.2
        return {
            "range": r.choice((None, "6h") if by_text else (None, *RANGES)),
            "kind": r.choice(KINDS),
            "group": r.choice((None, None, "topic", "symbol")),
            "source": r.choice(self.stream.sources[:60]) if by_text and r.random() < 0.7 else None,
            "lang": r.choice(("zh", "en")) if by_text else None,
            "view": r.choice((None, "heat")),
            "find": r.choice((None, None, "60", "银行")),
        }

    def one_series(self, r: Random, name: str | None = None) -> dict[str, Any]:
        return {
            "name": name or self.series(r),
            "range": r.choice((None, *RANGES)),
            "kind": r.choice((None, "news", "comment", "apart")),
            "voices": r.choice((None, None, "independent")),
            "at": None,
            "from": None,
            "to": None,
        }

    def alerts(self, r: Random) -> dict[str, Any]:
        return {
            "state": r.choice((None, "firing", "acknowledged", "resolved", "all")),
            "severity": r.choice((None, None, "warning", "critical")),
            "level": r.choice((None, None, "major")),
            "owner": r.choice((None, None, "user-1", "none")),
            "series": r.choice((None, None, None, self.series(r))),
            "sort": r.choice((None, "-started", "due", "level")),
        }

    def documents(self, r: Random, searched: float = 0.5) -> dict[str, Any]:
        """Filters of the Documents page."""
        topic = r.choice([n for n in self.stream.names if n.startswith("topic:")])
        return {
            "q": self.words(r) if r.random() < searched else None,
            "series": r.choice((None, None, topic)),
            "kind": r.choice(KINDS),
            "sentiment": r.choice(FEELINGS),
            "range": r.choice((None, None, "24h", "7d")),
            "source": r.choice((None, None, r.choice(self.stream.sources))),
            "lang": r.choice((None, None, "en")),
            "confidence": r.choice((None, None, "0.8")),
            "copies": r.choice((None, "all")),
            "before": None,
        }


def cases(store: Store, stream: Stream) -> Cases:
    with store.read() as c:
        found = c.execute(select(t.Alert.id, t.Alert.state)).all()
        now = store.now_ms(c)
        d = t.Document
        scored = select(d.observed_at, d.row_id).where(d.scored).order_by(d.observed_at.desc()).limit(200)
        latest = c.execute(scored).all()
        silences = tuple(c.execute(select(t.Silence.id)).scalars())
        labelled = tuple(c.execute(select(t.LabelText.id).limit(200)).scalars())
    by: Callable[[str], tuple[int, ...]] = lambda state: tuple(i for i, s in found if s == state)  # noqa: E731
    return Cases(
        stream,
        by("firing"),
        (*by("firing"), *by("acknowledged")),
        by("resolved"),
        now,
        tuple(f"{at}-{row}" for at, row in latest),
        silences,
        labelled,
    )


def address(r: Random, c: Cases, page: str) -> tuple[str, str, str]:
    """(page, path, query string) of one way to look at a page; ``page`` is its path or pattern."""
    path, query = page, {}
    if page.startswith("/series/<"):
        query = c.one_series(r)
        path = f"/series/{quote(str(query.pop('name')), safe=':')}"
    elif "<" in page:
        path = f"{page.split('<', maxsplit=1)[0]}{c.alert(r)}"
    elif page == "/overview":
        query = c.overview(r)
    elif page == "/alerts":
        query = c.alerts(r)
    elif page == "/documents":
        query = c.documents(r, 0.0)
    given = {k: v for k, v in query.items() if v}
    return page, path, "?" + urlencode(given) if given else ""


def varied(payload: dict[str, Any], r: Random, c: Cases) -> dict[str, Any]:
    """A payload of a callback, asking for something else."""
    p = deepcopy(payload)
    for part in _flat([*p.get("inputs", []), *p.get("state", [])]):
        id_ = part.get("id")
        value = part.get("value")
        if not isinstance(id_, str):
            continue
        if id_ == "series-query":
            part["value"] = {**(value or {}), **c.one_series(r)}
        elif id_ == "series-point" and value is not None:
            part["value"] = (c.now - r.randrange(DAY)) // 600_000 * 600_000
        elif id_ == "overview-query":
            part["value"] = {**(value or {}), **c.overview(r)}
        elif id_ == "alerts-query":
            part["value"] = {**(value or {}), **c.alerts(r)}
        elif id_ == "documents-query":
            part["value"] = {**(value or {}), **{k: x for k, x in c.documents(r).items() if k in (value or {})}}
        elif id_ == "alert-id":
            part["value"] = c.alert(r)
        elif id_ == "why-asked" and c.documents_:
            part["value"] = {**(value or {}), "key": r.choice(c.documents_)}
        elif id_ == "annotate-text" and c.labelled:
            part["value"] = r.choice(c.labelled)
        elif id_ == "alerts-picked" and value:
            part["value"] = r.sample(c.open, min(2, len(c.open)))
        elif id_.endswith("-version"):
            part["value"] = None  # something changed: the whole answer is made and sent
        elif id_ == "tick" and isinstance(value, int):
            part["value"] = value + r.randrange(1, 10_000)
    return p


def _flat(parts: list[Any]) -> list[dict[str, Any]]:
    return [x for part in parts for x in (part if isinstance(part, list) else [part])]


def navigated(payload: dict[str, Any], path: str, search: str) -> dict[str, Any]:
    """The payload of the callback that makes a page, for another address."""
    p = deepcopy(payload)
    for part in _flat([*p.get("inputs", []), *p.get("state", [])]):
        if part.get("id") == "_pages_location":
            part["value"] = {"pathname": path, "search": search}.get(part["property"], part.get("value"))
    return p


def call(r: Random, c: Cases, method: str, pattern: str) -> tuple[str, bytes | None] | None:
    """One way to make an API call: path with query, body. None: it is not known how to."""
    query: dict[str, Any] = {}
    path = pattern
    if "<name>" in path:
        path = path.replace("<name>", quote(c.series(r), safe=":"))
    if "alert_id>" in path:
        path = path.replace("<int:alert_id>", str(c.alert(r)))
    if "document_id>" in path and c.documents_:
        path = path.replace("<document_id>", r.choice(c.documents_))
    if "text_id>" in path and c.labelled:
        path = path.replace("<int:text_id>", str(r.choice(c.labelled)))
    if "silence_id>" in path and c.silences:
        path = path.replace("<int:silence_id>", str(r.choice(c.silences)))
    tail = pattern.rsplit("/", 1)[-1]
    if method == "GET":
        if tail in ("series", "buckets"):
            query = {"range": r.choice(RANGES), "kind": r.choice(("all", "news", "comment"))}
        if tail == "buckets" and r.random() < 0.2:
            query["points"] = 5_000
        if tail == "alerts":
            query = {k: v for k, v in c.alerts(r).items() if k not in ("sort",)} | {"limit": r.choice((None, 200))}
        if tail == "documents":
            query = c.documents(r) | {"copies": r.choice((None, "true", "false"))}
        if tail in ("texts", "documents") and "<" in pattern:
            query = {"range": r.choice(RANGES[:3])}
        if "<" in path:
            return None
        given = {k: v for k, v in query.items() if v is not None}
        return path + ("?" + urlencode(given) if given else ""), None
    body = _BODIES.get(tail)
    if "<" in path or body is None:
        return None
    return path, json.dumps(body(r, c)).encode()


_BODIES: dict[str, Callable[[Random, Cases], dict[str, Any]]] = {
    "acknowledge": lambda _r, _c: {"comment": "在看"},
    "assign": lambda r, _c: {"to": f"user-{4 * r.randrange(12) + 1}"},
    "comment": lambda r, _c: {"comment": f"已核实 {r.randrange(10**6)}"},
    "snooze": lambda _r, c: {"until": c.now + 3_600_000, "comment": "等公告"},
    "wake": lambda _r, _c: {},
    "silence": lambda _r, c: {"scope": "series", "until": c.now + 3_600_000, "comment": "演练"},
    "unsilence": lambda _r, _c: {},
    "level": lambda r, _c: {"level": r.choice(("ordinary", "major")), "comment": "影响有限"},
    "step": lambda _r, _c: {"step": "assess", "note": "属实"},
    "resolve": lambda _r, _c: {"resolution": "known", "comment": "已处置"},
    "silences": lambda r, c: {"series": c.series(r), "until": c.now + 3_600_000, "comment": "演练"},
    "expire": lambda _r, _c: {"comment": "演练结束"},
    "score": lambda r, c: {"texts": [{"text": f"{r.choice(c.stream.firms)}{c.words(r)}，别抄底", "kind": "comment"}]},
    "next": lambda r, _c: {"queue": r.choice(("random", "active"))},
    "annotations": lambda r, c: {"document": r.choice(c.documents_), "sentiment": r.choice(FEELINGS[2:5])},
    "undo": lambda _r, _c: {},
    "false-alarm": lambda _r, _c: {"reason": "copies", "comment": "都是转载"},
}
