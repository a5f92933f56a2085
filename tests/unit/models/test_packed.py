"""Packed texts give what padded ones give; bulk scoring gives what plain scoring gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

import torch

from models.cli import app
from models.folder import read_folder
from models.graph.rebuild import rebuild
from models.scoring.backends import TorchBackend, choose_backend
from models.scoring.bulk import BulkScorer, Chunk
from models.scoring.packed import PackedNetwork, pack
from models.scoring.scorer import Scorer, load_scorer
from models.text.encoding import pad
from tests.unit.models.conftest import BAD, GOOD, PLAIN, Trained

TEXTS = [t.format("晨光电子") for t in [*BAD, *PLAIN, *GOOD]]


def test_packed_texts_give_what_each_gives_alone(trained: Trained) -> None:
    folder = read_folder(trained.model)
    plain, packed = rebuild(folder), PackedNetwork(rebuild(folder), torch.float32)
    rng = np.random.default_rng(3)
    ids = [rng.integers(4, folder.encoder["vocab_size"] - 1, n).tolist() for n in (3, 17, 40, 1, 8, 40)]
    kinds = np.array([0, 1, 2, 1, 0, 2])
    with torch.inference_mode():
        got = packed(pack(ids, np.array([len(x) for x in ids], np.int32), kinds, "cpu"))
        for i, x in enumerate(ids):
            alone = plain(torch.from_numpy(pad([x], folder.pad_id)), torch.from_numpy(kinds[i : i + 1]))
            for one, many in zip(alone, got, strict=True):
                assert (one[0] - many[i]).abs().max() < 1e-4


def test_a_small_budget_cuts_between_texts_and_changes_nothing(trained: Trained) -> None:
    scorer = load_scorer(trained.model, backend="torch")
    assert isinstance(scorer.backend, TorchBackend)
    whole = scorer.score(TEXTS, ["news"] * len(TEXTS), ["zh"] * len(TEXTS))
    backend = TorchBackend(scorer.folder)
    backend.token_budget = 5  # less than any text: each goes alone
    apart = Scorer(scorer.folder, backend).score(TEXTS, ["news"] * len(TEXTS), ["zh"] * len(TEXTS))
    for a, b in zip(whole, apart, strict=True):
        assert a.sentiment_probabilities == pytest.approx(b.sentiment_probabilities, abs=1e-5)
    assert scorer.precision == "float32"
    assert choose_backend() in ("onnx", "torch")


def test_bulk_scoring_gives_the_same_in_the_same_order(trained: Trained) -> None:
    scorer = load_scorer(trained.model, backend="torch")
    texts = [*TEXTS, "", "Привет, как дела сегодня в Москве", "长" * 900]
    want = scorer.score(texts, ["news"] * len(texts))
    chunks = [Chunk(texts[k : k + 4], ["news"] * len(texts[k : k + 4])) for k in range(0, len(texts), 4)]
    chunks.insert(1, Chunk(["", " "]))  # nothing in it reaches the network
    with BulkScorer(scorer, 2) as bulk:
        found = list(bulk.score(chunks))
    assert [len(x) for x in found[:3]] == [4, 2, 4]
    assert [r.reason for r in found.pop(1)] == ["text_empty"] * 2
    for a, b in zip(want, [r for results in found for r in results], strict=True):
        assert (a.reason, a.lang, a.sentiment, a.topics) == (b.reason, b.lang, b.sentiment, b.topics)
    with pytest.raises(ValueError, match="torch"):
        BulkScorer(load_scorer(trained.model), 1)


def test_score_with_processes_writes_the_same_lines(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    rows = [json.dumps({"text": t, "kind": "news", "lang": "zh"}, ensure_ascii=False) for t in TEXTS]
    file.write_text("\n".join([*rows[:3], "{broken", *rows[3:]]), "utf-8")
    torch_ = ["score", str(file), "--model", str(trained.model), "--backend", "torch"]
    plain = CliRunner().invoke(app, torch_)
    bulk = CliRunner().invoke(app, [*torch_, "--processes", "1"])
    assert plain.exit_code == bulk.exit_code == 0, bulk.output
    assert [json.loads(x)["sentiment"] for x in plain.stdout.splitlines()] == [
        json.loads(x)["sentiment"] for x in bulk.stdout.splitlines()
    ]
    refused = CliRunner().invoke(app, ["score", str(file), "--backend", "onnx", "--processes", "1"])
    assert "torch" in str(refused.exception)
