"""Modules that torch treats in ways of its own: fused attention, sparse gradients, parameters in another order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.tolerances import EXACT64
from tests.unlearn.toys import cross_entropy
from unlearn.curvature import ekfac
from unlearn.forget import ForgetSet
from unlearn.hooks import attach
from unlearn.methods import method
from unlearn.params import flatten

DTYPE = torch.float64


def test_attention_is_differentiated_twice() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.out = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.layer(x)[:, -1])

    torch.manual_seed(0)
    data = (torch.randn(12, 5, 4, dtype=DTYPE), torch.arange(12) % 3)
    problem = attach(Attending().to(DTYPE), cross_entropy, data, penalty=0.1)
    direction = {name: torch.randn_like(value) for name, value in problem.params.items()}
    ends = [
        problem.value_and_gradient({name: value + h * direction[name] for name, value in problem.params.items()})[1]
        for h in (1e-6, -1e-6)
    ]
    expected = (flatten(ends[0]) - flatten(ends[1])) / 2e-6
    found = flatten(problem.hessian_product(problem.params, direction))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_sparse_gradients_are_dense_here() -> None:
    """Torch's sparse embeddings have gradients that are no vector, and no second derivative."""
    torch.manual_seed(0)
    rows, y = torch.randint(0, 6, (20, 3)), torch.randn(20, dtype=DTYPE)

    def losses(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return (module(data[0]).sum((1, 2)) - data[1]).square()

    module = nn.Embedding(6, 2, sparse=True).to(DTYPE)
    problem = attach(module, losses, (rows, y), penalty=0.1)
    assert module.sparse, "the module is never changed"
    dense = nn.Embedding(6, 2, _weight=module.weight.detach().clone())
    expected = attach(dense, losses, (rows, y), penalty=0.1)
    forget = ForgetSet(records=(1, 4))
    for name in ("iau", "influence", "ssd"):
        found, wanted = (method(name).forget(one, forget).problem.params for one in (problem, expected))
        torch.testing.assert_close(found, wanted, **EXACT64)


def test_the_order_of_parameters_in_memory_does_not_matter() -> None:
    class Convolving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image, self.out = nn.Conv2d(2, 3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.tanh(self.image(x)).mean((2, 3)))

    torch.manual_seed(0)
    data = (torch.randn(12, 2, 4, 4, dtype=DTYPE), torch.arange(12) % 3)
    module = Convolving().to(DTYPE)
    expected = attach(module, cross_entropy, data, penalty=0.1)
    problem = attach(module.to(memory_format=torch.channels_last), cross_entropy, data, penalty=0.1)
    unlearner, forget = method("iau", rows="touched"), ForgetSet(records=(1, 4))
    found, wanted = (unlearner.forget(one, forget).problem.params for one in (problem, expected))
    torch.testing.assert_close(found, wanted, **EXACT64)
    vector = torch.randn_like(flatten(problem.params))
    torch.testing.assert_close(ekfac(problem).product(vector), ekfac(expected).product(vector), **EXACT64)
