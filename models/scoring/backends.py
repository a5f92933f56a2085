"""Where the network runs. A backend takes the token ids of any number of texts and gives their logits, in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.errors import REMEDY, ModelError
from models.folder import WEIGHTS, ModelFolder, check_topics
from models.text.encoding import batches, pad


class Backend(Protocol):
    """Token ids of each text and kinds (texts,) int64 → sentiment (texts, 3), topics (texts, topics), float32."""

    precision: str
    """What it computes in, as predictions name it."""

    def run(self, ids: Sequence[Sequence[int]], kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class OnnxBackend:
    """ONNX Runtime on the CPU: texts of one padded length together."""

    token_budget = 1536
    """Padded tokens a batch at which it is fastest."""

    def __init__(self, folder: ModelFolder, threads: int | None = None) -> None:
        """``threads``: None takes the processors that this process may use, four at most.

        Raises:
            ModelError: the weights can't be read, or don't have the labels' topics.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or min(4, len(os.sched_getaffinity(0)))
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads that spin take the core from whoever shares the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = folder.path / WEIGHTS
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # the library raises its own classes over Exception
            raise ModelError(f"model: ONNX Runtime cannot load {path}: {str(e)[:300]}: {REMEDY}") from e
        self._pad_id, self._topics = folder.pad_id, len(folder.topics)
        self.precision = folder.precision
        shapes = {o.name: o.shape for o in self._session.get_outputs()}
        if shapes.get("topics_logits", [0, 0])[-1] != len(folder.topics):
            raise ModelError(
                f"model: {path} has outputs {shapes}, labels.json has {len(folder.topics)} topics: {REMEDY}"
            )

        check_topics(folder, self._session.get_modelmeta().custom_metadata_map)

    def run(self, ids: Sequence[Sequence[int]], kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sentiment = np.zeros((len(ids), 3), np.float32)
        topics = np.zeros((len(ids), self._topics), np.float32)
        for rows in batches([len(x) for x in ids], self.token_budget):
            padded = pad([ids[i] for i in rows], self._pad_id)
            sentiment[rows], topics[rows] = self._session.run(
                ["sentiment_logits", "topics_logits"], {"ids": padded, "kinds": kinds[rows]}
            )
        return sentiment, topics


class TorchBackend:
    """PyTorch over packed texts, bf16 on a GPU, float32 on a CPU; rebuilt from the folder (needs the extra `train`)."""

    def __init__(self, folder: ModelFolder, device: str | None = None, network: Any = None) -> None:
        """``network``: a :class:`models.network.Network` to run in place of the folder's."""
        import torch

        from models.graph.rebuild import rebuild
        from models.scoring.packed import PackedNetwork

        self._torch: Any = torch
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        on_gpu = self.device.startswith("cuda")
        self.precision = "bf16" if on_gpu else "float32"
        dtype = torch.bfloat16 if on_gpu else torch.float32
        self.network = PackedNetwork(network or rebuild(folder), dtype).to(self.device)
        self.token_budget = 131_072 if on_gpu else 4_096

    def run(self, ids: Sequence[Sequence[int]], kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(x) for x in ids], np.int32)
        flat = np.concatenate([np.asarray(x, np.int32) for x in ids])
        sentiment, topics = self.launch(flat, lengths, kinds)
        return sentiment.cpu().numpy(), topics.cpu().numpy()

    def launch(self, ids: np.ndarray, lengths: np.ndarray, kinds: np.ndarray) -> tuple[Any, Any]:
        """Hand texts to the device and come back at once: the logits as tensors, there when they are read.

        The texts lie end to end: ids (tokens,) int32, lengths and kinds (texts,).
        """
        from models.scoring.packed import pack

        ends = np.cumsum(lengths)
        made, first = [], 0
        with self._torch.inference_mode():
            while first < len(lengths):
                begin = int(ends[first - 1]) if first else 0
                last = max(first + 1, int(np.searchsorted(ends, begin + self.token_budget, side="right")))
                part = slice(first, last)
                made.append(self.network(pack(ids[begin : ends[last - 1]], lengths[part], kinds[part], self.device)))
                first = last
            return tuple(self._torch.cat(x) for x in zip(*made, strict=True))  # type: ignore[return-value]


def choose_backend() -> str:
    """``torch`` where it is installed and sees a GPU, else ``onnx``.

    torch takes seconds and hundreds of megabytes to import, so a machine without NVIDIA's device files is not asked.
    """
    from importlib.util import find_spec

    if find_spec("torch") is None or not Path("/dev/nvidiactl").exists():
        return "onnx"
    import torch

    return "torch" if torch.cuda.is_available() else "onnx"
