"""The demo's story: a calm past, and a live stretch in which one topic turns bad while another is merely loud.

The texts are YAML beside this file, all written for Barometer. The stream made of them is a function of the texts,
the span and the seed alone: the same call gives the same messages, in time order.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from barometer.errors import BarometerError
from barometer.vocabulary import LANGUAGES, SENTIMENTS, STATED_KINDS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PAST_MS = 10 * DAY_MS
"""A detector that starts cold is silent for a day and wary for a week: the past must be longer than both."""
LIVE_MS = 3 * HOUR_MS

PARTS = ("calm", "bad_turn", "neutral_burst")

TURNING_TOPIC = "real_estate"
LOUD_TOPIC = "financial_sector"

ZONE = ZoneInfo("Asia/Shanghai")
# Texts in each local hour relative to the day's mean: asleep at night, busiest while the exchanges are open.
_HOURS: tuple[float, ...] = (0.3, 0.2, 0.15, 0.15, 0.15, 0.25, 0.5, 0.9, 1.5, 2.1, 2.2, 1.7)
_HOURS += (1.2, 1.8, 2.1, 1.7, 1.3, 1.0, 0.9, 1.0, 1.0, 0.9, 0.7, 0.4)
_DAY_MEAN = sum(_HOURS) / 24
_WEEKEND = 0.5
_SHARES = {TURNING_TOPIC: 0.24, LOUD_TOPIC: 0.22}
"""Share of the stream drawn from texts on these topics; the other topics divide the rest."""
_NEGATIVE = 0.15
"""Share of negative texts on every topic while nothing is wrong: no day is without complaints."""
_OUTLETS = ("财经早报", "华东财讯", "证券晚邮", "每日金融", "快讯社", "南方商闻", "金桥资讯", "市场日记", "晨星快报")

Message = dict[str, Any]
Timed = tuple[int, Message]


@dataclass(frozen=True, slots=True)
class DemoText:
    """One text with the labels that a careful reader gives it (design: negative news is bad for its main subject,
    a negative comment complains, warns or is bearish)."""

    part: str
    text: str
    kind: str
    lang: str
    topics: tuple[str, ...]
    sentiment: str
    source: str
    title: str | None = None
    symbols: tuple[str, ...] = ()


@cache
def _load(part: str) -> tuple[DemoText, ...]:
    pattern = "calm_" if part == "calm" else f"{part}.yaml"
    folder = files("app.demo.texts")
    names = sorted(p.name for p in folder.iterdir() if p.name.endswith(".yaml") and p.name.startswith(pattern))
    texts: list[DemoText] = []
    for name in names:
        try:
            entries = yaml.safe_load((folder / name).read_text("utf-8"))
        except yaml.YAMLError as e:
            raise BarometerError(f"{name}: not valid YAML: {e}") from e
        if not isinstance(entries, list):
            raise BarometerError(f"{name}: expected a list of texts at the top")
        texts += (_entry(part, f"{name}, entry {i}", entry) for i, entry in enumerate(entries, 1))
    if not texts:
        raise BarometerError(f"the demo's texts {pattern}* are missing from {folder}; reinstall Barometer")
    return tuple(texts)


def _entry(part: str, where: str, entry: Any) -> DemoText:
    try:
        text = DemoText(part, **{**entry, "topics": tuple(entry["topics"]), "symbols": tuple(entry.get("symbols", ()))})
    except (TypeError, KeyError) as e:
        raise BarometerError(f"{where}: a field is missing or unknown: {e}") from e
    for field, allowed in (("kind", STATED_KINDS), ("lang", LANGUAGES), ("sentiment", SENTIMENTS)):
        if getattr(text, field) not in allowed:
            raise BarometerError(f"{where}: {field} is {getattr(text, field)!r}; use one of {', '.join(allowed)}")
    if not text.text.strip() or not text.topics or not text.source:
        raise BarometerError(f"{where}: text, topics and source must not be empty")
    return text


def load_texts(part: str) -> list[DemoText]:
    """The texts of one part: ``calm``, ``bad_turn`` (in the order of its story), ``neutral_burst``; ``all`` for all.

    Raises:
        BarometerError: no such part, or a file is malformed; names the file and the entry.
    """
    if part == "all":
        return [text for each in PARTS for text in _load(each)]
    if part not in PARTS:
        raise BarometerError(f"no part {part!r} in the demo's texts; use one of {', '.join(PARTS)}, all")
    return list(_load(part))


def activity(time_ms: int) -> float:
    """How busy the stream is at a time, relative to a working day's mean (night low, market hours high)."""
    local = datetime.fromtimestamp(time_ms / 1000, ZONE)
    hour = local.hour + local.minute / 60 - 0.5  # an hour's figure holds at its middle
    before = math.floor(hour)
    share = hour - before
    level = _HOURS[before % 24] * (1 - share) + _HOURS[(before + 1) % 24] * share
    return level / _DAY_MEAN * (_WEEKEND if local.weekday() >= 5 else 1.0)


def past(texts: Sequence[DemoText], start_ms: int, end_ms: int, seed: int, *, per_day: float = 470) -> Iterator[Timed]:
    """A calm past as (observed_at in epoch ms, message), in time order.

    A Poisson process whose rate follows :func:`activity`; ``per_day`` is the expected number of texts on a working day.
    The texts of part ``calm`` recur: comments as further voices, news under a URL of its own each time.

    Raises:
        ValueError: there are no calm texts, or the span is empty.
    """
    return _calm(texts, start_ms, end_ms, f"{seed}:past", per_day)


def live(
    texts: Sequence[DemoText],
    start_ms: int,
    end_ms: int,
    seed: int,
    bad_turn: bool = True,
    *,
    per_day: float = 470,
    turn_at: float = 0.35,
    burst_at: float = 0.45,
    burst_copies: int = 120,
    burst_minutes: float = 20,
) -> Iterator[Timed]:
    """The stretch that people watch, as (observed_at in epoch ms, message), in time order.

    The calm goes on. From ``turn_at`` of the stretch the texts of part ``bad_turn`` come, each once, ever faster at
    first and then steadily to the end. From ``burst_at`` the first text of part ``neutral_burst`` is reposted
    ``burst_copies`` times within ``burst_minutes``: loud, and no reason for an alarm. Without ``bad_turn`` the bad
    texts are left out and every other message stays the same.

    Raises:
        ValueError: a part has no texts, or the span is empty.
    """
    loud = _part(texts, "neutral_burst", start_ms, end_ms)[0]
    streams = [
        _calm(texts, start_ms, end_ms, f"{seed}:live", per_day),
        _burst(loud, start_ms, end_ms, f"{seed}:burst", burst_at, burst_copies, burst_minutes),
    ]
    if bad_turn:
        turn = _part(texts, "bad_turn", start_ms, end_ms)
        streams.append(_turn(turn, start_ms, end_ms, f"{seed}:turn", turn_at))
    return heapq.merge(*streams, key=lambda timed: timed[0])


def _part(texts: Sequence[DemoText], part: str, start_ms: int, end_ms: int) -> list[DemoText]:
    if end_ms <= start_ms:
        raise ValueError(f"the span is empty: it ends at {end_ms} and starts at {start_ms}")
    chosen = [text for text in texts if text.part == part]
    if not chosen:
        raise ValueError(f"no texts of part {part!r} were given; load_texts('all') has every part")
    return chosen


class _Pool:
    """Draws texts at random, but none that was among the last half drawn, as nobody reposts the same thing at once."""

    def __init__(self, texts: list[DemoText]) -> None:
        self.texts = texts
        self.recent: deque[int] = deque(maxlen=len(texts) // 2)

    def draw(self, rng: Random) -> DemoText:
        while (i := rng.randrange(len(self.texts))) in self.recent:
            pass
        self.recent.append(i)
        return self.texts[i]


def _calm(texts: Sequence[DemoText], start_ms: int, end_ms: int, stream: str, per_day: float) -> Iterator[Timed]:
    chosen = _part(texts, "calm", start_ms, end_ms)
    groups: dict[tuple[str, bool], list[DemoText]] = {}
    for text in chosen:
        topic = next((t for t in _SHARES if t in text.topics), "")
        groups.setdefault((topic, text.sentiment == "negative"), []).append(text)
    weights = [
        _SHARES.get(topic, 1 - sum(_SHARES.values())) * (_NEGATIVE if negative else 1 - _NEGATIVE)
        for topic, negative in groups
    ]
    pools = [_Pool(members) for members in groups.values()]
    return _calm_stream(pools, weights, start_ms, end_ms, Random(stream), stream, per_day)


def _calm_stream(
    pools: list[_Pool], weights: list[float], start_ms: int, end_ms: int, rng: Random, stream: str, per_day: float
) -> Iterator[Timed]:
    # Thinning (Lewis and Shedler 1979): draw at the highest rate, keep in proportion to the rate of the moment.
    highest = max(_HOURS) / _DAY_MEAN
    number, time = 0, float(start_ms)
    while (time := time + rng.expovariate(per_day * highest / DAY_MS)) < end_ms:
        if rng.random() * highest < activity(int(time)):
            number += 1
            text = rng.choices(pools, weights)[0].draw(rng)
            yield int(time), _message(text, int(time), stream, number, rng)


def _turn(chosen: list[DemoText], start_ms: int, end_ms: int, stream: str, turn_at: float) -> Iterator[Timed]:
    rng = Random(stream)
    begin = start_ms + turn_at * (end_ms - start_ms)
    ramp = 0.2  # the rate rises from nothing over this share of the time that is left, then stays
    for number, text in enumerate(chosen, 1):
        mass = (number - rng.random()) / len(chosen) * (1 - ramp / 2)
        share = math.sqrt(2 * ramp * mass) if mass < ramp / 2 else mass + ramp / 2
        time = min(int(begin + share * (end_ms - begin)), end_ms - 1)
        yield time, _message(text, time, stream, number, rng, attention=4)


def _burst(
    text: DemoText,
    start_ms: int,
    end_ms: int,
    stream: str,
    burst_at: float,
    copies: int,
    minutes: float,
) -> Iterator[Timed]:
    rng = Random(stream)
    begin = start_ms + burst_at * (end_ms - start_ms)
    width = min(minutes * 60_000, end_ms - 1 - begin)
    for number, share in enumerate(sorted(rng.betavariate(1.5, 2.5) for _ in range(copies)), 1):
        time = int(begin + share * width)
        yield time, _message(text, time, stream, number, rng, source=rng.choice(_OUTLETS))


def _message(
    text: DemoText,
    observed_at: int,
    stream: str,
    number: int,
    rng: Random,
    *,
    source: str | None = None,
    attention: float = 1,
) -> Message:
    """The record as a collector would send it."""
    news = text.kind == "news"
    zone = ZONE if text.lang == "zh" else UTC
    delay = timedelta(seconds=rng.uniform(10, 240) if news else rng.uniform(1, 20))
    published = datetime.fromtimestamp(observed_at / 1000, zone) - delay
    message: Message = {"text": text.text, "kind": text.kind, "source": source or text.source, "lang": text.lang}
    if text.title:
        message["title"] = text.title
    message["published_at"] = published.isoformat(timespec="seconds")
    if text.symbols:
        message["symbols"] = list(text.symbols)
    if news:
        # A URL of its own: identity is source + URL, and a story that comes again is not a repeat.
        slug = f"{published:%Y%m%d}/{stream.replace(':', '-')}-{observed_at}-{number}"
        message["url"] = f"https://news.example/{slug}"
    else:
        message["author"] = f"user{rng.randrange(10_000):04d}"
    if rng.random() < 0.4:
        reads = int(rng.lognormvariate(5, 1.2) * attention)
        counts = {"reads": reads, "likes": rng.randint(0, reads // 20), "replies": rng.randint(0, reads // 40)}
        message["engagement"] = counts | ({"reposts": rng.randint(0, reads // 30)} if news else {})
    return message
