"""Pruned networks: the folder scores, its rebuilt network agrees, and what stays is what was asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from models.data.examples import Example
from models.errors import ModelError
from models.export.exporting import export_model
from models.export.pruning import (
    Pruning,
    coverage,
    cut_tokenizer,
    head_importance,
    heads_of,
    keep_heads,
    keep_layers,
    needed_pieces,
    read_pruning,
)
from models.labels import load_topics
from models.scoring.scorer import Scorer, load_scorer
from models.text.encoding import encode, load_tokenizer, prepare
from models.training.objectives import losses, to_tensors
from models.training.recipe import load_recipe
from models.training.runs import load_run
from tests.unit.models.conftest import BAD, FIRMS, GOOD, PLAIN, Trained

TEXTS = [(t.format(f), k) for k, ts in enumerate((BAD, PLAIN, GOOD)) for t in ts for f in FIRMS]
LINES = [prepare(t) for t, _ in TEXTS]
TOPICS = [t.id for t in load_topics()]


def agree(folder: Path) -> Scorer:
    """The folder's ONNX session and its rebuilt network say the same, alone and in batches."""
    scorer = load_scorer(folder, threads=1)
    rebuilt = load_scorer(folder, backend="torch", device="cpu")
    texts = [t for t, _ in TEXTS]
    a, b = (s.score(texts, ["news"] * len(texts)) for s in (scorer, rebuilt))
    for x, y in zip(a, b, strict=True):
        assert x.sentiment_probabilities == pytest.approx(y.sentiment_probabilities, abs=0.05)
        assert x.topic_probabilities == pytest.approx(y.topic_probabilities, abs=0.05)
    for text, whole in list(zip(texts, a, strict=True))[::7]:
        alone = scorer.score([text], ["news"])[0]
        assert alone.sentiment_probabilities == pytest.approx(whole.sentiment_probabilities, abs=1e-5)
    return scorer


def export_pruned(trained: Trained, out: Path, **what: object) -> dict[str, object]:
    version = export_model(trained.run, trained.data, out, "small", pruning=Pruning(**what))  # type: ignore[arg-type]
    metrics = json.loads((out / "metrics.json").read_text("utf-8"))
    assert metrics["version"] == version
    assert "Pruned after training" in (out / "card.md").read_text("utf-8")
    before, after = metrics["pruning"]["parameters"]
    assert after < before
    return dict(metrics["pruning"])


def dev_set(trained: Trained) -> object:
    examples = [Example(t, "news", "zh", "mini", (k,)) for t, k in TEXTS]
    return to_tensors(examples, load_tokenizer(trained.run / "tokenizer.json", 48), TOPICS, 48)


def test_layers_are_dropped(trained: Trained, tmp_path: Path) -> None:
    done = export_pruned(trained, tmp_path / "small", layers=(1,))
    assert done["layers"] == {"of": 2, "kept": [1]}
    scorer = agree(tmp_path / "small")
    assert scorer.folder.encoder["num_hidden_layers"] == 1
    whole = load_run(trained.run, len(TOPICS)).encoder.encoder.layer[1].state_dict()
    from models.graph.rebuild import rebuild

    for name, value in rebuild(scorer.folder).encoder.encoder.layer[0].state_dict().items():
        assert torch.allclose(value, whole[name], atol=0.02), name
    with pytest.raises(ModelError, match="layers 0 to 1; layer 2"):
        export_model(trained.run, trained.data, tmp_path / "none", "x", pruning=Pruning(layers=(0, 2)))


def test_heads_are_removed_and_the_folder_can_be_trained_on(trained: Trained, tmp_path: Path) -> None:
    from models.training.fine_tuning import train_model

    network, data, recipe = load_run(trained.run, len(TOPICS)), dev_set(trained), load_recipe(trained.recipe)
    importance = head_importance(network, data, recipe)  # type: ignore[arg-type]
    left = keep_heads(network, importance, 0.5)
    assert sum(left) == 4
    assert min(left) >= 1
    # As export does it, on a folder whose sets have no dev texts to measure heads by.
    import onnx

    from models.export.exporting import encoder_of
    from models.graph.onnx_graph import build

    (tmp_path / "small").mkdir()
    state = {k: v.float().numpy() for k, v in network.state_dict().items() if v.is_floating_point()}
    onnx.save(build(state, network.encoder.config.to_dict()), str(tmp_path / "small" / "model.onnx"))
    labels = json.loads((trained.model / "labels.json").read_text("utf-8"))
    (tmp_path / "small" / "labels.json").write_text(json.dumps(labels | {"encoder": encoder_of(network)}), "utf-8")
    (tmp_path / "small" / "tokenizer.json").write_bytes((trained.model / "tokenizer.json").read_bytes())
    scorer = agree(tmp_path / "small")
    assert scorer.folder.encoder["heads_per_layer"] == left

    facts = train_model(replace(recipe, epochs=6), trained.data, tmp_path / "small", tmp_path / "run")
    assert facts["history"]
    assert heads_of(load_run(tmp_path / "run", len(TOPICS))) == left
    export_model(tmp_path / "run", trained.data, tmp_path / "again", "again")
    again = agree(tmp_path / "again")
    said = again.score([t for t, _ in TEXTS], ["news"] * len(TEXTS))
    assert np.mean([r.sentiment == k for r, (_, k) in zip(said, TEXTS, strict=True)]) > 0.9


def test_a_head_s_importance_is_what_its_removal_does_to_the_loss(trained: Trained) -> None:
    """A head whose output is nothing has none; the importance of all others is above it."""
    network, data, recipe = load_run(trained.run, len(TOPICS)), dev_set(trained), load_recipe(trained.recipe)
    out = network.encoder.encoder.layer[1].attention.output.dense
    out.weight.data[:, 16:24] = 0  # head 2 of 4
    importance = head_importance(network, data, recipe)  # type: ignore[arg-type]
    assert [len(x) for x in importance] == [4, 4]
    assert importance[1][2] == 0
    assert np.delete(importance[1], 2).min() > 0
    assert all(np.linalg.norm(x) == pytest.approx(1) for x in importance)
    ids = torch.tensor([data.ids[0]])  # type: ignore[attr-defined]
    before = network(ids, torch.tensor([1]))[0]
    left = keep_heads(network, importance, 7 / 8)
    assert left == [4, 3]
    assert torch.allclose(before, network(ids, torch.tensor([1]))[0], atol=1e-5), "a silent head is not missed"


def test_heads_without_dev_texts_are_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--heads needs dev texts"):
        export_pruned(trained, tmp_path / "small", heads=0.5)
    assert not (tmp_path / "small").exists()


def test_a_vocabulary_for_a_file_of_texts(trained: Trained, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.csv"
    corpus.write_text("text\n" + "\n".join(f'"{t}"' for t, k in TEXTS if k == 0), "utf-8")
    done = export_pruned(trained, tmp_path / "small", vocabulary=corpus)
    vocabulary = done["vocabulary"]
    assert vocabulary["kept"] < vocabulary["of"]  # type: ignore[index]
    assert vocabulary["held_out"]["cut_alike"] == 1.0  # type: ignore[index]
    scorer, whole = agree(tmp_path / "small"), load_scorer(trained.model, threads=1)
    bad = [t for t, k in TEXTS if k == 0]
    for a, b in zip(scorer.score(bad, ["news"] * 20), whole.score(bad, ["news"] * 20), strict=True):
        assert a.sentiment_probabilities == pytest.approx(b.sentiment_probabilities, abs=1e-4)


def test_all_three_together(trained: Trained, tmp_path: Path) -> None:
    done = export_pruned(trained, tmp_path / "small", layers=(0,), vocabulary=0.9)
    assert set(done) >= {"layers", "vocabulary", "parameters"}
    agree(tmp_path / "small")


def _unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    markers = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        LINES, trainers.UnigramTrainer(vocab_size=300, special_tokens=markers, unk_token="<unk>", show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(m, made.token_to_id(m)) for m in ("<s>", "</s>")]
    )
    return made


def _wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    markers = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        LINES, trainers.WordPieceTrainer(vocab_size=400, special_tokens=markers, show_progress=False)
    )
    made.post_processor = processors.BertProcessing(
        ("[SEP]", made.token_to_id("[SEP]")), ("[CLS]", made.token_to_id("[CLS]"))
    )
    return made


def _bpe() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    made.train_from_iterator(
        LINES,
        trainers.BpeTrainer(
            vocab_size=600, special_tokens=["<s>", "<pad>", "</s>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    made.post_processor = processors.Sequence(
        [processors.ByteLevel(), processors.RobertaProcessing(("</s>", made.token_to_id("</s>")),
                                                              ("<s>", made.token_to_id("<s>")))]
    )  # fmt: skip
    return made


KINDS_OF_MODEL = {"unigram": _unigram(), "wordpiece": _wordpiece(), "bpe": _bpe()}


@pytest.mark.parametrize("kind", KINDS_OF_MODEL)
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=30), st.floats(0.6, 1))
@settings(max_examples=15, deadline=None)
def test_a_cut_tokenizer_is_valid_and_cuts_what_it_was_made_for_alike(
    kind: str, lines: list[str], share: float
) -> None:
    whole = KINDS_OF_MODEL[kind]
    small = Tokenizer.from_str(cut_tokenizer(whole.to_str(), needed_pieces(whole, lines, 128)))
    assert sorted(small.get_vocab().values()) == list(range(small.get_vocab_size()))
    assert small.get_vocab_size() <= whole.get_vocab_size()
    assert coverage(whole, small, lines, 128)["cut_alike"] == 1
    for ids in encode(small, lines, 128):
        assert small.id_to_token(ids[0]) in ("<s>", "[CLS]")
        assert small.id_to_token(ids[-1]) in ("</s>", "[SEP]")
    smaller = Tokenizer.from_str(cut_tokenizer(whole.to_str(), needed_pieces(whole, lines, 128, share)))
    assert smaller.get_vocab_size() <= small.get_vocab_size()
    assert coverage(whole, smaller, lines, 128)["unknown"][1] == 0, "rare pieces are spelled, not lost"
    encode(smaller, LINES, 128)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((3, "0,1", None, None), "not both"), ((0, None, None, None), "at least 1"),
        ((None, "2,1", None, None), "ascending"), ((None, "a", None, None), "numbers with commas"),
        ((None, None, "0.2", None), "between 0.5 and 1"), ((None, None, "nowhere.csv", None), "neither a share nor"),
        ((None, None, None, 0.0), "above 0"), ((None, None, None, 1.5), "at most 1"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(options: tuple[object, ...], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        read_pruning(*options)  # type: ignore[arg-type]


def test_options() -> None:
    assert not read_pruning(None, None, None, None)
    assert read_pruning(2, None, None, None).layers == (0, 1)
    assert read_pruning(None, "0,2", "0.99", 0.5) == Pruning((0, 2), 0.99, 0.5)


def test_layers_keep_their_heads(trained: Trained) -> None:
    network = load_run(trained.run, len(TOPICS))
    keep_heads(network, [np.array([4.0, 3, 2, 1]), np.array([0.1, 0.2, 0.3, 0.4])], 0.5)
    assert heads_of(network) == [3, 1]
    keep_layers(network, [1])
    assert network.encoder.config.heads_per_layer == [1]
    data = dev_set(trained)
    said = network(torch.tensor([data.ids[0]]), torch.tensor([1]))  # type: ignore[attr-defined]
    assert torch.isfinite(losses(*said, data, [0], load_recipe(trained.recipe))[0])  # type: ignore[arg-type]
