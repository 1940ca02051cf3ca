"""A torch module without its solution, and the functions of it: what stays the same whatever is forgotten."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from unlearn.params import Params

R = TypeVar("R")


class _Call(nn.Module):
    """Lets any function of the module run under replaced parameters, not only the module's own `forward`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable[..., R], *arguments: Any) -> R:
        return function(self.module, *arguments)


@dataclass(frozen=True, eq=False)
class FunctionalModule:
    """What stays the same whatever is forgotten: the module without its solution, and the functions of it."""

    call: _Call
    losses: Callable[[nn.Module, Any], Tensor]
    penalty: float
    background: Callable[[nn.Module, Any], Tensor] | None
    outputs: Callable[[nn.Module, Any, Tensor], Tensor] | None
    predictions: Callable[[nn.Module, Any], Tensor] | None

    @classmethod
    def of(
        cls,
        module: nn.Module,
        losses: Callable[[nn.Module, Any], Tensor],
        penalty: float,
        background: Callable[[nn.Module, Any], Tensor] | None,
        outputs: Callable[[nn.Module, Any, Tensor], Tensor] | None,
        predictions: Callable[[nn.Module, Any], Tensor] | None,
    ) -> FunctionalModule:
        """Around a private copy of `module` in evaluation mode."""
        inner = copy.deepcopy(module).eval()
        for part in inner.modules():
            if isinstance(part, nn.Embedding | nn.EmbeddingBag):
                part.sparse = False  # gradients here are parts of one vector
        for value in inner.parameters():
            if value.requires_grad:
                # No second copy of a solution that may have to be forgotten; stride 0 takes no room.
                value.data = value.new_zeros(()).expand(value.shape)
        return cls(_Call(inner), losses, penalty, background, outputs, predictions)

    def run(self, params: Params, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """`function(module, *arguments)` with the module holding `params`; fixed tensors are lent as copies."""
        tensors = {f"module.{name}": value for name, value in params.items()}
        tensors |= {name: value.clone() for name, value in self.call.named_buffers()}
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
            return functional_call(self.call, tensors, (function, *arguments))

    def initial(self, seed: int, like: Params) -> Params:
        """Fresh parameters from the module's own `reset_parameters`, drawn on the CPU whatever the device.

        Raises:
            ValueError: naming the parameters that nothing draws.
        """
        module = copy.deepcopy(self.call.module).to("cpu")
        trainable = {name: value for name, value in module.named_parameters() if name in like}
        for value in trainable.values():
            value.data = torch.full_like(value, torch.nan)

        def draw(part: nn.Module) -> None:
            for name in ("reset_parameters", "_reset_parameters"):  # torch's attention and transformer have the second
                if callable(reset := getattr(part, name, None)):
                    reset()

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reseed other devices too
            module.apply(draw)  # parts first: what the whole draws for them stands, as when it was made
        forgotten = [name for name, value in trainable.items() if value.isnan().any()]
        if forgotten:
            raise ValueError(
                f"training from the seed needs a `reset_parameters` that draws every parameter (got none for "
                f"{', '.join(forgotten)}). Give the module that owns them one, or pass `init` to `fit`."
            )
        return {name: value.detach().to(like[name].device) for name, value in trainable.items()}


def own_losses(module: nn.Module, losses: Callable[[nn.Module, Any], Tensor], data: Any) -> Tensor:
    """What a copy of the module in evaluation mode gives with the parameters that it has."""
    with sdpa_kernel(SDPBackend.MATH):  # as in `FunctionalModule.run`, to the last digit
        return losses(copy.deepcopy(module).eval(), data).detach()
