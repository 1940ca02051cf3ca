"""EK-FAC against the explicit Fisher matrix: where it is exact, and that it is never behind K-FAC."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.toys import classifier, cross_entropy, tiny_data
from unlearn.curvature import EKFAC, ekfac, fisher_operator, record_gradients
from unlearn.curvature.layers import layer_records
from unlearn.hooks import AttachedProblem, attach
from unlearn.params import flatten
from unlearn.problem import Problem

DTYPE = torch.float64


def dense(approximation: EKFAC) -> Tensor:
    size = len(flatten(approximation.like))
    return torch.stack([approximation.product(column) for column in torch.eye(size, dtype=DTYPE)], 1)


def distance(approximation: EKFAC, problem: Problem) -> float:
    exact = fisher_operator(problem).matrix()
    return float((dense(approximation) - exact).norm() / exact.norm())


def dictated(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    """A loss whose gradient in the module's outputs is part of the data."""
    x, gradients = data
    return (module(x) * gradients).flatten(1).sum(1)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DTYPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_is_exact_where_inputs_and_gradients_are_independent(bias: bool) -> None:
    """Every input with every output gradient: the Fisher matrix is a Kronecker product."""
    inputs, gradients = draw(6, 4), draw(5, 3, seed=1)
    x, g = inputs.repeat_interleave(5, 0), gradients.repeat(6, 1)
    problem = attach(nn.Linear(4, 3, bias=bias, dtype=DTYPE), dictated, (x, g))
    torch.testing.assert_close(dense(ekfac(problem)), fisher_operator(problem).matrix(), **CONVERGED64)
    paired = attach(nn.Linear(4, 3, bias=bias, dtype=DTYPE), dictated, (inputs, draw(6, 3, seed=2)))
    assert distance(ekfac(paired), paired) > 0.05


def lookups(rows: Tensor, gradients: Tensor, n: int) -> AttachedProblem:
    return attach(nn.Embedding(n, gradients.shape[-1], dtype=DTYPE), dictated, (rows, gradients))


def test_an_embedding_is_exact_where_rows_are_independent() -> None:
    """One row a record, and gradients along common axes, of another strength in every row."""
    axes = torch.linalg.qr(draw(4, 4)).Q
    rows = torch.arange(7).repeat_interleave(4)
    strength = draw(28, 1, seed=1).abs() + torch.linspace(0.1, 3.0, 28, dtype=DTYPE)[:, None]
    problem = lookups(rows, strength * axes.repeat(7, 1), 9)
    found = ekfac(problem)
    torch.testing.assert_close(dense(found), fisher_operator(problem).matrix(), **CONVERGED64)
    assert float(found.factors[0].values[7:].abs().max()) == 0.0, "rows 7 and 8 were never looked up"
    shared = problem.with_params(problem.params)
    two_rows = lookups(torch.stack([rows, rows.flip(0)], 1), strength[:, None] * axes.repeat(7, 1)[:, None], 9)
    assert distance(ekfac(two_rows), two_rows) > 0.2, "a record that reaches two rows ties them together"
    assert distance(ekfac(shared), shared) < 1e-8


def scores(inner: nn.Module, data: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    left, right = inner(data[0]), inner(data[1])
    return 0.5 * ((left * right).sum(1) - data[2]).square()


def embedding_pairs() -> AttachedProblem:
    """A table that is looked up twice a record, some rows with themselves."""
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.randint(0, 6, (30,), generator=generator) for _ in range(2))
    module = nn.Embedding(6, 3, dtype=DTYPE)
    torch.nn.init.normal_(module.weight, generator=generator)
    return attach(module, scores, (left, right, draw(30)))


class Free(nn.Module):
    """The same function as an embedding module, by a bare parameter that no hook sees."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, rows: Tensor) -> Tensor:
        return self.weight[rows]


def test_layers_and_explicit_gradients_of_records_agree() -> None:
    problem = embedding_pairs()
    free = attach(Free(problem.params["weight"]), scores, problem.payload)
    assert len(layer_records(problem)) == 1
    assert layer_records(free) == []
    torch.testing.assert_close(dense(ekfac(problem)), dense(ekfac(free)), **EXACT64)
    gradients = torch.stack(list(record_gradients(problem))).view(30, 6, 3)
    found = ekfac(free).factors[0]
    torch.testing.assert_close(found.values, (gradients @ found.right).square().sum(0), **EXACT64)


def kfac(problem: AttachedProblem, approximation: EKFAC) -> Tensor:
    """K-FAC in the same eigenbases: A (x) S / n in place of the corrected values, layer by layer."""
    out = EKFAC(
        tuple(
            type(factor)(factor.names, factor.left, factor.right, _kronecker_values(problem, factor.names))
            for factor in approximation.factors
        ),
        approximation.like,
    )
    return dense(out)


def _kronecker_values(problem: AttachedProblem, names: tuple[str, ...]) -> Tensor:
    layer = next(layer for layer in layer_records(problem) if layer.names == names)
    inward, outward = layer.inward.flatten(0, 1), layer.outward.flatten(0, 1)
    a, s = torch.linalg.eigvalsh(inward.T @ inward), torch.linalg.eigvalsh(outward.T @ outward)
    return s[:, None] * a[None, :] / problem.n_records


def test_it_is_closer_to_the_fisher_matrix_than_k_fac() -> None:
    """George et al., proposition 1: the values are the best there are in this basis, and k-fac's are others."""
    problem = classifier(n=60, d=5, hidden=4, dtype=DTYPE, epochs=20).fit()
    exact = fisher_operator(problem).matrix()
    found = ekfac(problem)
    assert {factor.names for factor in found.factors} == {("hidden.weight", "hidden.bias"), ("out.weight", "out.bias")}
    ours, theirs = float((dense(found) - exact).norm()), float((kfac(problem, found) - exact).norm())
    assert ours < 0.99 * theirs
    diagonal = float((exact.diagonal().diag() - exact).norm())
    assert ours < diagonal
    assert float(dense(found).trace()) == pytest.approx(float(exact.trace()), rel=1e-9), "the trace is kept exactly"


@pytest.mark.parametrize(
    "make", [embedding_pairs, lambda: classifier(n=30, d=4, hidden=3, dtype=DTYPE, epochs=2).fit()]
)
def test_solve_inverts_product(make: Callable[[], Problem]) -> None:
    problem = make()
    found = ekfac(problem)
    vector = draw(len(flatten(problem.params)))
    solved = found.solve(vector, 0.07)
    torch.testing.assert_close(found.product(solved) + 0.07 * solved, vector, **CONVERGED64)
    with pytest.raises(ValueError, match="`damping` must be a positive number"):
        found.solve(vector, 0.0)


def test_positions_of_a_record_count_as_one_gradient() -> None:
    """A layer that runs over a sequence: the values are squares of a record's summed gradient."""
    problem = attach(nn.Linear(3, 2, dtype=DTYPE), dictated, (draw(8, 5, 3), draw(8, 5, 2, seed=1)))
    found = ekfac(problem)
    assert float(dense(found).trace()) == pytest.approx(float(fisher_operator(problem).matrix().trace()), rel=1e-9)


def test_records_are_taken_in_blocks_that_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = classifier(n=30, d=4, hidden=3, dtype=DTYPE, epochs=2).fit()
    whole = dense(ekfac(problem))
    monkeypatch.setitem(ekfac.__globals__, "_BLOCK", 100)  # six records of the first layer, three of the second
    torch.testing.assert_close(dense(ekfac(problem)), whole, **EXACT64)


class Mixing(nn.Module):
    """Every record's output depends on another's row: message passing, as far as hooks can tell."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.linear, self.share = nn.Linear(4, 3, dtype=DTYPE), share

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        return out + self.share * out.flip(0)


class Shared(nn.Module):
    """A layer over a table of its own, from which records take rows: its outputs are not one a record."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3, dtype=DTYPE)
        self.register_buffer("table", draw(7, 4, seed=2))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.get_buffer("table"))[(10 * x[:, 0]).long() % 7]


@pytest.mark.parametrize("make", [lambda: Mixing(2.0), lambda: Mixing(1e-3), Shared], ids=["much", "little", "shared"])
def test_layers_whose_records_mix_are_taken_by_explicit_gradients(make: Callable[[], nn.Module]) -> None:
    problem = attach(make(), cross_entropy, (draw(10, 4), torch.arange(10) % 3))
    assert layer_records(problem) == []
    found = ekfac(problem)
    assert {factor.names for factor in found.factors} == {("linear.weight",), ("linear.bias",)}
    assert float(dense(found).trace()) == pytest.approx(float(fisher_operator(problem).matrix().trace()), rel=1e-9)


@pytest.mark.parametrize("model", ["mf", "lightgcn"])
def test_a_recommenders_table(model: str) -> None:
    """Its propagated table has no layer to hook into; the values are those of the records' own gradients."""
    problem = RecommenderProblem.build(
        tiny_data(12, 10, 50), model=model, objective=WholeData(a=0.1), dtype=DTYPE, dim=3
    )
    (factor,) = ekfac(problem).factors
    assert factor.names == ("table",)
    gradients = torch.stack(list(record_gradients(problem))).view(len(problem.data), 22, 3)
    covariance = torch.einsum("zvd,zve->de", gradients, gradients)
    turned = factor.right.T @ covariance @ factor.right
    torch.testing.assert_close(turned, turned.diagonal().diag(), **CONVERGED64)
    torch.testing.assert_close(factor.values, (gradients @ factor.right).square().sum(0), **EXACT64)
    (sketched,) = ekfac(problem, probes=400).factors
    assert float((sketched.values.sum(1) - factor.values.sum(1)).norm() / factor.values.sum(1).norm()) < 0.15
