"""Squares of single records' gradients: the diagonal of the empirical Fisher matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from unlearn.curvature import record_gradients
from unlearn.params import Params, flatten
from unlearn.problem import Problem

PROBES = 64


def squared_gradients(problem: Problem, params: Params, records: Tensor, *, probes: int = PROBES) -> Tensor:
    """For each parameter, the sum over the records of the square of that record's own derivative [p].

        sum_i g_i^2 = E_s (sum_i s_i g_i)^2,     s_i = +1 or -1, independent

    Up to `probes` records one backward pass each, exactly; of more, the mean over `probes` draws of s, unbiased with a
    relative standard deviation of at most sqrt(2 / probes). One forward pass in either case.
    """
    total = torch.zeros_like(flatten(params))
    exact = records.numel() <= probes
    for gradient in record_gradients(problem.with_params(params), records, probes=None if exact else probes):
        total.add_(gradient.square_())
    return total
