"""What of a network learns: all of it, low-rank additions to it, or the heads alone."""

from __future__ import annotations

import copy

from torch import nn

from models.errors import TrainingDataError
from models.network import Network

HOW = ("full", "lora", "ia3", "head")


def limit_tuning(network: Network, how: str, rank: int) -> Network:
    """Freeze what is not to learn; with ``lora`` add matrices of rank ``rank`` to every linear layer of the encoder.

    LoRA: Hu et al. 2021, arXiv 2106.09685, by the library peft; the scale is 2, as alpha is twice the rank. ``ia3``
    learns a factor for each key, value and inner activation (Liu et al. 2022, arXiv 2205.05638): adapters that, unlike
    bottlenecks, can be multiplied into the weights.

    Raises:
        TrainingDataError: ``how`` is none of :data:`HOW`, or peft is not installed.
    """
    if how not in HOW:
        raise TrainingDataError(f"recipe: tuning must be one of {', '.join(HOW)}, not {how!r}")
    if how == "full":
        return network
    for parameter in network.encoder.parameters():
        parameter.requires_grad = False
    if how in ("lora", "ia3"):
        try:
            from peft import IA3Config, LoraConfig, PeftConfig, get_peft_model
        except ImportError as e:
            raise TrainingDataError(f"recipe: tuning: {how} needs peft: pip install 'barometer[train]' ({e})") from e
        config: PeftConfig = LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=["query", "key", "value", "dense"]
        )
        if how == "ia3":
            inner = ["intermediate.dense"]
            config = IA3Config(target_modules=["key", "value", *inner], feedforward_modules=inner)
        network.encoder = get_peft_model(network.encoder, config)  # type: ignore[assignment]
        for name, parameter in network.encoder.named_parameters():
            if "token_type_embeddings" in name:  # the kinds are new to the base: they must learn
                parameter.requires_grad = True
    return network


def merged(network: Network) -> nn.Module:
    """The network without additions: those of LoRA are added into a copy's weights."""
    if not hasattr(network.encoder, "merge_and_unload"):
        return network
    plain = copy.deepcopy(network)
    plain.encoder = plain.encoder.merge_and_unload()  # type: ignore[operator]
    return plain
