"""The empirical Fisher matrix in a basis where it is nearly diagonal: EK-FAC, and its form for embedding tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unlearn.attached import AttachedProblem
from unlearn.curvature.layers import LayerRecords, layer_records
from unlearn.curvature.records import record_gradients
from unlearn.params import Params, as_table, unflatten
from unlearn.problem import Problem

_BLOCK = 2**24  # entries of per-record gradients held at a time


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """One block: F V = L [(L^T V R) * values] R^T for V [r, c], the named parameters side by side.

    `left` [r, r] and `right` [c, c] are orthogonal; `left` is None for the identity. `values` [r, c] are not negative.
    """

    names: tuple[str, ...]
    left: Tensor | None
    right: Tensor
    values: Tensor

    def spread(self, matrix: Tensor) -> Tensor:
        """V in the basis of the block."""
        turned = matrix @ self.right
        return turned if self.left is None else self.left.T @ turned

    def gather(self, matrix: Tensor) -> Tensor:
        """The inverse of `spread`."""
        turned = matrix @ self.right.T
        return turned if self.left is None else self.left @ turned


@dataclass(frozen=True, slots=True, eq=False)
class EKFAC:
    """F ~ an orthogonal basis with one value for each of its vectors, block by block."""

    factors: tuple[Factor, ...]
    like: Params = field(repr=False)

    def product(self, vector: Tensor) -> Tensor:
        """F v [p]."""
        return self._scaled(vector, lambda values: values)

    def solve(self, vector: Tensor, damping: float) -> Tensor:
        """(F + damping I)^-1 v [p].

        Rows that no record reaches have the value 0, so `damping` should carry the curvature of the penalty, which
        they do have; .1 times the mean value, as is usual for dense layers, hides them.

        Raises:
            ValueError: `damping` is not positive.
        """
        if not damping > 0.0:
            raise ValueError(f"`damping` must be a positive number for `EKFAC.solve` (got {damping})")
        return self._scaled(vector, lambda values: 1.0 / (values + damping))

    def _scaled(self, vector: Tensor, weights: Callable[[Tensor], Tensor]) -> Tensor:
        out = torch.empty_like(vector)
        parts, targets = unflatten(vector, self.like), unflatten(out, self.like)
        for factor in self.factors:
            matrix = torch.cat([parts[name].reshape(len(factor.values), -1) for name in factor.names], 1)
            result = factor.gather(factor.spread(matrix) * weights(factor.values))
            widths = [targets[name].numel() // len(result) for name in factor.names]
            for name, columns in zip(factor.names, result.split(widths, 1), strict=True):
                targets[name].copy_(columns.reshape(targets[name].shape))
        return out


def ekfac(problem: Problem, *, probes: int | None = None) -> EKFAC:
    """The empirical Fisher matrix sum_z g_z g_z^T of all records in Kronecker-factored eigenbases.

    George et al., "Fast approximate natural gradient descent in a Kronecker-factored eigenbasis", 2018, arXiv
    1806.03884; for influence Grosse et al., "Studying large language model generalization with influence functions",
    2023, arXiv 2308.03296. For a linear layer with inputs a and output gradients g, both summed over the records,

        A = sum a a^T = R diag R^T,    S = sum g g^T = L diag L^T,    values = sum_z (L^T g_z a_z^T R)^2.

    A lookup's input is one-hot, A is diagonal and its eigenvectors are the identity. So an embedding table [n, d] has
    one shared d x d basis R, from S = sum_z sum_v g_zv g_zv^T, and d values for each row: n d + d^2 numbers where the
    row blocks take n d^2. That form is used for tables of any origin, by explicit gradients of single records, a
    recommender's propagated table included; and by coordinates, d = 1, for vectors of parameters.

    It is the closest matrix to F in its basis, so never further from it than K-FAC, and F itself where a and g are
    independent (linear) or where no record reaches two rows and all rows share the eigenvectors (tables).

    Args:
        probes: None takes one backward pass a record (twice) for what is no linear or embedding layer of an attached
            module; a number takes so many random sums of gradients instead (see `record_gradients`).

    Sums over records, as the objective is; observed outcomes, so the *empirical* Fisher matrix. Background and penalty
    have no part in it: add the penalty's curvature as damping.

    **Differences from the papers:** sums instead of means; observed outcomes instead of sampled ones; the form for
    tables is ours; several positions of a record count as one gradient in the values and separately in A and S.
    """
    layers = layer_records(problem) if isinstance(problem, AttachedProblem) else []
    factors = [_of_lookup(layer, problem) if layer.inward.dim() == 2 else _of_linear(layer) for layer in layers]
    done = {name for factor in factors for name in factor.names}
    rest = [name for name in problem.params if name not in done]
    return EKFAC((*factors, *(_of_tables(problem, rest, probes) if rest else ())), problem.params)


def _of_linear(layer: LayerRecords) -> Factor:
    inward, outward = layer.inward.flatten(0, 1), layer.outward.flatten(0, 1)
    left, right = _basis(outward.T @ outward), _basis(inward.T @ inward)
    inward, outward = layer.inward @ right, layer.outward @ left
    step = max(1, _BLOCK // (left.shape[0] * right.shape[0]))
    values = left.new_zeros(left.shape[0], right.shape[0])
    for a, g in zip(inward.split(step), outward.split(step), strict=True):
        values.add_(torch.einsum("nto,nti->noi", g, a).square_().sum(0))
    return Factor(layer.names, left, right, values)


def _of_lookup(layer: LayerRecords, problem: Problem) -> Factor:
    n_rows, d = problem.params[layer.names[0]].shape
    rows = layer.inward
    owners = torch.arange(len(rows), device=rows.device)[:, None].expand_as(rows)
    keys, position = (owners * n_rows + rows).flatten().unique(return_inverse=True)
    gradients = layer.outward.new_zeros(len(keys), d).index_add_(0, position, layer.outward.flatten(0, 1))
    right = _basis(gradients.T @ gradients)
    values = right.new_zeros(n_rows, d).index_add_(0, keys % n_rows, (gradients @ right).square())
    return Factor(layer.names, None, right, values)


def _of_tables(problem: Problem, names: list[str], probes: int | None) -> list[Factor]:
    def tables() -> Iterator[Params]:
        for gradient in record_gradients(problem, probes=probes):
            parts = unflatten(gradient, problem.params)
            yield {name: as_table(parts[name]) for name in names}

    start = {name: as_table(problem.params[name]) for name in names}
    covariances = {name: table.new_zeros(table.shape[1], table.shape[1]) for name, table in start.items()}
    for parts in tables():
        for name, part in parts.items():
            covariances[name].addmm_(part.T, part)
    bases = {name: _basis(covariance) for name, covariance in covariances.items()}
    values = {name: torch.zeros_like(table) for name, table in start.items()}
    for parts in tables():
        for name, part in parts.items():
            values[name].add_((part @ bases[name]).square_())
    return [Factor((name,), None, bases[name], values[name]) for name in names]


def _basis(covariance: Tensor) -> Tensor:
    return torch.linalg.eigh(covariance.double()).eigenvectors.to(covariance.dtype)
