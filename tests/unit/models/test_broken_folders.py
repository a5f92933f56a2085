"""Model folders with a file that is missing, damaged or another model's: one kind of error, with file and remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the training install (the extra `train`)")
pytest.importorskip("onnx", reason="needs the training install (the extra `train`)")

import numpy as np
import onnx
from onnx import numpy_helper

from models.errors import ModelError
from models.folder import DEFAULT_MODEL, read_folder
from models.graph.rebuild import rebuild
from models.scoring.scorer import load_scorer
from tests.unit.models.conftest import Trained

Fault = Callable[[Path], object]
NAN, INF = float("nan"), float("inf")


def labels(**changes: object) -> Fault:
    """labels.json with fields set, or taken out where the value is ``...``; ``a__b`` is the field b in a."""

    def fault(folder: Path) -> None:
        raw = json.loads((folder / "labels.json").read_text("utf-8"))
        for name, value in changes.items():
            *above, last = name.split("__")
            at: Any = raw
            for key in above:
                at = at[key]
            if value is ...:
                del at[last]
            else:
                at[last] = value(at[last]) if callable(value) else value
        (folder / "labels.json").write_text(json.dumps(raw), "utf-8")

    return fault


def raw(name: str, data: bytes) -> Fault:
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, share: float) -> Fault:
    def fault(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return fault


def weight(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """model.onnx with one of its arrays changed."""

    def fault(folder: Path) -> None:
        model = onnx.load(str(folder / "model.onnx"))
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(
                    numpy_helper.from_array(np.ascontiguousarray(change(numpy_helper.to_array(tensor))), name)
                )
        onnx.save(model, str(folder / "model.onnx"))

    return fault


def tokenizer(pieces: int) -> Fault:
    def fault(folder: Path) -> None:
        raw = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        vocabulary = raw["model"]["vocab"]
        raw["model"]["vocab"] = (
            dict(list(vocabulary.items())[:pieces]) if pieces else vocabulary | {"new": len(vocabulary)}
        )
        (folder / "tokenizer.json").write_text(json.dumps(raw), "utf-8")

    return fault


def other_graph(folder: Path) -> None:
    """Some ONNX file: one input, one output."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "other",
        [value("x", 1, ["n"])], [value("y", 1, ["n"])],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 18)]),
              str(folder / "model.onnx"))  # fmt: skip


WORDS, PLACES, KINDS = (f"encoder.embeddings.{n}" for n in ("word_embeddings.codes", "position_embeddings.weight",
                                                            "token_type_embeddings.weight"))  # fmt: skip

BROKEN: dict[str, tuple[Fault, str]] = {
    "no folder": (shutil.rmtree, "there is no folder"),
    "no weights": (lambda f: (f / "model.onnx").unlink(), r"model\.onnx is missing"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "no labels": (lambda f: (f / "labels.json").unlink(), r"labels\.json is missing"),
    "empty weights": (raw("model.onnx", b""), r"model\.onnx is empty"),
    "weights are text": (raw("model.onnx", b"version https://git-lfs.github.com/spec/v1\n"), r"model\.onnx"),
    "weights cut": (cut("model.onnx", 0.6), r"model\.onnx"),
    "weights cut at their end": (cut("model.onnx", 0.99), r"model\.onnx"),
    "another graph": (other_graph, r"model\.onnx"),
    "weights of fewer pieces": (weight(WORDS, lambda a: a[:20]), r"model\.onnx does not fit"),
    "weights of fewer positions": (weight(PLACES, lambda a: a[:16]), r"model\.onnx does not fit"),
    "weights of two kinds": (weight(KINDS, lambda a: a[:2]), r"model\.onnx does not fit"),
    "weights of another width": (weight(PLACES, lambda a: a[:, :16]), r"model\.onnx does not fit"),
    "weights not finite": (weight("sentiment.bias", lambda a: a * np.float32(NAN)), "not finite"),
    "tokenizer is no JSON": (raw("tokenizer.json", b"{"), r"cannot read the tokenizer .*tokenizer\.json"),
    "tokenizer cut": (cut("tokenizer.json", 0.5), r"cannot read the tokenizer"),
    "tokenizer of fewer pieces": (tokenizer(30), r"tokenizer\.json has 30 pieces"),
    "tokenizer of more pieces": (tokenizer(0), r"tokenizer\.json has \d+ pieces"),
    "labels are no JSON": (raw("labels.json", b"{"), "not readable JSON"),
    "labels are not UTF-8": (raw("labels.json", b'{"name": "\xff\xfe"}'), r"labels\.json"),
    "labels are a list": (raw("labels.json", b"[]"), "not an object"),
    "another format": (labels(format=2), "has format 2"),
    "sentiments in another order": (labels(sentiments=["positive", "neutral", "negative"]), "another order"),
    "kinds in another order": (labels(kinds=["news", "comment", "unknown"]), "another order"),
    "a topic fewer": (labels(topics=lambda t: t[:-1]), "(has|for) 19 topics|does not fit|has other topics"),
    "a topic twice": (labels(topics=lambda t: [*t[:-1], t[0]]), "each once"),
    "no topics": (labels(topics=[]), "topics must be there"),
    "topics are words": (labels(topics=["market"]), "malformed"),
    "no languages": (labels(languages=[]), "languages must be some"),
    "unknown language": (labels(languages=["zh", "de"]), "languages must be some"),
    "no thresholds": (labels(thresholds=...), "missing or malformed field: KeyError.*thresholds"),
    "thresholds of one language": (labels(thresholds__en=...), "KeyError"),
    "a threshold fewer": (labels(thresholds__zh__market=...), r"thresholds\.zh lacks"),
    "a threshold above 1": (labels(thresholds__zh__market=1.5), r"thresholds\.zh lacks"),
    "a threshold that is no number": (labels(thresholds__en__market=NAN), r"thresholds\.en lacks"),
    "a threshold that is a word": (labels(thresholds__en__market="half"), "malformed"),
    "no temperatures": (labels(temperatures=...), "KeyError.*temperatures"),
    "a temperature of zero": (labels(temperatures__zh=0), r"temperatures\.zh must be above 0"),
    "a temperature that is no number": (labels(temperatures__zh=NAN), r"temperatures\.zh must be above 0"),
    "an infinite temperature": (labels(temperatures__en=INF), r"temperatures\.en must be above 0"),
    "temperatures are a list": (labels(temperatures=[1.0]), "malformed"),
    "no encoder": (labels(encoder=...), "KeyError.*encoder"),
    "an encoder without width": (labels(encoder__hidden_size=...), "KeyError.*hidden_size"),
    "heads that don't divide": (labels(encoder__num_attention_heads=5), "no multiple"),
    "padding beyond the pieces": (labels(encoder__pad_token_id=100_000), "pad_token_id"),
    "longer texts than positions": (labels(max_tokens=480), "positions"),
    "no tokens": (labels(max_tokens=0), "max_tokens must be a whole number"),
    "tokens are a word": (labels(max_tokens="many"), "max_tokens must be a whole number"),
    "windows are a word": (labels(windows="four"), "windows must be a whole number"),
    "trial topics are a word": (labels(trial_topics="market"), "malformed"),
    "no name": (labels(name=...), "KeyError.*name"),
}

REBUILT_ONLY: dict[str, tuple[Fault, str]] = {
    "encoder of another width": (labels(encoder__hidden_size=64), "does not fit"),
    "encoder of more layers": (labels(encoder__num_hidden_layers=3), "lacks parameters"),
    "encoder of fewer layers": (labels(encoder__num_hidden_layers=1), "doesn't describe"),
    "encoder of another inner width": (labels(encoder__intermediate_size=128), "does not fit"),
    "no scales": (weight("encoder.embeddings.word_embeddings.scales", lambda a: a[:3]), "does not fit"),
}
"""What the ONNX session doesn't need, but whoever rebuilds the network does."""


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.model, tmp_path / "model"))


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_broken_folder_is_refused_with_file_and_remedy(folder: Path, name: str, backend: str) -> None:
    fault, said = BROKEN[name]
    fault(folder)
    with pytest.raises(ModelError, match=said) as caught:
        load_scorer(folder, threads=1, backend=backend, device="cpu" if backend == "torch" else None)
    message = str(caught.value)
    assert str(folder) in message
    assert len(message) < 900
    assert any(r in message for r in ("export", "set it", "lower it", "must be some")), message


@pytest.mark.parametrize("name", REBUILT_ONLY)
def test_a_network_that_cannot_be_rebuilt_says_why(folder: Path, name: str) -> None:
    fault, said = REBUILT_ONLY[name]
    fault(folder)
    with pytest.raises(ModelError, match=said) as caught:
        rebuild(read_folder(folder))
    assert "model.onnx" in str(caught.value)


def test_the_whole_folders_load(folder: Path) -> None:
    for whole in (folder, DEFAULT_MODEL):
        assert load_scorer(whole, threads=1).score(["公司公告"])[0].scored


def test_a_command_shows_the_message_and_no_traceback(folder: Path) -> None:
    import subprocess
    import sys

    cut("model.onnx", 0.5)(folder)
    done = subprocess.run(
        [sys.executable, "-m", "app", "score", "-", "--model", str(folder)], input="text\n公司公告\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "model.onnx" in done.stderr.replace("\n", "")
