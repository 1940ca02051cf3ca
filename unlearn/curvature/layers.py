"""What went into and came back to the layers of an attached module, record by record."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlearn.attached import AttachedProblem
from unlearn.streams import uniforms


@dataclass(frozen=True, slots=True, eq=False)
class LayerRecords:
    """A record's gradient of `weight` (and `bias`) is sum_t outward[z, t] inward[z, t]^T.

    `inward` is [n, t, inputs] for a linear layer, a 1 appended where there is a bias, and the looked-up rows [n, t] for
    an embedding. `outward` [n, t, outputs] are the gradients of the summed losses with respect to the layer's outputs.
    """

    names: tuple[str, ...]
    inward: Tensor
    outward: Tensor

    def weighted_sum(self, weights: Tensor, shape: torch.Size) -> Tensor:
        """The gradient [shape] of the record losses weighted by `weights` [n]."""
        outward = self.outward * weights[:, None, None]
        if self.inward.dim() == 3:
            return torch.einsum("nto,nti->oi", outward, self.inward)
        return outward.new_zeros(shape).index_add_(0, self.inward.flatten(), outward.flatten(0, 1))


def layer_records(problem: AttachedProblem) -> list[LayerRecords]:
    """Every linear and embedding layer whose rows belong to one record each, in which the gradients are checked.

    A layer is left out where its outputs have another first axis than records, and where its records do not answer for
    their losses alone (message passing, a weight that is used elsewhere as well): there the gradient of a randomly
    signed sum of losses is not what the records' parts say. One forward and two backward passes.
    """
    call = copy.deepcopy(problem.functional.call)
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
    layers: dict[str, nn.Module] = {}

    def watch(name: str, layer: nn.Module) -> None:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            seen.setdefault(name, []).append((inputs[0].detach(), output))

        layers[name] = layer
        layer.register_forward_hook(hook)

    for name, layer in call.module.named_modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            watch(name, layer)
    leaves = {name: value.detach().requires_grad_() for name, value in problem.params.items()}
    losses = replace(problem, functional=replace(problem.functional, call=call)).record_losses(leaves)
    outputs = [output for calls in seen.values() for _, output in calls]
    if not outputs:
        return []
    signs = torch.from_numpy(np.where(uniforms(0, "layers", np.arange(len(losses))) < 0.5, 1.0, -1.0)).to(losses)
    options: dict[str, Any] = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    back = iter(torch.autograd.grad(losses.sum(), outputs, **options))
    truth = dict(
        zip(leaves, torch.autograd.grad((signs * losses).sum(), list(leaves.values()), **options), strict=True)
    )
    found: list[LayerRecords] = []
    for name, calls in seen.items():
        gradients = [next(back) for _ in calls]
        names = tuple(n for kind in ("weight", "bias") if (n := f"{name}.{kind}".removeprefix(".")) in leaves)
        if not names or any(len(output) != len(losses) for _, output in calls):
            continue
        layer = _assembled(layers[name], names, [x for x, _ in calls], gradients, len(losses))
        wanted = truth[names[0]] if len(names) == 1 else torch.cat([truth[names[0]], truth[names[1]][:, None]], 1)
        claimed = layer.weighted_sum(signs, wanted.shape)
        if float((claimed - wanted).norm()) <= torch.finfo(wanted.dtype).eps ** 0.5 * float(claimed.norm()):
            found.append(layer)
    return found


def _assembled(
    layer: nn.Module, names: tuple[str, ...], inputs: list[Tensor], gradients: list[Tensor], n: int
) -> LayerRecords:
    """All calls of a layer side by side, as so many positions of a record."""
    outward = torch.cat([gradient.reshape(n, -1, gradient.shape[-1]) for gradient in gradients], 1)
    if isinstance(layer, nn.Embedding):
        return LayerRecords(names, torch.cat([rows.reshape(n, -1) for rows in inputs], 1), outward)
    inward = torch.cat([x.reshape(n, -1, x.shape[-1]) for x in inputs], 1)
    if len(names) == 2:
        inward = torch.cat([inward, inward.new_ones(*inward.shape[:2], 1)], 2)
    return LayerRecords(names, inward, outward)
