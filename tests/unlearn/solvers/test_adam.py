"""Our Adam against torch's."""

from __future__ import annotations

import torch

from tests.tolerances import EXACT64
from unlearn.solvers.adam import Adam


def test_it_takes_the_steps_that_torch_takes() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, dtype=torch.float64, generator=generator)
    theirs = x.clone().requires_grad_()
    optimizer, ours = torch.optim.Adam([theirs], lr=0.03), Adam(x, lr=0.03)
    for _ in range(20):
        gradient = torch.randn(6, dtype=torch.float64, generator=generator)
        theirs.grad = gradient.clone()
        optimizer.step()
        ours.step(x, gradient)
        torch.testing.assert_close(x, theirs.detach(), **EXACT64)
