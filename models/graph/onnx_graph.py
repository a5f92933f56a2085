"""The network as an ONNX graph, written node by node: integer weights, fused attention and norms.

Written rather than traced, so that every initialiser has the name of its parameter and the network can be rebuilt from
the file (``models.graph.rebuild``). Inputs: ``ids`` (texts, tokens) int64, padded; ``kinds`` (texts,) int64. Outputs:
logits ``sentiment_logits`` (texts, 3) and ``topics_logits`` (texts, topics), float32. Operators of the domain
com.microsoft are ONNX Runtime's own.

Activations are scaled token by token (each row of a matrix by its own largest value), so nothing about a text depends
on its batch; ONNX Runtime's usual dynamic quantisation takes one scale over the whole batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.graph.quantise import EMBEDDING_TOP, LINEAR_TOP, quantise_rows

_MICROSOFT = "com.microsoft"


class _Graph:
    """Collects nodes and initialisers; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._scaled: dict[str, tuple[str, str]] = {}
        self.constant("tiny", np.array(1e-9, np.float32))
        self.constant("step", np.array(1 / 127, np.float32))
        self.constant("middle", np.array(128, np.uint8))
        self.constant("last_axis", np.array([-1], np.int64))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def thirds(self, width: int) -> str:
        """Where query, key and value of so many columns are split."""
        name = f"thirds_{width}"
        known = any(t.name == name for t in self.initializers)
        return name if known else self.constant(name, np.array([width] * 3, np.int64))

    def linear(self, x: str, name: str, weight: np.ndarray, output: str) -> str:
        """x · weightᵀ without the bias (which the next, fused node adds); weight is (out, in)."""
        codes, scales = quantise_rows(weight, LINEAR_TOP)
        x_codes, largest = self._token_codes(x)
        inputs = [
            x_codes,
            self.constant(f"{name}.codes", codes.T),
            "step",
            self.constant(f"{name}.scales", scales[:, 0]),
            "middle",
        ]
        product = self.node("MatMulIntegerToFloat", inputs, output + "_product", _MICROSOFT)
        return self.node("Mul", [product, largest], output)

    def _token_codes(self, x: str) -> tuple[str, str]:
        """(x as uint8 around 128, each row scaled to its own largest value; that value): computed once for an x."""
        if x not in self._scaled:
            largest = self.node("ReduceMax", [self.node("Abs", [x], x + "_abs"), "last_axis"], x + "_max", keepdims=1)
            largest = self.node("Max", [largest, "tiny"], x + "_largest")
            unit = self.node("Div", [x, largest], x + "_unit")
            codes = self.node("QuantizeLinear", [unit, "step", "middle"], x + "_codes")
            self._scaled[x] = (codes, largest)
        return self._scaled[x]


def build(state: dict[str, np.ndarray], config: dict[str, Any]) -> onnx.ModelProto:
    """The graph of a :class:`models.network.Network`.

    Args:
        state: its parameters by name, float32.
        config: of its encoder (hidden_size, num_attention_heads, num_hidden_layers, layer_norm_eps, pad_token_id; and
            heads_per_layer where heads were pruned).
    """
    g, eps, hidden = _Graph(), float(config["layer_norm_eps"]), int(config["hidden_size"])
    e = "encoder.embeddings."
    codes, scales = quantise_rows(state[e + "word_embeddings.weight"], EMBEDDING_TOP)
    words = g.node("Gather", [g.constant(e + "word_embeddings.codes", codes), "ids"], "word_codes")
    scale = g.node("Gather", [g.constant(e + "word_embeddings.scales", scales), "ids"], "word_scales")
    words = g.node("Mul", [g.node("Cast", [words], "word_floats", to=TensorProto.FLOAT), scale], "words")
    tokens = g.node("Shape", ["ids"], "tokens", start=1, end=2)
    zero = g.constant("zero", np.zeros(1, np.int64))
    places = g.constant(e + "position_embeddings.weight", state[e + "position_embeddings.weight"])
    places = g.node("Slice", [places, zero, tokens, zero], "places")
    kinds = g.constant(e + "token_type_embeddings.weight", state[e + "token_type_embeddings.weight"])
    one = g.constant("one", np.ones(1, np.int64))
    kinds = g.node("Unsqueeze", [g.node("Gather", [kinds, "kinds"], "kind_rows"), one], "kind_columns")
    x = g.node("Add", [g.node("Add", [words, places], "placed"), kinds], "embedded")
    norm = [g.constant(e + f"LayerNorm.{p}", state[e + f"LayerNorm.{p}"]) for p in ("weight", "bias")]
    x = g.node("LayerNormalization", [x, *norm], "layer_0", axis=-1, epsilon=eps)

    pad = g.constant("pad_id", np.array(config["pad_token_id"], np.int64))
    real = g.node("Not", [g.node("Equal", ["ids", pad], "padded")], "real")
    mask = g.node("Cast", [real], "mask", to=TensorProto.INT32)
    depth = int(config["num_hidden_layers"])
    heads = config.get("heads_per_layer") or [int(config["num_attention_heads"])] * depth
    size = hidden // int(config["num_attention_heads"])
    for k in range(depth):
        x = _layer(g, state, k, x, mask, g.thirds(heads[k] * size), heads[k], eps)

    weights = g.node("Cast", [real], "real_floats", to=TensorProto.FLOAT)
    weights = g.node("Unsqueeze", [weights, g.constant("two", np.array([2], np.int64))], "weights")
    total = g.node("ReduceSum", [g.node("Mul", [x, weights], "weighted"), one], "total", keepdims=0)
    pooled = g.node("Div", [total, g.node("ReduceSum", [weights, one], "counts", keepdims=0)], "pooled")
    for head in ("sentiment", "topics"):
        parameters = [g.constant(f"{head}.{p}", state[f"{head}.{p}"]) for p in ("weight", "bias")]
        g.node("Gemm", [pooled, *parameters], f"{head}_logits", transB=1)

    def value(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        g.nodes,
        "barometer",
        [value("ids", TensorProto.INT64, ["texts", "tokens"]), value("kinds", TensorProto.INT64, ["texts"])],
        [
            value(f"{head}_logits", TensorProto.FLOAT, ["texts", state[f"{head}.bias"].shape[0]])
            for head in ("sentiment", "topics")
        ],
        g.initializers,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="barometer")


def _layer(
    g: _Graph, state: dict[str, np.ndarray], k: int, x: str, mask: str, thirds: str, heads: int, eps: float
) -> str:
    p, out = f"encoder.encoder.layer.{k}.", f"layer_{k}_"
    joined = {
        part: np.concatenate([state[f"{p}attention.self.{w}.{part}"] for w in ("query", "key", "value")])
        for part in ("weight", "bias")
    }
    qkv = g.linear(x, p + "attention.self.qkv", joined["weight"], out + "qkv")
    names = [out + "query", out + "key", out + "value"]
    g.nodes.append(helper.make_node("Split", [qkv, thirds], names, name=out + "split", axis=-1))
    bias = g.constant(p + "attention.self.qkv.bias", joined["bias"])
    mixed = g.node("MultiHeadAttention", [*names, bias, mask], out + "mixed", _MICROSOFT, num_heads=heads)
    for name, inner in (("attention.output", ""), ("output", "intermediate")):
        y = mixed
        if inner:
            y = g.linear(x, f"{p}{inner}.dense", state[f"{p}{inner}.dense.weight"], out + "wide")
            y = g.node(
                "BiasGelu",
                [y, g.constant(f"{p}{inner}.dense.bias", state[f"{p}{inner}.dense.bias"])],
                out + "gelu",
                _MICROSOFT,
            )
        y = g.linear(y, f"{p}{name}.dense", state[f"{p}{name}.dense.weight"], f"{out}{name}")
        y = g.node(
            "Add", [y, g.constant(p + f"{name}.dense.bias", state[p + f"{name}.dense.bias"])], f"{out}{name}_bias"
        )
        norm = [g.constant(p + f"{name}.LayerNorm.{n}", state[p + f"{name}.LayerNorm.{n}"]) for n in ("weight", "bias")]
        y = g.node("Add", [y, x], f"{out}{name}_sum")
        x = g.node("LayerNormalization", [y, *norm], f"{out}{name}_norm", axis=-1, epsilon=eps)
    return x
