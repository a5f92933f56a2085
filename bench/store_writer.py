"""How many documents a second the worker's transaction takes, without decoding and scoring.

    python bench/store_writer.py sqlite:////tmp/bench.db
    python bench/store_writer.py postgresql://barometer@127.0.0.1/bench

The database must be empty. Prints documents a second for comments (own identity) and news (shared identities).
"""

from __future__ import annotations

import sys
import time

from sqlalchemy import insert

from barometer.buckets import Buckets
from barometer.records import Document, Prediction, fingerprint, hash64, pack_row
from barometer.settings import load_settings
from barometer.store.migrate import open_store
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.store.tables import Log
from barometer.vocabulary import Kind, Sentiment

SIZE, BATCHES = 1000, 40
TOPICS = ("market", "macro", "real_estate")


def make(start: int, shared: bool) -> tuple[list[Document], list[Prediction | None]]:
    documents: list[Document] = []
    predictions: list[Prediction | None] = []
    for i in range(start, start + SIZE):
        text = f"恒远地产公告，第 {i % 97} 期债券本息兑付安排如下，合计 {i} 万元；详情以公司披露为准。"
        row = pack_row(1, 0, i)
        documents.append(
            Document(
                row_id=row,
                observed_at=1_700_000_000_000 + i * 50,
                kind=Kind.NEWS if shared else Kind.COMMENT,
                text=text,
                doc_key=hash64("row", str(row)),
                text_hash=hash64(text),
                fingerprint=fingerprint(text),
                shared_identity=shared,
                source="bench",
                symbols=["600519"],
            )
        )
        predictions.append(Prediction(Sentiment(i % 3), 0.3, 0.3, 0.4, {TOPICS[i % 3]: 0.9}))
    return documents, predictions


def main(url: str) -> None:
    settings = load_settings(database_url=url)
    store = open_store(settings, migrate=True)
    with store.write() as c:
        c.execute(insert(Log).values(id=1, cluster_id="bench", topic="bench", partitions=1, current=True, created_at=0))
    writer = Writer(store, Buckets(settings.bucket_seconds, settings.zone))
    position = 0
    for shared in (False, True):
        spent = 0.0
        for _ in range(BATCHES):
            documents, predictions = make(position, shared)
            move = Move(0, position or None, position + SIZE, SIZE)
            batch = Batch(1, 1, [move], documents, predictions, ["zh"] * SIZE, [None] * SIZE, [])
            begin = time.perf_counter()
            writer.commit(batch)
            spent += time.perf_counter() - begin
            position += SIZE
        what = "news, shared identities" if shared else "comments"
        print(
            f"{what:<24} {SIZE * BATCHES / spent:>8,.0f} documents/s over {SIZE * BATCHES:,} (table then {position:,})"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
