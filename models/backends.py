"""Where the network runs. A backend takes padded ids and kinds of one batch and gives the two arrays of logits."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np

from models.errors import ModelError
from models.folder import WEIGHTS, ModelFolder


class Backend(Protocol):
    """ids (texts, tokens) int64 and kinds (texts,) int64 → sentiment (texts, 3), topics (texts, topics), float32."""

    token_budget: int
    """Padded tokens a batch at which this backend is fastest."""

    def run(self, ids: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class OnnxBackend:
    """ONNX Runtime on the CPU."""

    token_budget = 1536

    def __init__(self, folder: ModelFolder, threads: int | None = None) -> None:
        """``threads``: None takes the processors that this process may use, four at most.

        Raises:
            ModelError: the weights can't be read, or don't have the labels' number of topics.
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
            raise ModelError(f"model: ONNX Runtime cannot load {path}: {str(e)[:300]}") from e
        shapes = {o.name: o.shape for o in self._session.get_outputs()}
        if shapes.get("topics_logits", [0, 0])[-1] != len(folder.topics):
            raise ModelError(f"model: {path} has outputs {shapes}, labels.json has {len(folder.topics)} topics")

    def run(self, ids: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sentiment, topics = self._session.run(["sentiment_logits", "topics_logits"], {"ids": ids, "kinds": kinds})
        return np.asarray(sentiment), np.asarray(topics)


class TorchBackend:
    """PyTorch, bf16 on a GPU, float32 on a CPU; the network is rebuilt from the folder (needs the extra `train`)."""

    def __init__(self, folder: ModelFolder, device: str | None = None) -> None:
        import torch

        from models.rebuild import rebuild

        self._torch: Any = torch
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._network = rebuild(folder).to(self._device).eval()
        self.token_budget = 65_536 if self._device.type == "cuda" else 4_096

    def run(self, ids: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        torch = self._torch
        half = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda")
        with torch.inference_mode(), half:
            out = self._network(torch.from_numpy(ids).to(self._device), torch.from_numpy(kinds).to(self._device))
        return out[0].float().cpu().numpy(), out[1].float().cpu().numpy()
