"""How long a search takes with many documents in the store.

    python -m bench.search                                             # SQLite, 500,000 documents
    python -m bench.search --documents 5000000 --database postgresql://user@host/empty
    python -m bench.search --quick                                     # 20,000 documents, a minute

Fills an empty store over 90 days (texts of invented sentences whose words are as unevenly common as those of real
texts), indexes them as the leader does, then asks questions of every sort from one process, each a page of 40 with all
that the Documents page shows. ``--keep`` leaves a SQLite file where it is; a store that is filled already is used as it
is. Without ``--database``, PostgreSQL can be had with ``--postgres``: a server of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text

from barometer.records import fingerprint, pack_row
from barometer.settings import load_settings
from barometer.store import leases
from barometer.store.bulk import insert_rows
from barometer.store.documents.copies import with_copies
from barometer.store.documents.keys import Key
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.month_partitions import Months
from barometer.store.search.index import enqueue, index_waiting
from barometer.store.search.query import DocumentFilter, search_documents
from barometer.store.tables import Document, ModelVersion, Prediction, Series, SeriesDocument, Source
from bench.databases import empty_database

END = 1_764_000_000_000
DAYS = 90
CHUNK = 20_000
PAGE = 40
TOPICS = 20
SOURCES = 300
WORDS = 60_000


class Language:
    """Invented sentences: words by Zipf's law, Chinese ones of two to four characters, a tenth of the texts English."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        letters = [chr(0x4E00 + i) for i in range(3_000)]
        common = [1 / (i + 1) ** 0.8 for i in range(len(letters))]
        made = rng.choices(letters, common, k=WORDS * 3)
        self.words = ["".join(made[3 * i : 3 * i + rng.choice((2, 2, 2, 3))]) for i in range(WORDS)]
        syllables = ("ba", "ke", "lo", "mi", "ru", "ta", "sen", "der", "fin", "po", "gra", "ni")
        self.english = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(WORDS // 6)]
        self._weights = _cumulated(len(self.words))
        self._english_weights = _cumulated(len(self.english))

    def text(self, rng: random.Random) -> tuple[str, str]:
        """(text, language): comments of some 40 characters, news of some 300."""
        n = rng.choice((8, 12, 20, 60, 150))
        if rng.random() < 0.1:
            return " ".join(rng.choices(self.english, cum_weights=self._english_weights, k=n)), "en"
        drawn = rng.choices(self.words, cum_weights=self._weights, k=n)
        return "，".join("".join(drawn[i : i + 5]) for i in range(0, n, 5)), "zh"


def _cumulated(n: int) -> list[float]:
    out, total = [], 0.0
    for i in range(n):
        total += 1 / (i + 5)
        out.append(total)
    return out


def fill(store: Store, documents: int, language: Language) -> None:
    """Documents, predictions and memberships of the topics, oldest first, all queued for the index."""
    rng = random.Random(1)
    with store.write() as c:
        c.execute(insert(Source), [{"name": f"source-{i}", "created_at": 0, "muted": False} for i in range(SOURCES)])
        c.execute(insert(Series), [{"name": f"topic:t{i}", "judged": True, "trial": False} for i in range(TOPICS)])
        c.execute(
            insert(ModelVersion).values(
                name="bench", precision="int8", topics=[], state="seen", created_at=0, metrics={}
            )
        )
    begin, step = END - DAYS * 86_400_000, DAYS * 86_400_000 / documents
    Months(store).ensure(begin + d * 86_400_000 for d in range(DAYS + 1))
    often = [1 / (i + 1) for i in range(SOURCES)]
    for first in range(0, documents, CHUNK):
        rows: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for i in range(first, min(documents, first + CHUNK)):
            at, row = int(begin + i * step), pack_row(1, i % 8, i // 8)
            body, lang = language.text(rng)
            kind, sentiment, topic = rng.choice((1, 2, 2)), rng.choices((0, 1, 2), (3, 5, 2))[0], rng.randint(1, TOPICS)
            source = rng.choices(range(1, SOURCES + 1), often)[0]
            print_ = fingerprint(body)
            rows[0].append(
                (
                    at,
                    row,
                    row,
                    row,
                    print_,
                    kind,
                    source,
                    lang,
                    True,
                    False,
                    int(rng.random() < 0.02),
                    body,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    at,
                )
            )
            p = rng.uniform(0.4, 0.98)
            ps = [(1 - p) / 2] * 3
            ps[sentiment] = p
            rows[1].append((at, row, 1, sentiment, *ps, f'{{"t{topic - 1}": 0.9}}'))
            rows[2].append((topic, at, row, kind, sentiment, ps[0], print_, False))
        with store.write() as c:
            for table, lines in zip((Document, Prediction, SeriesDocument), rows, strict=True):
                insert_rows(c, store, table, lines)
            enqueue(c, store, [(r[0], r[1]) for r in rows[0]])


def index(store: Store) -> tuple[int, float]:
    """Index all that waits; returns how many texts and seconds that took."""
    lease = leases.acquire(store, leases.LEADER, "bench", 86_400)
    assert lease is not None
    started = time.perf_counter()
    n = index_waiting(store, lease, spend_seconds=86_400)
    return n, time.perf_counter() - started


@dataclass(frozen=True)
class Sort:
    """Questions of one sort."""

    name: str
    ask: Callable[[random.Random], DocumentFilter]
    pages: int = 1


def sorts(language: Language) -> list[Sort]:
    def common(rng: random.Random) -> str:
        return language.words[rng.randrange(40)]

    def rare(rng: random.Random) -> str:
        return language.words[rng.randrange(WORDS // 2, WORDS)]

    def middling(rng: random.Random) -> str:
        return language.words[rng.randrange(200, 5_000)]

    return [
        Sort("a common word", lambda r: DocumentFilter(common(r))),
        Sort("a middling word", lambda r: DocumentFilter(middling(r))),
        Sort("a rare word", lambda r: DocumentFilter(rare(r))),
        Sort("nothing found", lambda r: DocumentFilter("查无此词" + rare(r))),
        Sort("two common words", lambda r: DocumentFilter(f"{common(r)} {common(r)}")),
        Sort("common and middling", lambda r: DocumentFilter(f"{common(r)} {middling(r)}")),
        Sort("a phrase", lambda r: DocumentFilter(f'"{middling(r)}{common(r)}"')),
        Sort("one without another", lambda r: DocumentFilter(f"{middling(r)} -{common(r)}")),
        Sort("one character", lambda r: DocumentFilter(_character(r, language))),
        Sort("beginning of a word", lambda r: DocumentFilter(r.choice(language.english)[:4] + "*")),
        Sort(
            "a common word, a rare source",
            lambda r: DocumentFilter(common(r), source=f"source-{r.randrange(200, SOURCES)}"),
        ),
        Sort(
            "a middling word, negative, a topic",
            lambda r: DocumentFilter(middling(r), sentiment=0, topic=f"t{r.randrange(TOPICS)}"),
        ),
        Sort("a middling word, confident", lambda r: DocumentFilter(middling(r), min_confidence=0.95)),
        Sort(
            "no word, a rare source, negative",
            lambda r: DocumentFilter(source=f"source-{r.randrange(200, SOURCES)}", sentiment=0),
        ),
        Sort("no word, a topic, flagged", lambda r: DocumentFilter(topic=f"t{r.randrange(TOPICS)}", flags=1)),
        Sort(
            "a common word, long ago",
            lambda r: DocumentFilter(common(r), to_ms=END - r.randrange(30, 80) * 86_400_000),
        ),
        Sort("five pages of a middling word", lambda r: DocumentFilter(middling(r)), 5),
        Sort("no words, nothing chosen", lambda _: DocumentFilter()),
    ]


def _character(rng: random.Random, language: Language) -> str:
    return rng.choice(language.words)[0]


def measure(store: Store, sort: Sort, rounds: int) -> list[float]:
    """Seconds of each page."""
    rng, out = random.Random(sort.name), []
    for _ in range(rounds):
        wanted, before = sort.ask(rng), None
        for _page in range(sort.pages):
            started = time.perf_counter()
            before = one_page(store, wanted, before)
            out.append(time.perf_counter() - started)
            if before is None:
                break
    return out


def one_page(store: Store, wanted: DocumentFilter, before: Key | None) -> Key | None:
    with store.read() as c:
        page = search_documents(c, store, wanted, limit=PAGE, before=before)
        with_copies(c, store, page.texts)
    return page.before


@contextlib.contextmanager
def opened(args: argparse.Namespace) -> Iterator[Store]:
    with contextlib.ExitStack() as stack:
        kept = f"sqlite:///{args.keep}" if args.keep else args.database
        url = kept or stack.enter_context(empty_database("postgresql" if args.postgres else "sqlite"))
        store = open_store(load_settings(database_url=url), migrate=True)
        yield store
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--database", help="URL of an empty database, or of one that this filled before")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL server of its own")
    parser.add_argument("--keep", type=Path, help="SQLite file to use, and to leave")
    parser.add_argument("--rounds", type=int, default=40, help="questions of each sort")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    documents, rounds = (20_000, 10) if args.quick else (args.documents, args.rounds)
    language = Language(7)
    with opened(args) as store:
        with store.read() as c:
            have = int(c.execute(select(func.count()).select_from(Document)).scalar_one())
        if not have:
            started = time.perf_counter()
            fill(store, documents, language)
            took = time.perf_counter() - started
            print(f"filled {documents:,} documents in {took:,.0f} s", flush=True)
        n, took = index(store)
        if n:
            print(f"indexed {n:,} in {took:,.0f} s: {n / took:,.0f} a second", flush=True)
        if not store.is_sqlite:
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
                c.execute(text("VACUUM ANALYZE"))
        everything: list[float] = []
        print(f"{'':40} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
        for sort in sorts(language):
            took_ms = [1_000 * s for s in measure(store, sort, rounds)]
            everything += took_ms
            print(_line(sort.name, took_ms), flush=True)
        print(_line("all", everything))


def _line(name: str, ms: list[float]) -> str:
    p95 = statistics.quantiles(ms, n=20)[-1] if len(ms) > 1 else ms[0]
    return f"{name:40} {statistics.median(ms):8.1f} {p95:8.1f} {max(ms):8.1f}"


if __name__ == "__main__":
    main()
