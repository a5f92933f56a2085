"""The PyTorch network from a shipped folder alone: to retrain, to explain, to run on a GPU."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig

from models.errors import REMEDY, ModelError
from models.folder import LABELS, WEIGHTS, ModelFolder, check_topics
from models.graph.quantise import dequantise_rows
from models.network import Network

_CODES, _SCALES = ".codes", ".scales"


def rebuild(folder: ModelFolder, dropout: float = 0.1) -> Network:
    """The network with the weights that the ONNX file holds, dequantised; in evaluation mode.

    Its weights are those of the integer network, so the two differ by the rounding of activations alone.

    Raises:
        ModelError: the file lacks a parameter of the network that labels.json describes, or has other topics.
    """
    path = folder.path / WEIGHTS
    try:
        graph = onnx.load(str(path))
        arrays = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    except Exception as e:  # protobuf, onnx and numpy raise their own
        raise ModelError(f"model: {path} is no readable ONNX file: {str(e)[:200]}: {REMEDY}") from e
    check_topics(folder, {p.key: p.value for p in graph.metadata_props})
    state: dict[str, np.ndarray] = {}
    try:
        for name, value in arrays.items():
            if name.endswith(_CODES):
                parameter = name.removesuffix(_CODES) + ".weight"
                codes = value if "word_embeddings" in name else value.T
                state[parameter] = dequantise_rows(codes, arrays[name.removesuffix(_CODES) + _SCALES])
            elif not name.endswith(_SCALES) and "." in name:
                state[name] = value
        for name in [n for n in state if ".qkv." in n]:
            for part, third in zip(("query", "key", "value"), np.split(state.pop(name), 3), strict=True):
                state[name.replace(".qkv.", f".{part}.")] = third
        config = BertConfig(**folder.encoder, hidden_dropout_prob=dropout, attention_probs_dropout_prob=0.0)
        network = Network(config, len(folder.topics), dropout)
        # Not every array that numpy reads from the file may be written to, as torch wants it.
        network.load_state_dict({k: torch.from_numpy(np.array(v, np.float32)) for k, v in state.items()}, strict=False)
    except (KeyError, TypeError, ValueError, RuntimeError) as e:
        raise ModelError(f"model: {path} does not fit {folder.path / LABELS}: {str(e)[:400]}: {REMEDY}") from e
    missing = [n for n, _ in network.named_parameters() if n not in state]
    if missing:
        raise ModelError(f"model: {path} lacks parameters: {', '.join(missing[:5])}: {REMEDY}")
    if unknown := state.keys() - network.state_dict().keys():
        raise ModelError(f"model: {path} has parameters that labels.json doesn't describe: {min(unknown)}: {REMEDY}")
    return network.eval()
