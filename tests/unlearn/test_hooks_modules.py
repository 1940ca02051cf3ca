"""Modules that torch treats in ways of its own: fused attention, sparse gradients, parameters in another order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.tolerances import EXACT64
from tests.unlearn.toys import cross_entropy, regression, squared
from unlearn.curvature import ekfac
from unlearn.forget import ForgetSet
from unlearn.hooks import attach
from unlearn.methods import MissingRequirement, method, methods
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


def test_a_parameter_that_is_read_past_its_name_is_refused() -> None:
    """Such a module reads what was left in the place of its parameters: its losses are those of another model."""

    class Listed(nn.Module):
        def __init__(self, kept: type) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(5, 4), nn.Linear(4, 1)
            self.weights = kept([self.first.weight])

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.tanh(x @ self.weights[0].T + self.first.bias))

    with pytest.raises(ValueError, match=r"under the names that they are registered by.*`ParameterList`"):
        attach(Listed(list).to(DTYPE), squared, regression())
    module = Listed(nn.ParameterList).to(DTYPE)
    problem = attach(module, squared, regression())
    torch.testing.assert_close(problem.record_losses(problem.params), squared(module, regression()), **EXACT64)


def test_embeddings_that_change_when_they_are_looked_up_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must not have embeddings with `max_norm`.*got 0\)"):
        attach(nn.Sequential(nn.Embedding(6, 2, max_norm=0.5), nn.Linear(2, 1)), squared, regression())


def test_what_the_whole_draws_for_its_parts_stands() -> None:
    class Recommender(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(300, 50)
            self.reset_parameters()

        def reset_parameters(self) -> None:
            nn.init.xavier_uniform_(self.table.weight)

        def forward(self, rows: Tensor) -> Tensor:
            return self.table(rows).sum(1)

    module = Recommender().to(DTYPE)
    problem = attach(module, squared, (torch.arange(20), torch.ones(20, dtype=DTYPE)))
    drawn = problem.functional.initial(0, problem.params)["table.weight"]
    assert abs(float(drawn.std() / module.table.weight.detach().std()) - 1) < 0.05


def test_attention_draws_its_parameters() -> None:
    torch.manual_seed(0)
    data = (torch.randn(12, 5, 4, dtype=DTYPE), torch.randn(12, 5, 4, dtype=DTYPE))
    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True).to(DTYPE)
    problem = attach(layer, lambda module, held: (module(held[0]) - held[1]).square().sum((1, 2)), data, penalty=1.0)
    assert set(problem.functional.initial(0, problem.params)) == set(problem.params)


def test_running_statistics_are_said_to_stay() -> None:
    x, y = regression()
    module = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1)).to(DTYPE)
    assert attach(module, squared, (x, y)).caveat is None
    module(x)
    caveat = attach(module, squared, (x, y)).without(ForgetSet(records=(1,))).caveat
    assert caveat is not None and caveat.startswith("running statistics (0) stay")


def test_nothing_is_trained_from_where_the_objective_is_no_number() -> None:
    x, y = regression()
    x[3, 2] = torch.nan
    problem = attach(nn.Linear(5, 1).to(DTYPE), squared, (x, y), penalty=1.0)
    with pytest.raises(
        ValueError, match=r"finite number where training begins \(got 1 of 40 losses that are none, at 3"
    ):
        problem.fit()
    assert problem.without(ForgetSet(records=(3,))).fit().residual() < 1e-5


def test_small_losses_depend_on_others_as_large_ones_do() -> None:
    for scale in (1.0, 1e-9):
        problem = attach(
            nn.Linear(5, 1).to(DTYPE),
            lambda module, data, scale=scale: scale * squared(module, (data[0] - data[0].mean(0), data[1])),
            regression(),
        )
        assert problem.apart(ForgetSet(records=(0, 1)))[1] is not None


def test_everything_can_be_forgotten_of_a_module_without_second_derivatives_on_nothing() -> None:
    torch.manual_seed(0)
    rows, y = torch.randint(0, 6, (20, 3)), torch.randn(20, dtype=DTYPE)

    def losses(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return (module(data[0]).square().sum((1, 2)) - data[1]).square()

    problem = attach(nn.Embedding(6, 2).to(DTYPE), losses, (rows, y), penalty=0.5)
    for name in methods():
        try:
            after: Any = method(name).forget(problem, ForgetSet(records=tuple(range(20)))).problem
        except MissingRequirement:
            continue
        assert all(bool(value.isfinite().all()) for value in after.params.values()), name


@pytest.mark.parametrize("normalised", [False, True])
def test_a_training_that_cannot_converge_says_so(normalised: bool) -> None:
    """A weight that is normalised has no effect by its length, which the penalty shrinks without end."""
    module = nn.Linear(5, 1).to(DTYPE)
    if normalised:
        module = nn.utils.parametrizations.weight_norm(module)
    for penalty in (0.0, 0.1):
        problem = attach(module, squared, regression(), penalty=penalty)
        assert problem.caveat is None  # which was not trained yet
        caveat = problem.fit(problem.params).caveat
        assert (caveat is not None) == (normalised and penalty > 0)
        assert caveat is None or caveat.startswith("training stopped with a gradient")
