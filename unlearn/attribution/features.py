"""What a gradient store is made of: projected gradients of records, and of queries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor

from unlearn.attribution.base import Query
from unlearn.attribution.projection import Projection
from unlearn.curvature import record_gradients
from unlearn.history import AdamState
from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.solvers.adam import Adam

Features = Callable[[Tensor], Tensor]
"""Record indices [r] -> rows [r, width] of the store."""

_BLOCK = 2**26  # entries of gradients held at a time


def gradient_features(problem: Problem, projection: Projection, *, adam: AdamState | None = None) -> Features:
    """-P grad l_z of each record, one backward pass a record; with `adam`, of the step that Adam would take on it.

    With a query's `query_features` the dot product estimates `GradientDot`'s score where there is no message graph;
    positive where the record kept the query's value up. With `adam` it is the store of "LESS: selecting influential
    data for targeted instruction tuning", 2024, arXiv 2402.04333, ranked by cosine:

        G(z) = m' / sqrt(v' + eps),    m' = b1 m + (1 - b1) g,    v' = b2 v + (1 - b2) g^2

    with m, v the optimiser's moments. **Differences from LESS:** one point; a store each for several checkpoints, whose
    scores are added with their rates as weights.

    Memory: a gigabyte and a half in single precision whatever the number of records, twice as much with `adam`; no less
    than a few gradients take.
    """
    step = max(1, _BLOCK // sum(value.numel() for value in problem.params.values()))

    def features(records: Tensor) -> Tensor:
        gradients = record_gradients(problem, records)
        found: list[Tensor] = []
        while block := list(islice(gradients, step)):
            rows = torch.stack(block)
            found.append(projection(rows if adam is None else adam_direction(rows, adam)).neg_())
        return torch.cat(found)

    return features


def query_features(problem: Problem, queries: Query, projection: Projection) -> Tensor:
    """P grad q [q, width] of the queries' values at the problem's parameters."""
    leaves = {name: value.detach().requires_grad_() for name, value in problem.params.items()}
    sources = list(leaves.values())
    gradients = [sources[0].new_zeros(0, sum(value.numel() for value in sources))]
    for value in queries(problem, leaves):
        parts = torch.autograd.grad(value, sources, retain_graph=True, allow_unused=True, materialize_grads=True)
        gradients.append(torch.cat([part.reshape(1, -1) for part in parts], 1))
    return projection(torch.cat(gradients))


def adam_direction(gradients: Tensor, state: AdamState) -> Tensor:
    """The update [r, p] that Adam makes of each gradient after its moments, without the rate and without bias terms."""
    mean, square = flatten(state.mean), flatten(state.square)
    moved = Adam.beta1 * mean + (1.0 - Adam.beta1) * gradients
    return moved / (Adam.beta2 * square + (1.0 - Adam.beta2) * gradients.square() + Adam.epsilon).sqrt()
