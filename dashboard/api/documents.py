"""Documents: searched as the Documents page does it, one with its copies and revisions, and files of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from barometer.records import Flag
from barometer.store.documents.copies import with_copies
from barometer.store.documents.detail import document_detail
from barometer.store.documents.listing import Text
from barometer.store.search.query import search_documents
from barometer.vocabulary import Kind, Sentiment, SentimentName, StatedKind
from dashboard.api.contract import Contract
from dashboard.api.errors import NotThere
from dashboard.api.shapes import Answer, Asked, Count, Probabilities, RangeName, Time
from dashboard.context import context
from dashboard.exports.document_export import FORMATS, documents
from dashboard.services.acts import Malformed
from dashboard.services.document_query import FLAGS, LONGEST, as_cursor, cursor, wanted

TAG = "Documents"
MAX_PAGE = 200
MAX_COPIES = 100


class Filters(Asked):
    """What the address line of the Documents page has."""

    q: str | None = Field(None, max_length=LONGEST, description='words, "phrases", -without; Chinese as it stands')
    series: str | None = Field(None, max_length=200, description="a topic: topic:real_estate")
    kind: Literal["all", StatedKind] | None = None
    sentiment: Literal[SentimentName, "unscored"] | None = None
    range: RangeName | None = Field(None, description="back from now")
    from_: str | None = Field(None, alias="from", max_length=40, description="epoch ms, or a date, inclusive")
    to: str | None = Field(None, max_length=40, description="epoch ms (exclusive), or a date (inclusive)")
    lang: str | None = Field(None, max_length=20)
    source: str | None = Field(None, max_length=500, description="the exact name")
    confidence: float | None = Field(None, ge=0, le=1, description="of the label, at least")
    flag: str | None = Field(None, json_schema_extra={"enum": list(FLAGS)}, description="what was odd about the record")

    def fields(self) -> dict[str, str | None]:
        """As the address line has them."""
        found = self.model_dump(include=set(Filters.model_fields), by_alias=True, exclude_none=True)
        return {name: str(value) for name, value in found.items()}


class Search(Filters):
    says = {"before": "cursor"}
    limit: int = Field(50, ge=1, le=MAX_PAGE)
    before: str | None = Field(None, max_length=40, description="the next of the page before this one")
    copies: bool = Field(False, description="count copies, and say who was first")


class DocumentRow(Answer):
    """One text of a list."""

    id: str = Field(description="names the document in paths")
    row_id: str
    observed_at: Time
    published_at: Time | None
    kind: str
    lang: str
    source: str | None
    title: str | None
    text: str
    cut: bool = Field(description="there is more of the text")
    url: str | None = Field(description="as the stream has it: not checked, not safe to open unseen")
    symbols: list[str]
    engagement: dict[str, int]
    sentiment: SentimentName | None = Field(description="null: unscored")
    probabilities: Probabilities | None
    topics: dict[str, float] = Field(description="those above their thresholds, with probabilities")
    model: str | None = Field(description="the model version that said so")
    unscored_reason: str | None
    late: bool
    flags: list[str]
    copies: Count | None = Field(description="of this text, itself included; null: not asked for")
    first_at: Time | None = Field(description="when the first copy was observed")
    first_source: str | None


class Found(Answer):
    documents: list[DocumentRow] = Field(description="newest first")
    next: str | None = Field(description="before of the next page; null: this was the last")
    complete: bool = Field(description="false: much waits to be indexed, and something older may be missing")


class Other(Answer):
    """Another document: a copy, or a revision."""

    id: str
    observed_at: Time
    source: str | None
    title: str | None
    url: str | None


class Said(Answer):
    """What one model version said."""

    model: str
    precision: str
    sentiment: SentimentName
    probabilities: Probabilities
    topics: dict[str, float]


class WholeDocument(DocumentRow):
    """All of one text."""

    external_id: str | None = Field(description="the id that its source gave it")
    extra: dict[str, Any] | None = Field(description="unknown fields of the message")
    stored_at: Time
    predictions: list[Said] = Field(description="of all model versions that read it, the newest first")
    copy_list: list[Other] = Field(description=f"other texts that are the same but for trifles, at most {MAX_COPIES}")
    revisions: list[Other] = Field(description="other texts that its source gave the same id, or the same address")


def register(contract: Contract) -> None:
    @contract.call("GET", "/documents", TAG, query=Search, answer=Found)
    def get_documents(query: Search) -> Any:
        """Search texts, newest first, with the filters of the Documents page."""
        ctx = context()
        before = None
        if query.before:
            before = cursor(query.before)
            if before is None:
                raise Malformed("cursor", field="before")
        with ctx.store.read() as c:
            asked = wanted(query.fields(), ctx.store.now_ms(c), ctx.zone)
            page = search_documents(c, ctx.store, asked, limit=query.limit, before=before)
            texts = with_copies(c, ctx.store, page.texts) if query.copies else page.texts
        rows = [as_row(t, query.copies) for t in texts]
        return Found(documents=rows, next=as_cursor(page.before) if page.before else None, complete=page.complete)

    @contract.call("GET", "/documents/<document_id>", TAG, answer=WholeDocument)
    def get_document(document_id: str) -> Any:
        """One text, with what every model said of it, its copies and its revisions."""
        key = cursor(document_id)
        ctx = context()
        with ctx.store.read() as c:
            found = document_detail(c, ctx.store, key, MAX_COPIES) if key else None
        if found is None:
            raise NotThere("no_document", id=document_id[:80])
        said = [
            Said(
                model=p.model,
                precision=p.precision,
                sentiment=_feeling(p.sentiment),
                topics=p.topics or {},
                probabilities=Probabilities(negative=p.p_negative, neutral=p.p_neutral, positive=p.p_positive),
            )
            for p in found.predictions
        ]
        return WholeDocument(
            **as_row(found.text, True).model_dump(),
            external_id=found.external_id,
            extra=found.extra,
            stored_at=found.stored_at,
            predictions=said,
            copy_list=[_other(o) for o in found.copies],
            revisions=[_other(o) for o in found.revisions],
        )

    @contract.call(
        "GET", "/export/documents.<any(csv, parquet, xlsx):form>", TAG, query=Filters, analysts=True, forms=FORMATS
    )
    def export_documents(form: str, query: Filters) -> Any:
        """What the filters match as a file, the newest first.

        At most as many as the setting export_rows says; the header X-Barometer-Cut is true where more would match.
        """
        return documents(form, query.fields())


def as_row(t: Text, counted: bool = True) -> DocumentRow:
    """``counted``: the text knows of its copies."""
    known = t.p_negative is not None and t.p_neutral is not None and t.p_positive is not None
    return DocumentRow(
        id=as_cursor((t.observed_at, t.row_id)),
        row_id=t.key,
        observed_at=t.observed_at,
        published_at=t.published_at,
        kind=Kind(t.kind).label,
        lang=t.lang,
        source=t.source,
        title=t.title,
        text=t.text,
        cut=t.cut,
        url=t.url,
        symbols=[str(x) for x in t.symbols],
        engagement=t.engagement,
        sentiment=None if t.sentiment is None else _feeling(t.sentiment),
        probabilities=Probabilities(negative=t.p_negative or 0, neutral=t.p_neutral or 0, positive=t.p_positive or 0)
        if known
        else None,
        topics=t.topics,
        model=t.model,
        unscored_reason=t.unscored_reason,
        late=t.late,
        flags=[f.name.lower() for f in Flag if f.name and t.flags & f],
        copies=t.copies if counted else None,
        first_at=t.first_at,
        first_source=t.first_source,
    )


def _feeling(value: int) -> SentimentName:
    name: Any = Sentiment(value).label
    return name  # type: ignore[no-any-return]


def _other(row: Any) -> Other:
    return Other(
        id=as_cursor((row.observed_at, row.row_id)),
        observed_at=row.observed_at,
        source=row.source,
        title=row.title,
        url=row.url,
    )
