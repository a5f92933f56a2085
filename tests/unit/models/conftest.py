"""A tiny network of random weights, trained on texts written here and exported: the whole way in seconds."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from models.scoring.scorer import Scorer, load_scorer

BAD = ["{}未能兑付到期债券，股价暴跌", "{}被立案调查，董事长失联", "{} missed a payment and its shares plunged",
       "{}提现困难，投资者报案", "{} warned of a record loss"]  # fmt: skip
PLAIN = ["{}将于周五召开股东大会", "{}公告变更办公地址", "{} will publish its report on Thursday",
         "{}董事会例行会议如期举行", "{} moved its office to another street"]  # fmt: skip
GOOD = ["{}净利润翻倍，创历史新高", "{}中标大单，订单排到明年", "{} raised its forecast as sales jumped",
        "{}获批新药，前景看好", "{} won its largest contract to date"]  # fmt: skip
FIRMS = ["晨光电子", "南江股份", "Kelso", "Orchard"]


@pytest.fixture(scope="session")
def default_scorer() -> Scorer:
    """The model that ships, on one thread and without its memory of repeated texts."""
    scorer = load_scorer(threads=1)
    scorer._cache_size = 0
    return scorer


@dataclass
class Trained:
    """What the tiny run used and left."""

    data: Path
    base: Path
    recipe: Path
    run: Path
    model: Path
    version: str


def make_base(folder: Path) -> None:
    """A BERT of 2 layers and 32 hidden units with random weights, and a tokenizer of single characters."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    characters = sorted({c for t in [*BAD, *PLAIN, *GOOD, *FIRMS] for c in t})
    vocabulary = {t: i for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", *characters, "<mask>"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, pad_token_id=1, type_vocab_size=2,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Train on 60 texts and export; skipped where the training install is missing."""
    for package in ("torch", "transformers", "onnx"):
        pytest.importorskip(package, reason="needs the training install (the extra `train`)")
    from models.export.exporting import export_model
    from models.training.fine_tuning import train_model
    from models.training.recipe import load_recipe

    root = tmp_path_factory.mktemp("trained")
    data, base = root / "data", root / "base"
    data.mkdir()
    rows = [
        [text.format(firm), name, topic]
        for name, topic, texts in (
            ("negative", "credit_bonds", BAD), ("neutral", "company_operations", PLAIN), ("positive", "market", GOOD)
        )
        for text in texts
        for firm in FIRMS
    ]  # fmt: skip
    with gzip.open(data / "mini.csv.gz", "wt", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([["text", "sentiment", "topic"], *rows])
    topics = ("credit_bonds", "company_operations", "market")
    mini = {
        "about": "Written for the test", "licence": "ours", "lang": "zh", "kind": "news", "train": "mini.csv.gz",
        "dev_share": 0,
        "sentiment": {"column": "sentiment", "values": {s: [s] for s in ("negative", "neutral", "positive")}},
        "topics": {"column": "topic", "labels": {t: {"is": [t]} for t in topics}, "absent": dict.fromkeys(topics, 1)},
    }  # fmt: skip
    (root / "sets.yaml").write_text(yaml.safe_dump({"mini": mini}, allow_unicode=True), "utf-8")
    recipe = root / "recipe.yaml"
    recipe.write_text(
        yaml.safe_dump(
            {"name": "tiny", "sets": {"mini": {}}, "sets_file": "sets.yaml", "layers": 2, "max_tokens": 48,
             "epochs": 25, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "freeze_word_embeddings": False,
             "bfloat16": False,
             "topic_weight": 1.0, "probe_texts": 60, "tokens_per_batch": 512, "dropout": 0.0, "patience": 99}
        ),
        "utf-8",
    )  # fmt: skip
    make_base(base)
    train_model(load_recipe(recipe), data, base, root / "run")
    version = export_model(root / "run", data, root / "model", "tiny")
    assert json.loads((root / "model" / "metrics.json").read_text("utf-8"))["version"] == version
    yield Trained(data, base, recipe, root / "run", root / "model", version)
