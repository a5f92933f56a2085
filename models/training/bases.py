"""What training starts from: a folder of a pretrained BERT, a model folder, or a name on the Hugging Face hub.

Bases come in many shapes: ``vocab.txt`` or ``tokenizer.json``, safetensors or a pickle, the encoder alone or under the
prefix ``bert.`` of a network with heads, more rows of embeddings than the tokenizer has pieces. :func:`find_base` gives
a folder of one shape: ``config.json``, ``tokenizer.json`` and ``model.safetensors`` that fit each other.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import structlog
from tokenizers import Tokenizer

from models.errors import ModelError, TrainingDataError
from models.folder import LABELS
from models.text.encoding import load_tokenizer, padded_length
from models.training.runs import is_run

log = structlog.get_logger(__name__)

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_PADS = ("[PAD]", "<pad>")
_SMALL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)


def find_base(base: str | Path, work: Path, layers: int = 0, max_tokens: int = 0) -> Path:
    """A folder to train from: ``base`` itself where it has our shape or is a model or a run, else ``work/base``.

    Args:
        base: a folder, or a name on the hub such as ``hfl/chinese-macbert-base`` (its cache and ``HF_ENDPOINT``,
            ``HF_HUB_OFFLINE`` are the library's).
        work: where a converted base is kept; a second call finds it there.
        layers: how many of its layers will be used.
        max_tokens: how long the texts will be.

    Raises:
        TrainingDataError: it can't be found or downloaded, is no BERT that the graph can express, lacks weights, or
            has fewer layers or positions than asked for.
    """
    folder = Path(base)
    if is_run(folder):
        return folder
    if (folder / LABELS).is_file():
        if not (folder / "tokenizer.json").is_file():
            raise TrainingDataError(f"base model: {folder} is a model folder without tokenizer.json")
        return folder
    if not folder.is_dir():
        folder = _download(str(base))
    config = _config(folder)
    _check(folder, config, layers, max_tokens)
    if _has_our_shape(folder, config):
        return folder
    made = work / "base"
    if not (made / "config.json").is_file():
        _convert(folder, made)
    return made


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise TrainingDataError(
            f"base model: {folder} must hold config.json, a tokenizer and weights, or be a model ({e})"
        ) from e
    if not isinstance(config, dict):
        raise TrainingDataError(f"base model: {file} is not a JSON object")
    return config


def _check(folder: Path, config: dict[str, Any], layers: int, max_tokens: int) -> None:
    """What the network and its graph take for granted."""
    kind = config.get("model_type", "bert")
    if kind != "bert":
        raise TrainingDataError(
            f"base model: {folder} is of the type {kind!r}; only BERT (model_type bert: MacBERT, RoBERTa-wwm of HFL, "
            "FinBERT, E5 …) can be used"
        )
    for field, wanted in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(field, wanted) != wanted:
            raise TrainingDataError(
                f"base model: {folder / 'config.json'} has {field} {config[field]!r}; the network needs {wanted!r}"
            )
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise TrainingDataError(f"base model: {folder} holds no weights (model.safetensors or pytorch_model.bin)")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise TrainingDataError(f"base model: {folder} holds no tokenizer (tokenizer.json or vocab.txt)")
    depth, places = int(config.get("num_hidden_layers", 12)), int(config.get("max_position_embeddings", 512))
    if layers > depth:
        raise TrainingDataError(
            f"base model: {folder} has {depth} layers, the recipe asks for {layers}: set `layers: {depth}` in it"
        )
    if padded_length(max_tokens) > places:
        raise TrainingDataError(
            f"base model: {folder} reads at most {places} tokens; the recipe's max_tokens {max_tokens} is too many"
        )


def _has_our_shape(folder: Path, config: dict[str, Any]) -> bool:
    """A tokenizer as one file, as many pieces as embeddings, and the padding that the configuration names."""
    if not (folder / "tokenizer.json").is_file() or not isinstance(config.get("pad_token_id"), int):
        return False
    tokenizer = _tokenizer(folder)
    pads = {tokenizer.token_to_id(name) for name in _PADS} - {None}
    return tokenizer.get_vocab_size() == config.get("vocab_size") and pads <= {config["pad_token_id"]}


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        return load_tokenizer(folder / "tokenizer.json", 512)
    except ModelError as e:
        raise TrainingDataError(f"base {e}") from e


def _convert(folder: Path, made: Path) -> None:
    """Write the encoder and its tokenizer in our shape: no heads, no prefix, no row without a piece."""
    from transformers import AutoTokenizer, BertModel

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        found: Any = BertModel.from_pretrained(str(folder), add_pooling_layer=False, output_loading_info=True)
    except Exception as e:  # the libraries raise many classes
        raise TrainingDataError(f"base model: transformers cannot load {folder}: {_line(e)}") from e
    encoder, loaded = found
    if missing := sorted(loaded["missing_keys"]):
        raise TrainingDataError(f"base model: the weights in {folder} lack {', '.join(missing[:3])}")
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise TrainingDataError(
            f"base model: the tokenizer of {folder} has no padding, or none of the fast kind exists"
        )
    pieces = len(tokenizer)
    if pieces > encoder.config.vocab_size or max(tokenizer.get_vocab().values()) >= pieces:
        raise TrainingDataError(
            f"base model: the tokenizer of {folder} has {pieces} pieces, its network has embeddings for "
            f"{encoder.config.vocab_size}"
        )
    if pieces < encoder.config.vocab_size:
        encoder.resize_token_embeddings(pieces)
    encoder.config.pad_token_id = tokenizer.pad_token_id
    made.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".base-", dir=made.parent))
    try:
        encoder.save_pretrained(partial)
        tokenizer.backend_tokenizer.save(str(partial / "tokenizer.json"))
        partial.chmod(0o755)
        partial.rename(made)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    log.info("converted the base", folder=str(made), pieces=pieces)


def _download(name: str) -> Path:
    """The files of a repository on the hub, safetensors where it has them."""
    from huggingface_hub import snapshot_download

    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise TrainingDataError(
            f"base model: there is no folder {name} (it must hold config.json, a tokenizer and weights, or be a model)"
        )
    try:
        folder = Path(snapshot_download(name, allow_patterns=[*_SMALL_FILES, "model*.safetensors*"]))
        if not any((folder / w).is_file() for w in _WEIGHTS):
            folder = Path(snapshot_download(name, allow_patterns=["pytorch_model*.bin*"]))
    except Exception as e:  # HTTP, cache and name errors have no common class
        raise TrainingDataError(
            f"base model: {name} is no folder here, and the hub does not give it ({type(e).__name__}: {_line(e)}). "
            f"Where there is no internet, run `hf download {name}` elsewhere, copy the folder here and name it"
        ) from e
    return folder


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
