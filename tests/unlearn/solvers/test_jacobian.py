"""Products with a Jacobian against the Jacobian."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.tolerances import EXACT64
from unlearn.solvers.jacobian import Jacobian


def function(x: Tensor) -> Tensor:
    return torch.stack([x.prod(), (x[0] * x[1]).exp(), x.sum() ** 2, x[2]]).view(2, 2)


def test_both_sides_and_the_derivative_in_the_vector() -> None:
    x = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
    explicit = torch.autograd.functional.jacobian(function, x).view(4, 3)
    jacobian = Jacobian(function, x)
    assert not x.requires_grad
    torch.testing.assert_close(jacobian.value, function(x), **EXACT64)
    for k in range(3):
        v = torch.eye(3, dtype=torch.float64)[k]
        torch.testing.assert_close(jacobian.push(v).view(4), explicit[:, k], **EXACT64)
    w = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(jacobian.pull(w), w.view(4) @ explicit, **EXACT64)
    v = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(jacobian.push(v).square().sum(), v)
    torch.testing.assert_close(gradient, 2.0 * explicit.T @ explicit @ v.detach(), **EXACT64)
