"""What the stream brings is data: payloads in every field, looked at on every page that shows them, and taken home."""

from __future__ import annotations

import csv
import io
import time

from openpyxl import load_workbook
from playwright.sync_api import expect
from sqlalchemy import insert, select, update

from barometer.records import fingerprint, pack_row
from barometer.store.tables import Alert, Document, Prediction, SearchQueue, Series, SeriesDocument, Source
from tests.browser.test_dashboard import Enter, Site, browser, enter, site  # fixtures

__all__ = ["browser", "enter", "site"]
PAYLOADS = (
    "<script>window.injected = 1</script>",
    "<img src=https://evil.example/x onerror='window.injected = 1'>",
    "</p></article><svg onload=window.injected=1><iframe src=javascript:parent.injected=1>",
    "<style>#main { display: none }</style></style><link rel=stylesheet href=https://evil.example/x.css>",
    "[click](javascript:window.injected=1) ![](https://evil.example/pixel.png) **bold** <b>bold</b>",
    "{{7*7}} ${7*7} {%raw%} %(x)s {0.__class__}",
    '{"props": {"dangerouslySetInnerHTML": {"__html": "<b>x</b>"}}, "type": "Div", "namespace": "x"}',
    '=HYPERLINK("https://evil.example", "x")',
    "+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "-2+3\u202egnp.exe",
    "' OR 1=1; DROP TABLE documents; --",
    'expression(alert(1)); background: url("javascript:window.injected=1")',
)
URLS = (
    "javascript:window.injected=1", " javascript:window.injected=1", "data:text/html,<script>1</script>",
    "https://user@news.example/'\"><script>window.injected=1</script>", "//evil.example", "vbscript:x", "http://",
)  # fmt: skip
STRANGE = "script, iframe, svg[onload], img, b:not(.rise-bar b), style, link"


def poison(site: Site) -> None:
    """Each payload as text, title, source, url and symbol of a negative text of a series, and as evidence of an alert.
    (Of an author only a hash is kept.)"""
    now = time.time_ns() // 1_000_000
    with site.store.write() as c:
        series = c.execute(select(Series.id).where(Series.name == "topic:real_estate")).scalar_one()
        evidence = []
        for i, payload in enumerate(PAYLOADS):
            row, at, url = pack_row(1, 2, 500 + i), now - 1_000 * i, URLS[i % len(URLS)]
            source = c.execute(
                insert(Source).values(name=payload[:100], created_at=now, muted=False).returning(Source.id)
            ).scalar_one()
            c.execute(
                insert(Document).values(
                    observed_at=at, row_id=row, doc_key=70_000 + i, text_hash=70_000 + i, kind=1, lang="zh",
                    fingerprint=fingerprint(payload), scored=True, late=False, flags=0, stored_at=at, url=url,
                    text=payload, title=payload, source_id=source, symbols=[payload], engagement={"reads": 10},
                )
            )  # fmt: skip
            c.execute(
                insert(Prediction).values(observed_at=at, row_id=row, model_id=1, sentiment=0, p_negative=0.99,
                                          p_neutral=0.006, p_positive=0.004, topics={"real_estate": 0.9})
            )  # fmt: skip
            c.execute(
                insert(SeriesDocument).values(series_id=series, observed_at=at, row_id=row, kind=1, sentiment=0,
                                              p_negative=0.99, fingerprint=fingerprint(payload), late=False)
            )  # fmt: skip
            c.execute(insert(SearchQueue).values(observed_at=at, row_id=row))
            evidence.append({"row_id": str(row), "observed_at": at, "kind": 1, "source": payload, "title": payload,
                             "text": payload, "url": url, "p_negative": 0.99, "copies": 2})  # fmt: skip
        told = {"expected_share": 0.28, "sources": [{"source": p, "negative": 3} for p in PAYLOADS],
                "hits": [{"rule": PAYLOADS[1], "words": list(PAYLOADS[:3])}], "summary": PAYLOADS[0]}  # fmt: skip
        c.execute(update(Alert).where(Alert.id == 1).values(evidence=evidence, explanation=told))


def test_nothing_of_the_stream_runs_or_is_markup(site: Site, enter: Enter) -> None:
    poison(site)
    page = enter(site)
    pages = {
        "/": 0, "/overview?source=%3Cscript%3E": 0, "/documents?kind=news&range=1h": len(PAYLOADS), "/alerts": 0,
        "/documents?q=%3Cimg+src%3Dx+onerror%3Dwindow.injected%3D1%3E": 0, "/system": 4,
        "/series/topic:real_estate?range=6h": len(PAYLOADS), "/alerts/1": len(PAYLOADS),
    }  # fmt: skip
    for path, least in pages.items():
        page.goto(site.url + path)
        page.wait_for_selector("#main h1")
        page.wait_for_load_state("networkidle")
        for _ in range(100):  # texts may come after the rest of a page
            shown = page.locator("#main").evaluate("e => e.textContent")
            here = [p for p in PAYLOADS if p in shown]
            if len(here) >= least:
                break
            page.wait_for_timeout(100)
        assert len(here) >= least, (path, set(PAYLOADS) - set(here))
        assert page.evaluate("window.injected === undefined"), path
        assert page.locator("#main").locator(STRANGE).count() == 0, path
        links = page.locator("a[href]").evaluate_all("all => all.map(a => a.protocol)")
        assert set(links) <= {"http:", "https:"}, path
        outside = page.locator("a[target=_blank]").evaluate_all("all => all.map(a => [a.host, a.rel])")
        assert all("noopener" in rel and "nofollow" in rel for _, rel in outside), path
        assert not [host for host, _ in outside if "evil" in host], path
        expect(page.locator("#main")).to_be_visible()
    files = {
        form: page.request.get(f"{site.url}/export/documents.{form}?kind=news&range=1h") for form in ("csv", "xlsx")
    }
    rows = list(csv.reader(io.StringIO(files["csv"].body().decode("utf-8-sig"))))
    cells = [cell for row in rows for cell in row]
    assert not [x for x in cells if x.startswith(("=", "+", "@", "\t"))]
    assert "'" + PAYLOADS[7] in cells
    sheet = load_workbook(io.BytesIO(files["xlsx"].body())).worksheets[0]
    kinds = {cell.data_type for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)}
    assert kinds == {"s"}, "no cell is a formula"
    assert PAYLOADS[7] in {cell.value for row in sheet.iter_rows() for cell in row}
