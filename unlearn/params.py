"""Parameters: named tensors, or one flat vector of them all; and derivatives in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Params = dict[str, Tensor]


def flatten(params: Mapping[str, Tensor]) -> Tensor:
    """One detached vector [p] of all parameters, in the mapping's order."""
    return torch.cat([value.detach().reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> Params:
    """Views of `vector` [p] with the names and shapes of `like`.

    Raises:
        ValueError: the vector has more or fewer entries than `like`.
    """
    sizes = [value.numel() for value in like.values()]
    if sum(sizes) != vector.numel():
        raise ValueError(f"`vector` must have {sum(sizes)} entries to fill these parameters (got {vector.numel()})")
    parts = vector.split(sizes)
    return {name: part.view(value.shape) for (name, value), part in zip(like.items(), parts, strict=True)}


def value_and_gradient(function: Callable[[Params], Tensor], params: Mapping[str, Tensor]) -> tuple[float, Params]:
    """Value and gradient of a scalar function of the parameters; 0 where it does not depend on them."""
    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    value = function(leaves)
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return float(value.detach()), dict(zip(leaves, gradients, strict=True))


def differentiate(function: Callable[[Params], Tensor], params: Mapping[str, Tensor]) -> tuple[float, Tensor]:
    """The same with the gradient as one vector [p]."""
    value, gradient = value_and_gradient(function, params)
    return value, flatten(gradient)


def as_table(value: Tensor) -> Tensor:
    """A contiguous parameter as [rows, d], a view; a vector has rows of width 1, a scalar is one of them."""
    return value.view(value.shape[0] if value.dim() else 1, -1)


def arranged(params: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Params:
    """The same parameters in the order of `like`, which is that of a vector of them.

    Raises:
        ValueError: naming all that are missing, unknown, or of another number of dimensions or rows; columns are free,
            for an embedding table may have grown.
    """
    problems = [
        f"`{name}` must be {_kind(like.get(name))} among the parameters (got {_kind(params.get(name))})"
        for name in dict.fromkeys([*like, *params])
        if _kind(like.get(name)) != _kind(params.get(name))
    ]
    if problems:
        raise ValueError("\n".join(problems))
    return {name: params[name] for name in like}


def _kind(value: Tensor | None) -> str:
    if value is None:
        return "absent"
    return f"{value.dim()}-dimensional of {value.shape[0]} rows" if value.dim() else "a scalar"
