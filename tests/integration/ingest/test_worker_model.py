"""The worker with the model that ships with the product, started as operators start it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.migrate import open_store
from barometer.store.tables import Document, ModelVersion, Prediction
from models.folder import DEFAULT_MODEL
from tests.conftest import Broker
from tests.support.stream import assert_sums, message, topic_of, totals, wait_for

pytestmark = pytest.mark.skipif(not DEFAULT_MODEL.is_dir(), reason=f"no model at {DEFAULT_MODEL}")

TEXTS = {
    "一家房企的理财产品到期无法兑付，上百名投资者到售楼处讨要说法": 0,
    "公司上半年净利润同比增长四成，宣布提高分红": 2,
    "The lender was fined for misleading its customers and its shares plunged": 0,
    "The chip maker raised its forecast after record quarterly sales": 2,
}


def test_barometer_worker(broker: Broker, settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    settings = settings_for(broker)
    store = open_store(settings, migrate=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = {
        f"BAROMETER_{name.upper()}": str(getattr(settings, name))
        for name in ("database_url", "kafka_bootstrap", "topic_documents", "topic_dlq", "topic_partitions",
                     "consumer_group", "session_timeout_ms", "worker_linger_ms")
    }  # fmt: skip
    environment["BAROMETER_METRICS_PORT_WORKER"] = str(port)
    with topic_of(settings) as topic, (tmp_path / "worker.log").open("wb") as log:
        for text in TEXTS:
            topic.send(message(text, kind="news"))
        topic.send(message("Ceci est un texte en français sur la bourse de Paris et les banques"))
        topic.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "worker"],
            env=os.environ | environment, stdout=log, stderr=log, cwd=tmp_path,
        )  # fmt: skip
        try:
            wait_for(lambda: totals(store)["records"] == 5 or process.poll() is not None, 60)

            def counted() -> object:
                with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    figures = answer.read().decode()
                return re.search(r'^barometer_worker_records_total\{outcome="document"\} 5\.0$', figures, re.M)

            wait_for(counted, 10)  # counted just after the commit that the store shows
            with urlopen(f"http://127.0.0.1:{port}/health") as answer:
                assert json.loads(answer.read())["state"] == "running"
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
            process.wait()
    assert_sums(store, 5)
    with store.read() as c:
        found = c.execute(
            select(Document.text, Prediction.sentiment, Prediction.p_negative, Prediction.p_neutral,
                   Prediction.p_positive, Prediction.model_id).join(Prediction, Prediction.row_id == Document.row_id)
        ).all()  # fmt: skip
        unscored = c.execute(select(Document.lang, Document.unscored_reason).where(~Document.scored)).one()
        model = c.execute(select(ModelVersion.id, ModelVersion.precision)).one()
    assert {r.text: r.sentiment for r in found} == TEXTS
    assert all(abs(r.p_negative + r.p_neutral + r.p_positive - 1) < 1e-5 for r in found)
    assert {r.model_id for r in found} == {model.id}
    assert tuple(unscored) == ("fr", "language:fr")
    store.close()
