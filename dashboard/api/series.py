"""Series: what is watched, with counts, points and the texts behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection

from barometer.standing import Way
from barometer.store.documents.listing import texts_behind
from barometer.store.series.points import points
from barometer.store.series.totals import SeriesRow, find_series, list_series, totals
from barometer.vocabulary import Sentiment, SentimentName, StatedKind
from dashboard.api.contract import Contract
from dashboard.api.documents import DocumentRow, as_row
from dashboard.api.errors import NotThere
from dashboard.api.shapes import Answer, Asked, Count, RangeName, Time
from dashboard.context import KIND_FILTERS, Period, context, period
from dashboard.services.acts import Malformed
from dashboard.services.measure import standing

TAG = "Series"
MAX_POINTS = 5_000
MAX_TEXTS = 200
LATEST = (1 << 53) - 1
KindFilter = Literal["all", StatedKind]


class SeriesQuery(Asked):
    range: RangeName | None = Field(None, description="back from now; an archive's ends with its data")
    kind: KindFilter = Field("all", description="all, or one of both kinds, which are judged apart")


class SeriesTotals(Answer):
    """One series over the range."""

    name: str = Field(description="topic:real_estate and the like; all: everything")
    judged: bool = Field(description="the detector watches it")
    trial: bool = Field(description="shown, but never pages anybody")
    total: Count
    negative: Count
    unscored: Count
    share: float | None = Field(description="negative share of the scored texts")
    judged_negative: Count = Field(description="in sealed buckets that had an expectation")
    expected_negative: float | None = Field(description="over the same buckets")
    standing: Way = Field(description="the screens' judgement of these two; unknown: nothing was expected yet")
    ratio: float | None = Field(description="judged_negative / expected_negative, where there are enough to say")
    ratio_low: float | None = Field(description="99 % interval of the ratio")
    ratio_high: float | None


class SeriesList(Answer):
    from_ms: Time
    to_ms: Time
    series: list[SeriesTotals]


class Stretch(SeriesQuery):
    says = {"from": "span", "to": "span"}
    from_: int | None = Field(None, alias="from", ge=0, le=LATEST, description="epoch ms; with to, in place of range")
    to: int | None = Field(None, ge=0, le=LATEST, description="epoch ms, exclusive")


class BucketsQuery(Stretch):
    points: int = Field(400, ge=1, le=MAX_POINTS, description="at most so many: wider points for longer stretches")


class Bucket(Answer):
    """One or several neighbouring buckets."""

    start: Time
    end: Time
    total: Count
    negative: Count
    neutral: Count
    positive: Count
    unscored: Count
    share: float | None
    independent: Count | None = Field(description="scored texts that are no copies; null while the bucket is open")
    independent_negative: Count | None
    judged_negative: Count = Field(description="of the buckets that had an expectation")
    expected_negative: float | None = Field(description="null where nothing was expected, or not judged yet")
    band_low: float | None
    band_high: float | None
    score: float | None = Field(description="of the detector: -log10 p, the highest of the buckets")
    alert: bool
    outage: bool
    sealed: bool = Field(description="false: it is still filling")
    models: list[int]


class Buckets(Answer):
    series: str
    width_ms: int = Field(description="of one point")
    buckets: list[Bucket]


class BehindQuery(Stretch):
    sentiment: SentimentName | None = None
    limit: int = Field(50, ge=1, le=MAX_TEXTS)


class Behind(Answer):
    series: str
    from_ms: Time
    to_ms: Time
    documents: list[DocumentRow] = Field(description="the most negative first; copies folded into the earliest")


def register(contract: Contract) -> None:
    @contract.call("GET", "/series", TAG, query=SeriesQuery, answer=SeriesList)
    def get_series(query: SeriesQuery) -> Any:
        """All series with their totals."""
        with context().store.read() as c:
            span = period(c, query.range)
            counts = totals(c, span.from_ms, span.to_ms, 1, KIND_FILTERS[query.kind])
            out = []
            for s in list_series(c):
                n = counts.get(s.id)
                found = standing(n)
                out.append(
                    SeriesTotals(
                        name=s.name,
                        judged=s.judged,
                        trial=s.trial,
                        total=n.total if n else 0,
                        negative=n.negative if n else 0,
                        unscored=n.unscored if n else 0,
                        share=n.share if n else None,
                        judged_negative=n.judged_negative if n else 0,
                        expected_negative=n.expected_negative if n else None,
                        standing=found.way,
                        ratio=found.ratio,
                        ratio_low=found.low,
                        ratio_high=found.high,
                    )
                )
        return SeriesList(from_ms=span.from_ms, to_ms=span.to_ms, series=out)

    @contract.call("GET", "/series/<name>/buckets", TAG, query=BucketsQuery, answer=Buckets)
    def get_buckets(name: str, query: BucketsQuery) -> Any:
        """The points of one series, with what was expected of them."""
        ctx = context()
        with ctx.store.read() as c:
            row = _found(c, name)
            begin, end = _span(query, period(c, query.range))
            width = ctx.settings.bucket_ms
            made, step = points(c, row.id, begin // width * width, end, _kinds(query), width, query.points)
        out = [Bucket(**asdict(p) | {"share": p.share, "models": sorted(p.models)}) for p in made]
        return Buckets(series=name, width_ms=step, buckets=out)

    @contract.call("GET", "/series/<name>/documents", TAG, query=BehindQuery, answer=Behind)
    def get_series_documents(name: str, query: BehindQuery) -> Any:
        """The texts behind a stretch of a series."""
        ctx = context()
        with ctx.store.read() as c:
            row = _found(c, name)
            begin, end = _span(query, period(c, query.range))
            feeling = int(Sentiment[query.sentiment.upper()]) if query.sentiment else None
            texts = texts_behind(c, row.id, begin, end, _kinds(query), query.limit, feeling)
        return Behind(series=name, from_ms=begin, to_ms=end, documents=[as_row(t) for t in texts])


def _found(c: Connection, name: str) -> SeriesRow:
    row = find_series(c, name)
    if row is None:
        raise NotThere("no_series", name=name[:200])
    return row


def _kinds(query: SeriesQuery) -> Sequence[int]:
    return KIND_FILTERS[query.kind]


def _span(query: Stretch, span: Period) -> tuple[int, int]:
    begin = span.from_ms if query.from_ is None else query.from_
    end = span.to_ms if query.to is None else query.to
    if begin >= end:
        raise Malformed("span", field="from")
    return begin, end
