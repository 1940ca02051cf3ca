"""Non-backtracking messages with a small learned correction, which can only lower them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graph_influence.surrogate.base import register
from graph_influence.surrogate.messages import NonBacktracking

_LEAST = 1e-9  # under logarithms: gradients stay finite where nobody tries


@register
class Hybrid(NonBacktracking):
    """Non-backtracking messages that learn how far in-neighbours share their luck.

    Gao, Zhang and Zhang, "Neural enhanced dynamic message passing" (2022, arXiv 2202.06496). Messages count the
    in-neighbours of a node as independent, though activity that came round a loop reaches several of them together;
    then they succeed together, and fewer targets are reached. With A the success of the arcs behind a message, 1 - prod
    of (1 - p m), and Q the root of the sum of (p m)², which is A where there is one arc and less the more share it,
    the success becomes

        A exp(-sum over k of c_k logistic(b_k - u_k log A - v_k log Q)),        c, u, v >= 0

    the same in all rounds, and under "lt" with A the sum of p m. The factor is at most 1 and rises with every p m.
    Hence the answer is at most that of `NonBacktracking` after as many rounds, and rises with each seed, probability,
    retention and susceptibility, whatever was learned. With c = 0 it is that of `NonBacktracking`, exact on trees.
    `units` is the number of k: 4 parameters each, few enough for exact Hessians. `seed` draws the first.

    Differences from the paper: the network there is a graph network whose messages are added to those of dynamic
    message passing, bounded and monotone in nothing; here it is a gate of the messages' own sums.
    """

    name = "hybrid"

    def __init__(self, rounds: int | None = 10, units: int = 8, model: str = "ic", seed: int = 0) -> None:
        super().__init__(rounds, model)
        if units < 1:
            raise ValueError(f"`units` must be at least 1 for `{self.name}` (got {units})")
        self.units, self.seed = units, seed
        random = torch.Generator().manual_seed(seed)
        # Squares of these are what may not be negative.
        self.root_slopes = nn.Parameter(torch.rand(units, 2, generator=random, dtype=torch.float64))
        self.offset = nn.Parameter(4 * torch.randn(units, generator=random, dtype=torch.float64))
        self.root_depths = nn.Parameter(torch.full((units,), 0.1, dtype=torch.float64))

    def _trials(self, p: Tensor, active: Tensor) -> Tensor:
        return torch.cat([super()._trials(p, active), (p * active).square()], dim=1)

    def _success(self, total: Tensor, *learned: Tensor) -> Tensor:
        root_slopes, offset, root_depths = learned
        total, squares = total.chunk(2, dim=1)
        success = super()._success(total)
        # One that was left out by subtraction may leave less than nothing.
        logs = torch.stack([success.clamp_min(_LEAST).log(), squares.clamp_min(_LEAST**2).log() / 2], dim=-1)
        lowered = torch.sigmoid(offset - logs @ root_slopes.square().T) @ root_depths.square()
        return success * torch.exp(-lowered)
