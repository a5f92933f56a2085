"""Dropout whose mask costs little on a CPU: eight decisions from each random 64-bit number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        """Zero what draws one of the first ``dropped`` of 256 numbers, scale up the rest."""
        words = (x.numel() + 7) // 8
        drawn = torch.randint(-(2**63), 2**63 - 1, (words,), dtype=torch.int64).view(torch.uint8)
        keep = drawn[: x.numel()].view(x.shape) >= dropped
        ctx.save_for_backward(keep)
        ctx.scale = 256 / (256 - dropped)
        return torch.where(keep, x * ctx.scale, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return torch.where(keep, gradients[0] * ctx.scale, 0), None


class CheapDropout(nn.Module):
    """``nn.Dropout`` for the CPU, where drawing a Bernoulli number an element is a seventh of a training step.

    The probability is rounded to 1/256. Follows ``torch.manual_seed``.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = round(p * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        out: Tensor = _Masked.apply(x, self.dropped)
        return out


def for_cpu(network: nn.Module) -> None:
    """Replace every ``nn.Dropout`` that drops anything by the cheap one."""
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout) and child.p:
                setattr(module, name, CheapDropout(child.p))
