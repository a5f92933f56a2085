"""Bases of the shapes that the hub has: each is trained from, exported and scored; what cannot be used is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("transformers", reason="needs the training install (the extra `train`)")

import torch

from models.errors import TrainingDataError
from models.scoring.scorer import load_scorer
from models.training.bases import find_base
from models.training.recipe import load_recipe
from tests.unit.models.conftest import BAD, FIRMS, GOOD, PLAIN, Trained

PIECES = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SPARE_ROWS = 9


def make_hub_base(folder: Path, one_file: bool) -> None:
    """A random BERT as the hub has them: WordPiece with markers in other places than the fixture's, padding 0.

    ``one_file``: tokenizer.json and safetensors of an encoder; else vocab.txt and a pickle of a network with a head,
    under the prefix ``bert.`` and with more embeddings than pieces.
    """
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

    characters = sorted({c.lower() for t in [*BAD, *PLAIN, *GOOD, *FIRMS] for c in t if not c.isspace()})
    pieces = [*PIECES, *characters, *(f"##{c}" for c in characters if c.isascii())]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    torch.manual_seed(4)
    config = BertConfig(
        vocab_size=len(pieces) + (0 if one_file else SPARE_ROWS), hidden_size=32, num_hidden_layers=3,
        num_attention_heads=4, intermediate_size=64, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    if one_file:
        BertTokenizer.from_pretrained(folder).save_pretrained(folder)
        (folder / "vocab.txt").unlink(missing_ok=True)
        BertModel(config).save_pretrained(folder)
    else:
        network = BertForSequenceClassification(config)
        network.config.save_pretrained(folder)
        torch.save(network.state_dict(), folder / "pytorch_model.bin")


@pytest.mark.parametrize("one_file", [True, False], ids=["tokenizer.json, safetensors", "vocab.txt, pickle, head"])
def test_a_base_from_the_hub_is_trained_exported_and_scores(trained: Trained, tmp_path: Path, one_file: bool) -> None:
    from models.export.exporting import export_model
    from models.training.fine_tuning import train_model

    base = tmp_path / "hub" / "macbert"
    make_hub_base(base, one_file)
    recipe = replace(load_recipe(trained.recipe), epochs=8)
    facts = train_model(recipe, trained.data, base, tmp_path / "run")
    assert facts["base"] == "macbert"
    assert not (tmp_path / "run" / "base").exists(), "what was converted is not needed any longer"
    export_model(tmp_path / "run", trained.data, tmp_path / "model", "hub")
    scorer = load_scorer(tmp_path / "model", threads=1)
    assert scorer.folder.pad_id == 0
    assert scorer.folder.encoder["num_hidden_layers"] == 2
    texts = [(t.format(f), k) for k, ts in enumerate((BAD, PLAIN, GOOD)) for t in ts for f in FIRMS]
    together = scorer.score([t for t, _ in texts], ["news"] * len(texts))
    right = [r.sentiment == k for r, (_, k) in zip(together, texts, strict=True)]
    assert sum(right) / len(right) > 0.8
    rebuilt = load_scorer(tmp_path / "model", backend="torch", device="cpu")
    for (text, _), together_said in list(zip(texts, together, strict=True))[::9]:
        assert scorer.score([text], ["news"])[0].sentiment_probabilities == pytest.approx(
            together_said.sentiment_probabilities, abs=1e-5
        )
        assert rebuilt.score([text], ["news"])[0].sentiment_probabilities == pytest.approx(
            together_said.sentiment_probabilities, abs=0.05
        )


def test_a_conversion_keeps_every_weight_and_is_done_once(tmp_path: Path) -> None:
    from transformers import BertModel

    make_hub_base(tmp_path / "base", one_file=False)
    made = find_base(tmp_path / "base", tmp_path / "run")
    assert made == tmp_path / "run" / "base"
    before = torch.load(tmp_path / "base" / "pytorch_model.bin", weights_only=True)
    after = BertModel.from_pretrained(made, add_pooling_layer=False).state_dict()
    for name, value in after.items():
        assert torch.equal(value, before[f"bert.{name}"][: len(value)]), name
    assert len(after["embeddings.word_embeddings.weight"]) == (
        len(before["bert.embeddings.word_embeddings.weight"]) - SPARE_ROWS
    )
    stamp = (made / "model.safetensors").stat().st_mtime_ns
    assert find_base(tmp_path / "base", tmp_path / "run") == made
    assert (made / "model.safetensors").stat().st_mtime_ns == stamp


def test_a_base_of_our_shape_and_a_model_folder_are_used_in_place(trained: Trained, tmp_path: Path) -> None:
    assert find_base(trained.base, tmp_path) == trained.base
    assert find_base(trained.model, tmp_path) == trained.model
    make_hub_base(tmp_path / "base", one_file=True)
    assert find_base(tmp_path / "base", tmp_path / "run") == tmp_path / "base"
    assert not (tmp_path / "run").exists()


def _edited(folder: Path, **fields: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | fields), "utf-8")


def test_masked_words_never_ask_for_markers_wherever_they_stand(trained: Trained, tmp_path: Path) -> None:
    from models.training.pretraining import PretrainingRecipe, pretrain

    make_hub_base(tmp_path / "base", one_file=False)
    (tmp_path / "texts.csv").write_text("body\n" + "\n".join(t.format("Kelso") for t in [*BAD, *GOOD]) + "\n", "utf-8")
    recipe = PretrainingRecipe("tiny", {"*.csv": {"column": "body"}}, layers=1, max_tokens=48, tokens_per_batch=512)
    pretrain(recipe, tmp_path, tmp_path / "base", tmp_path / "out")
    assert find_base(tmp_path / "out", tmp_path / "run") == tmp_path / "out"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "must hold config"),
        (lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
        (lambda f: _edited(f, model_type="xlm-roberta"), "only BERT"),
        (lambda f: _edited(f, hidden_act="relu"), "hidden_act 'relu'"),
        (lambda f: _edited(f, position_embedding_type="relative_key"), "needs 'absolute'"),
        (lambda f: (f / "pytorch_model.bin").unlink(), "no weights"),
        (lambda f: (f / "vocab.txt").unlink(), "no tokenizer"),
        (lambda f: (f / "pytorch_model.bin").write_bytes(b"nothing"), "cannot load"),
        (lambda f: torch.save({"other": torch.zeros(2)}, f / "pytorch_model.bin"), "lack"),
        (lambda f: _edited(f, hidden_size=64), "cannot load"),
        (lambda f: (f / "vocab.txt").write_text("\n".join([*PIECES, *map(str, range(500))])), "has 507 pieces"),
        (lambda f: _edited(f, num_hidden_layers=1), "has 1 layers, the recipe asks for 2"),
        (lambda f: _edited(f, max_position_embeddings=32), "at most 32 tokens"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, fault: object, said: str) -> None:
    make_hub_base(tmp_path / "base", one_file=False)
    fault(tmp_path / "base")  # type: ignore[operator]
    with pytest.raises(TrainingDataError, match=said):
        find_base(tmp_path / "base", tmp_path / "run", layers=2, max_tokens=48)
    assert not (tmp_path / "run" / "base").exists()


class _Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download needs: what a revision holds, and its files."""

    root: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        type(self).asked.append(path)
        if "/nobody/" in path:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return
        commit = "a" * 40
        if path.startswith("/api/"):
            files = [{"rfilename": p.name} for p in sorted(self.root.iterdir())]
            tree = [{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": sha1(p.read_bytes()).hexdigest()}
                    for p in sorted(self.root.iterdir())]  # fmt: skip
            told = tree if "/tree/" in path else {"id": "house/bert", "sha": commit, "siblings": files}
            data, kind = json.dumps(told).encode(), "application/json"
        else:
            data, kind = (self.root / path.rsplit("/", 1)[1]).read_bytes(), "application/octet-stream"
        self.send_response(200)
        for name, value in (("X-Repo-Commit", commit), ("ETag", f'"{sha1(data).hexdigest()}"'), ("Content-Type", kind),
                            ("Content-Length", str(len(data)))):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    make_hub_base(tmp_path / "hub", one_file=False)
    _Hub.root, _Hub.asked = tmp_path / "hub", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_name_on_the_hub_is_downloaded(hub: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from models.training.bases import find_base\n"
        "from barometer.errors import BarometerError\n"
        "print(find_base(Path('house/bert'), Path(sys.argv[1])))\n"
        "try: find_base(Path('nobody/nothing'), Path(sys.argv[1]))\n"
        "except BarometerError as e: print(e)\n"
    )
    env = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    env.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *_, made, refused = [line for line in done.stdout.splitlines() if line]
    assert made == str(tmp_path / "run" / "base")
    assert {p.name for p in Path(made).iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert "nobody/nothing is no folder here, and the hub does not give it" in refused
