"""The one reader: what a file is, in which encoding, with which delimiter; and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opencc import OpenCC

from barometer.errors import BarometerError
from barometer.files import BadRow, FileRow, Form, Source
from models.data.own_sets import rehearsal

ROWS = [
    {"标题": "某公司公告", "内容": "公司称，重组终止；股价下跌", "n": "1"},
    {"标题": "银行回应", "内容": "网点排队是系统升级所致", "n": "2"},
]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def write(path: Path, data: str | bytes, encoding: str = "utf-8") -> str:
    path.write_bytes(data.encode(encoding) if isinstance(data, str) else data)
    return str(path)


def table(delimiter: str = ",", rows: list[dict[str, str]] = ROWS, **how: Any) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, **how)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def read(path: str, form: Form | None = None) -> tuple[str, list[dict[str, Any]]]:
    source = Source(path, form)
    rows = [r.fields for r in source if isinstance(r, FileRow) or pytest.fail(str(r))]
    return source.about, rows  # type: ignore[return-value]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.tsv"])
def test_delimiters_are_told(tmp_path: Path, delimiter: str, name: str) -> None:
    assert read(write(tmp_path / name, table(delimiter)))[1] == ROWS


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk"]
)
def test_encodings_are_told(tmp_path: Path, encoding: str) -> None:
    assert read(write(tmp_path / "a.csv", table(), encoding))[1] == ROWS
    assert read(write(tmp_path / "a.csv", gzip.compress(table().encode(encoding))))[1] == ROWS
    lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS)
    assert read(write(tmp_path / "a.jsonl", lines, encoding))[1] == ROWS


def test_latin_in_utf_16_and_a_stray_nul(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "text,n\nShares fell,1\n", "utf-16-le"))[1] == [
        {"text": "Shares fell", "n": "1"}
    ]
    assert read(write(tmp_path / "a.csv", "text,n\n\0,1\n"))[1] == [{"text": "\0", "n": "1"}]


def test_traditional_texts_in_big5(tmp_path: Path) -> None:
    rows = [{"標題": "銀行回應", "內容": "分行門口大排長龍，銀行說是系統升級，客戶的錢沒有問題"}]
    about, found = read(write(tmp_path / "a.csv", table(rows=rows), "big5"))
    assert found == rows
    assert "by evidence" in about


def test_chinese_that_is_valid_utf_8_by_chance(tmp_path: Path) -> None:
    data = "text\n全员知识\n".encode("gb18030")
    assert data.decode("utf-8") != "text\n全员知识\n"
    try:
        assert read(write(tmp_path / "a.csv", data))[1] == [{"text": "全员知识"}]
    except BarometerError as e:
        assert "name it with --encoding" in str(e)
    assert read(write(tmp_path / "a.csv", "text\nnaïve café\n"))[1] == [{"text": "naïve café"}]
    for text in ("Долги растут", "£5bn · naïve", "·", "§ 5 °C ± 1", "Größter Verlust – Őssz: £1", "שלום", "Ελλάδα"):
        assert read(write(tmp_path / "a.csv", f"text\n{text}\n"))[1] == [{"text": text}]


@pytest.mark.parametrize("encoding", ["gb18030", "big5hkscs"])
def test_texts_are_never_taken_for_another_encoding(tmp_path: Path, encoding: str) -> None:
    """One text a file: it is read as what it is, or refused; of ten together none is refused."""
    texts = [t.text.replace('"', "") for t in rehearsal() if t.lang == "zh"][:120]
    if encoding != "gb18030":
        texts = [OpenCC("s2t").convert(t) for t in texts]
    texts = [t for t in texts if t.encode(encoding, "ignore").decode(encoding) == t]
    assert len(texts) > 60
    for i, text in enumerate(texts):
        path = write(tmp_path / f"{i}.csv", f'text\n"{text}"\n', encoding)
        try:
            assert read(path)[1] == [{"text": text}]
        except BarometerError as e:
            assert "name it with --encoding" in str(e)
    for i in range(0, len(texts) - 10, 10):
        some = texts[i : i + 10]
        path = write(tmp_path / f"many{i}.csv", "text\n" + "".join(f'"{t}"\n' for t in some), encoding)
        assert [r["text"] for r in read(path)[1]] == some


def test_one_headline_in_gb18030(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "text\n储户取不出钱\n", "gbk")) == (
        "CSV, one column, GB18030 (by evidence)",
        [{"text": "储户取不出钱"}],
    )


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("text\n은행 창구에 사람들이 줄을 서서 돈을 찾고 있다\n주가가 크게 떨어졌다\n", "euc_kr"),
        ("text\n銀行の窓口に行列ができている。株価は下がった\nこれはニュースです\n", "shift_jis"),
        ("text\nДолги компании растут; акции падают\n", "cp1251"),
        ("text\nL’été dernier la société a déposé le bilan\nÉtrange été\n", "cp1252"),
    ],
)
def test_what_is_not_plainly_chinese_is_refused(tmp_path: Path, text: str, encoding: str) -> None:
    path = write(tmp_path / "a.csv", text, encoding)
    with pytest.raises(BarometerError, match="name it with --encoding"):
        list(Source(path))
    assert read(path, Form(encoding))[1][0]["text"] == text.split("\n")[1]


@pytest.mark.parametrize(
    ("said", "is_", "error"),
    [
        ("gb18030", "utf-8", "is UTF-8, not gb18030"),
        ("latin-1", "gb18030", "is GB18030, not latin-1"),
        ("latin-1", "utf-8", "is UTF-8"),
        ("utf-8", "utf-16", "begins with the mark of utf-16"),
        ("rot13", "utf-8", "unknown encoding"),
        ("x\0", "utf-8", "unknown"),
    ],
)
def test_an_encoding_that_cannot_be_is_refused(tmp_path: Path, said: str, is_: str, error: str) -> None:
    with pytest.raises(BarometerError, match=error):
        list(Source(write(tmp_path / "a.csv", table(), is_), Form(said)))


def test_a_stray_byte_makes_its_own_row_bad(tmp_path: Path) -> None:
    lines = [f"第{i}条，公司公告".encode() for i in range(20)]
    lines[7] += b"\xff"
    rows = list(Source(write(tmp_path / "a.csv", b"text\n" + b"\n".join(lines))))
    assert [i for i, r in enumerate(rows) if isinstance(r, BadRow)] == [7]


def test_other_forms_of_tables(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "sep=;\r\n" + table(";")))[1] == ROWS
    assert read(write(tmp_path / "b.csv", table("^")), Form.from_options(delimiter="^"))[1] == ROWS
    assert read(write(tmp_path / "c.csv", table(quoting=csv.QUOTE_ALL).replace("\r\n", "\r")))[1] == ROWS
    assert read(write(tmp_path / "d.csv", "text,a|b,c\nx;y,1|2,3\n"))[1] == [{"text": "x;y", "a|b": "1|2", "c": "3"}]
    assert read(write(tmp_path / "e.csv", "text,n\na,1\n,\n\nb,2\n"))[1] == [
        {"text": "a", "n": "1"},
        {"text": "b", "n": "2"},
    ]
    assert read(write(tmp_path / "f.csv", ',text\n0,"多行\n正文, 带逗号"\n'))[1] == [{"text": "多行\n正文, 带逗号"}]


def test_one_column_needs_no_quotes(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.txt", 'text\n涨了, 跌了; 又涨了\n"带\n换行, 和逗号"\n'))
    assert found[1] == [{"text": "涨了, 跌了; 又涨了"}, {"text": "带\n换行, 和逗号"}]


def test_quotes_escaped_by_a_backslash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,text\n1,"她说\\"没事\\"，走了"\n\\N,"a\\\\b"\n')
    with pytest.raises(BarometerError, match=r"a\.csv:2: broken CSV: .*--escape backslash"):
        list(Source(path))
    assert read(path, Form.from_options(escape="backslash"))[1] == [
        {"id": "1", "text": '她说"没事"，走了'},
        {"id": "", "text": "a\\b"},
    ]


@given(
    st.lists(st.tuples(TEXT.filter(lambda t: t.strip()), TEXT), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list, delimiter: str, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("t") / "a.csv"
    wanted = [{"text": a, "other": b} for a, b in rows]
    write(path, table(delimiter, wanted, quoting=csv.QUOTE_ALL), encoding)
    assert read(str(path))[1] == wanted


SMALL = st.text('ab公告"\\\n\u2028,]}', max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | SMALL,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(SMALL, x, max_size=3),
    max_leaves=4,
)
OBJECTS = st.lists(st.dictionaries(SMALL, JSON, min_size=1, max_size=3), min_size=1, max_size=4)


@given(OBJECTS, st.sampled_from([None, 1, "\t"]))
def test_any_array_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list, indent: Any) -> None:
    folder = tmp_path_factory.mktemp("j")
    for n, text in enumerate(
        [json.dumps(rows, indent=indent), "\n".join(json.dumps(r, indent=indent, ensure_ascii=False) for r in rows)]
    ):
        assert read(write(folder / f"{n}.json", text))[1] == rows


def test_an_array_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    rows = [{"n": i, "text": "公告" * (60_000 if i == 3 else 30)} for i in range(3_000)]
    path = write(tmp_path / "a.json", json.dumps(rows, ensure_ascii=False, indent=1))
    assert read(path)[1] == rows
    lines = [r.line for r in Source(path) if isinstance(r, FileRow)]
    assert lines[:3] == [2, 6, 10]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[{"text": "a"}, {"text": ', "not JSON"),
        ('[{"text": "a"}', "not closed"),
        ('[{"a": 1}] trailing', "follows the end"),
        ("[{'a': 1}]", "not JSON"),
    ],
)
def test_broken_arrays(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(BarometerError, match=rf"a\.json:1: .*{error}"):
        list(Source(write(tmp_path / "a.json", text)))


def test_names_do_not_count_where_the_content_says_more(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", '{"text": "a"}\n{"text": "b"}\n'))[1] == [{"text": "a"}, {"text": "b"}]
    assert read(write(tmp_path / "a.jsonl", '[{"text": "a"}]'))[1] == [{"text": "a"}]
    assert read(write(tmp_path / "a.json", '{"text": "a"}\n{"text": "b"}\n'))[1] == [{"text": "a"}, {"text": "b"}]
    assert read(write(tmp_path / "a.data", table()), Form(format="csv"))[1] == ROWS


def workbook(path: Path, rows: list[list[Any]], sheet: str = "数据") -> str:
    book = openpyxl.Workbook()
    book.active.title = sheet  # type: ignore[union-attr]
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    book.create_sheet("第二").append(["text"])
    book["第二"].append(["另一页"])
    book.save(path)
    return str(path)


def test_workbooks(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        [],
        ["text", "time", "n", "clock", None],
        ["公告", datetime(2023, 4, 7, 8, 5), 600519, time(8, 5)],
        ["b", None, 7.5],
    ]
    path = workbook(tmp_path / "a.xlsx", rows)
    wanted = [
        {"text": "公告", "time": "2023-04-07 08:05:00", "n": 600519, "clock": "08:05:00"},
        {"text": "b", "time": None, "n": 7.5, "clock": None},
    ]
    assert read(path) == ("Excel", wanted)
    assert read(path, Form(sheet="第二"))[1] == [{"text": "另一页"}]
    (tmp_path / "named.csv").write_bytes((tmp_path / "a.xlsx").read_bytes())
    assert read(str(tmp_path / "named.csv"))[1] == wanted
    with pytest.raises(BarometerError, match=r"no sheet 'x' .*数据, 第二"):
        list(Source(path, Form(sheet="x")))


def test_parquet(tmp_path: Path) -> None:
    rows = [
        {
            "text": "公告",
            "at": datetime(2023, 4, 7, 8, 5),
            "n": 7,
            "d": Decimal("7"),
            "x": float("nan"),
            "deep": {"a": [1]},
        }
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read(str(tmp_path / "a.parquet")) == (
        "Parquet",
        [{"text": "公告", "at": "2023-04-07 08:05:00", "n": 7, "d": 7, "x": None, "deep": {"a": [1]}}],
    )


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.csv", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "old workbook of Excel"),
        ("a.csv", b"<html><table><tr>", "is a page"),
        ("a.csv", b"PK\x03\x04rest", "zip archive"),
        ("a.xlsx", b"text\na\n", "no .xlsx file"),
        ("a.parquet", b"text\n", "no Parquet"),
        ("a.csv", b"BZh9xx", "bzip2"),
        ("a.xlsx", b"PK\x03\x04xl/broken", "cannot be read as .xlsx"),
        ("a.parquet", b"PAR1broken", "cannot be read as Parquet"),
        ("a.csv", "a,a\n1,2\n".encode("utf-16"), "twice in the header"),
    ],
)
def test_what_is_refused_as_what_it_is(tmp_path: Path, name: str, data: bytes, error: str) -> None:
    with pytest.raises(BarometerError, match=error):
        list(Source(write(tmp_path / name, data)))


@given(st.binary(max_size=300), st.sampled_from([".csv", ".json", ".jsonl", ".txt", ".xlsx", ".parquet", ".csv.gz"]))
def test_any_bytes_are_rows_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    path = write(tmp_path_factory.mktemp("any") / f"a{suffix}", data)
    try:
        for row in Source(path):
            assert isinstance(row, FileRow | BadRow)
    except BarometerError as e:
        assert "a." in str(e)


def test_options_are_checked() -> None:
    assert Form.from_options(delimiter="tab", escape="backslash") == Form(delimiter="\t", escape="\\")
    for wrong in ({"delimiter": "||"}, {"escape": '"'}, {"form": "xml"}):
        with pytest.raises(BarometerError, match="--"):
            Form.from_options(**wrong)


def test_a_pipe_is_not_waited_for() -> None:
    """The first row comes while the writer holds the pipe open."""
    code = (
        "import sys; from barometer.files import Source\nfor row in Source('-'): print(row.fields['text'], flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"text": "先来的"}\n'.encode())
        process.stdin.flush()
        assert process.stdout.readline().decode().strip() == "先来的"
        process.stdin.close()
        assert process.wait(20) == 0
