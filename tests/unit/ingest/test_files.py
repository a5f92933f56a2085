"""Reading files: formats, where a row stands, what is wrong with it, and how it becomes a message."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.errors import BarometerError
from barometer.files import BadRow, FileRow, Form, read_rows
from barometer.times import parse_time
from ingest.producing.archive import Archive
from ingest.producing.files import Columns, Records, parse_pairs
from ingest.producing.produce import Record

SHANGHAI = ZoneInfo("Asia/Shanghai")


def write(path: Path, data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return str(path)


def good(path: str, **kw: Any) -> list[tuple[int, dict[str, Any]]]:
    out = []
    for row in read_rows(path, **kw):
        assert isinstance(row, FileRow), row
        out.append((row.line, row.fields))
    return out


def message(
    fields: dict[str, Any], columns: Columns | None = None, tabular: bool = True
) -> tuple[int | None, dict[str, Any]]:
    record = Records(columns or Columns()).record(FileRow("f", 7, fields, tabular))
    assert record.where == "f:7"
    return record.time_ms, json.loads(record.value)


# --- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_csv(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, '\ufefftext, kind\n"第一行\n第二行",news\n\n"a ""b"", c",comment\r\n')
    assert good(path) == [
        (2, {"text": "第一行\n第二行", "kind": "news"}),
        (5, {"text": 'a "b", c', "kind": "comment"}),
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson"])
def test_jsonl(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, '{"text": "一", "n": 1}\n\n{"text": "\\ud800"}\n')
    assert good(path) == [(1, {"text": "一", "n": 1}), (3, {"text": "\ud800"})]


@pytest.mark.parametrize("data", ['{"text": "一"}\n{"text": "二"}\n', "text\n一\n二\n"])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    assert [fields for _, fields in good("-")] == [{"text": "一"}, {"text": "二"}]


def test_empty_files(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.csv.gz"):
        assert good(write(tmp_path / name, "")) == []
    assert good(write(tmp_path / "b.csv", "text,kind\n")) == []


def test_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\n银行挤兑\n".encode("gb18030"))
    assert good(path, form=Form("gb18030")) == [(2, {"text": "银行挤兑"})]
    [row] = read_rows(path, Form("utf-8"))
    assert isinstance(row, BadRow)
    assert f"{path}:2: not in the expected encoding; name it with --encoding" in str(row)
    with pytest.raises(BarometerError, match="unknown encoding 'klingon'"):
        list(read_rows(path, Form("klingon")))


def test_how_far_reading_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", "text\n" + "涨\n" * 5_000)
    seen: list[int] = []
    assert len(list(read_rows(path, on_bytes=seen.append))) == 5_000
    assert sum(seen) == Path(path).stat().st_size


# --- what is wrong with files and rows -------------------------------------------------------------------------------


def test_rows_that_do_not_fit_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,kind\na,news\nb\nc,news,x\nd,news\n")
    rows = list(read_rows(path))
    assert [str(r) for r in rows if isinstance(r, BadRow)] == [
        f"{path}:3: 1 cells, but the header has 2",
        f"{path}:4: 3 cells, but the header has 2",
    ]
    assert [r.fields["text"] for r in rows if isinstance(r, FileRow)] == ["a", "d"]


def test_jsonl_lines_that_are_none(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", b'{"text": "a"}\n{broken\n[1]\n{"text": "\xff"}\n' + b"[" * 100_000 + b'\n{"n": 2}\n'
    )
    rows = list(read_rows(path))
    bad = [str(r) for r in rows if isinstance(r, BadRow)]
    assert [b.split(":")[-2 if "JSON:" in b else -1].strip()[:12] for b in bad][1] == "not a JSON o"
    assert [b.removeprefix(path)[:3] for b in bad] == [":2:", ":3:", ":4:", ":5:"]
    assert [r.line for r in rows if isinstance(r, FileRow)] == [1, 6]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.csv", 'text,kind\n"never closed,news\nb,news\n', ":2: broken CSV"),
        ("a.csv", "text,text\na,b\n", ":1: columns that come twice in the header: text"),
        ("a.csv", "text,\xff\n".encode("latin-1"), "not UTF-8, nor plainly GB18030 or Big5"),
        ("a.doc", "text\n", "not a format that can be read; use .csv"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, data: str | bytes, error: str) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(BarometerError, match=error):
        list(read_rows(path))


def test_a_gzip_file_that_is_damaged(tmp_path: Path) -> None:
    whole = gzip.compress(("text\n" + "".join(f"第{i}条\n" for i in range(20_000))).encode())
    for damaged in (whole[: len(whole) // 2], whole[:2000] + b"\0" * 100 + whole[2100:], b"no gzip at all"):
        path = tmp_path / "a.csv.gz"
        path.write_bytes(damaged)
        with pytest.raises(BarometerError, match=r"a\.csv\.gz: cannot be read"):
            list(read_rows(str(path)))
    with pytest.raises(BarometerError, match="cannot be read: No such file"):
        list(read_rows(str(tmp_path / "none.csv")))


# --- from row to message ---------------------------------------------------------------------------------------------


def test_columns_are_renamed_and_unknown_ones_kept() -> None:
    columns = Columns({"text": "content", "source": "site", "origin": "site"}, {"kind": "comment"})
    assert message({"content": "a", "site": "s", "floor": "3", "empty": ""}, columns)[1] == {
        "text": "a", "source": "s", "origin": "s", "floor": "3", "kind": "comment",
    }  # fmt: skip


def test_constants_fill_what_is_empty() -> None:
    columns = Columns(constants={"kind": "comment", "symbols": "600000|000001"})
    assert message({"text": "a", "kind": ""}, columns)[1]["kind"] == "comment"
    assert message({"text": "a", "kind": "news"}, columns)[1]["kind"] == "news"
    assert message({"text": "a", "kind": None}, columns, False)[1]["kind"] == "comment"
    assert message({"text": "a"}, columns)[1]["symbols"] == ["600000", "000001"]


def test_cells_become_what_the_message_wants() -> None:
    got = message(
        {
            "text": "", "symbols": " 600000 |000001,, 300750", "engagement.reads": "12", "engagement.likes": "1.5",
            "published_at": "2024-05-06 09:30", "url": "",
        },
        Columns(zone=SHANGHAI),
    )[1]  # fmt: skip
    assert got == {
        "text": "",
        "symbols": ["600000", "000001", "300750"],
        "engagement": {"reads": 12, "likes": "1.5"},
        "published_at": "2024-05-06T09:30:00+08:00",
    }


@pytest.mark.parametrize("value", ["2024-05-06T09:30:00Z", "2024-05-06T09:30:00-05:00", "昨天", "05/06/2024"])
def test_published_at_is_left_as_it_is(value: str) -> None:
    assert message({"published_at": value}, Columns(zone=SHANGHAI))[1] == {"published_at": value}


def test_jsonl_values_keep_their_types() -> None:
    fields = {"text": "5", "symbols": ["a"], "engagement": {"reads": 1}, "n": None, "deep": [{"x": 1.5}], "big": 2**70}
    assert message(fields, tabular=False)[1] == fields


def test_mapping_errors() -> None:
    with pytest.raises(BarometerError, match=r"f:7: no column 'body' \(--map\); there are: text, kind") as e:
        message({"text": "a", "kind": "news"}, Columns({"title": "body"}))
    assert not isinstance(e.value, BadRow)  # wrong for the whole file
    assert message({"text": "a"}, Columns({"title": "body"}), False)[1] == {"text": "a"}
    with pytest.raises(BarometerError, match="two columns for text; give one another name: --map other_text=text"):
        message({"content": "a", "text": "b"}, Columns({"text": "content"}))
    both = Columns({"text": "content", "other_text": "text"})
    assert message({"content": "a", "text": "b"}, both)[1] == {"text": "a", "other_text": "b"}
    with pytest.raises(BarometerError, match=r"no column 'when' \(--time-column\)"):
        message({"text": "a"}, Columns(time_column="when"))


def test_time_column() -> None:
    columns = Columns({"published_at": "time"}, time_column="time", zone=SHANGHAI)
    assert message({"text": "a", "time": "2024-05-06"}, columns) == (
        1_714_924_800_000, {"text": "a", "published_at": "2024-05-06T00:00:00+08:00"},
    )  # fmt: skip
    for value in ("", "yesterday", None, [], "2024-13-01"):
        with pytest.raises(BadRow, match="f:7: time is no time"):
            message({"text": "a", "time": value}, columns)
    with pytest.raises(BadRow, match="before 1970"):
        message({"text": "a", "time": "1900-01-01"}, columns)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-06T01:30:00Z", 1_714_959_000_000),
        ("2024-05-06T09:30:00+08:00", 1_714_959_000_000),
        ("2024-05-06T09:30:00", 1_714_959_000_000),
        (" 2024-05-06 09:30 ", 1_714_959_000_000),
        ("2024-05-06 09:30:00.250", 1_714_959_000_250),
        ("2024-05-06", 1_714_924_800_000),
        (1_714_959_000, 1_714_959_000_000),
        ("1714959000", 1_714_959_000_000),
        (1_714_959_000_123, 1_714_959_000_123),
        ("2024", None),
        (12, None),
        (True, None),
        (1_714_959_000.5, 1_714_959_000_500),
        ("１７１４９５９０００", 1_714_959_000_000),
    ],
)
def test_parse_time(value: Any, expected: int | None) -> None:
    assert parse_time(value, SHANGHAI) == expected


@given(st.text() | st.integers() | st.datetimes().map(str) | st.none() | st.floats() | st.lists(st.integers()))
def test_parse_time_never_raises(value: Any) -> None:
    for zone in (SHANGHAI, ZoneInfo("America/New_York")):
        found = parse_time(value, zone)
        assert found is None or isinstance(found, int)
        Records(Columns(zone=zone)).record(FileRow("f", 1, {"published_at": str(value)}, True))


def test_pairs() -> None:
    assert parse_pairs("--map", ["text = content", "a=b=c"]) == {"text": "content", "a": "b=c"}
    for wrong in (["text"], ["=x"], ["x="], ["a=1", "a=2"]):
        with pytest.raises(BarometerError, match="--map"):
            parse_pairs("--map", wrong)


# --- sorting ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), max_size=40))
def test_an_archive_sorts_and_keeps_the_order_of_equals(times: list[int]) -> None:
    records = [Record(t, b"k", str(i).encode(), f"f:{i}") for i, t in enumerate(times)]
    with Archive() as archive:
        archive.add(records[:10])
        archive.add(records[10:])
        assert list(archive) == sorted(records, key=lambda r: r.time_ms or 0)
        assert len(archive) == len(times)
        assert (archive.first, archive.last) == ((min(times), max(times)) if times else (None, None))
        assert archive.count_before(25) == sum(t < 25 for t in times)
