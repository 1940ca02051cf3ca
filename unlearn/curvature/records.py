"""Gradients of single records, or so many random sums of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.streams import uniforms


def record_gradients(problem: Problem, records: Tensor | None = None, *, probes: int | None = None) -> Iterator[Tensor]:
    """Yields vectors g [p] with sum g g^T = sum_z g_z g_z^T, the empirical Fisher matrix of the records (all if None).

    Without `probes` they are the records' own gradients g_z in their order, one backward pass each. With `probes` they
    are that many sums of all g_z with independent random signs, divided by sqrt(probes): the equation then holds in
    expectation, with a relative standard deviation of at most sqrt(2 / probes) on the diagonal.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in problem.params.items()}
    losses = problem.record_losses(leaves, records)
    numbers = np.arange(len(losses))
    for k in range(len(losses) if probes is None else probes):
        if probes is None:
            weights = torch.zeros_like(losses)
            weights[k] = 1.0
        else:
            signs = np.where(uniforms(0, "record gradients", k, numbers) < 0.5, 1.0, -1.0)
            weights = torch.from_numpy(signs / probes**0.5).to(losses)
        gradients = torch.autograd.grad(
            losses, list(leaves.values()), weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        yield flatten(dict(zip(leaves, gradients, strict=True)))
