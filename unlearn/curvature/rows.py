"""The exact diagonal blocks of a Hessian, one for each row of each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unlearn.curvature.operators import hessian_operator
from unlearn.params import Params, as_table, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.operator import Damping, Map, Operator
from unlearn.streams import normals


@dataclass(frozen=True, slots=True, eq=False)
class RowBlocks:
    """For each parameter the chosen `rows` [k] and their `blocks` [k, d, d] of the Hessian."""

    rows: dict[str, Tensor]
    blocks: dict[str, Tensor]
    like: Params = field(repr=False)
    products: int  # Hessian products that it took

    def inverse(self, damping: Damping = 0.0) -> Map:
        """v [p] -> (blocks + damping)^-1 v, row by row; what lies outside the chosen rows becomes 0.

        With all rows chosen it is the solution wherever rows do not meet, and a preconditioner for `cg` elsewhere.
        With some of them chosen it is the step of these rows alone.

        Raises:
            ValueError: some blocks are not positive definite with this damping; the message says how many.
        """
        shifts = unflatten(damping, self.like) if isinstance(damping, Tensor) else None
        factors: dict[str, Tensor] = {}
        wrong: list[str] = []
        for name, blocks in self.blocks.items():
            shift = damping if shifts is None else as_table(shifts[name])[self.rows[name]]
            damped = blocks.clone()
            damped.diagonal(dim1=1, dim2=2).add_(shift)
            factors[name], info = torch.linalg.cholesky_ex(damped)
            if bad := int((info > 0).sum()):
                wrong.append(f"{bad} of {len(blocks)} blocks of `{name}`")
        if wrong:
            raise ValueError(
                f"blocks must be positive definite to be inverted (got {', '.join(wrong)}); raise `damping`"
            )

        def solve(vector: Tensor) -> Tensor:
            parts = unflatten(vector, self.like)
            out = torch.zeros_like(vector)
            for (name, target), part in zip(unflatten(out, self.like).items(), parts.values(), strict=True):
                if name in factors:
                    rows = self.rows[name]
                    solved = torch.cholesky_solve(as_table(part)[rows].unsqueeze(2), factors[name])
                    as_table(target)[rows] = solved.squeeze(2)
            return out

        return solve


def row_blocks(
    problem: Problem, rows: Mapping[str, Tensor] | None = None, *, operator: Operator | None = None
) -> RowBlocks:
    """The d x d block of the Hessian at the problem's parameters, for every row (or the given rows) of each parameter.

    A row is one along the first axis, so a table [n, d] has n blocks [d, d] and a bias [n] has n blocks [1, 1]. The
    blocks are exact, by Hessian products: d of them for every group of rows that do not meet in the objective. Groups
    are found by products as well: a row's neighbours are where its own product is not zero. In matrix factorisation no
    two users meet and no two items, whatever the loss, so 2 d + 6 products give all n blocks. Where every row meets
    every other (a graph recommender with a term of all pairs) each row takes d + 1: ask for few of them.

    Memory: d^2 numbers a row. 1 M rows of 64 take 16 GB: ask for the rows that a request touches.

    Args:
        rows: parameter name -> int64 rows [k]; parameters that are not named have no blocks.
        operator: another curvature of the same problem, as `gauss_newton_operator`; the Hessian by default.

    Raises:
        KeyError: `rows` names a parameter that does not exist.
    """
    params = problem.params
    if rows is None:
        rows = {name: torch.arange(len(as_table(value)), device=value.device) for name, value in params.items()}
    counted = _Counted(hessian_operator(problem) if operator is None else operator, params)
    blocks: dict[str, Tensor] = {}
    for name, wanted in rows.items():
        d = as_table(params[name]).shape[1]
        position = torch.full((len(as_table(params[name])),), -1, dtype=torch.int64, device=wanted.device)
        position[wanted] = torch.arange(len(wanted), device=wanted.device)
        found = params[name].new_empty(len(wanted), d, d)
        left = wanted
        while left.numel():
            group = _independent(counted, name, left)
            for k in range(d):
                found[position[group], :, k] = counted.rows_product(name, group, k)[group]
            left = left[~torch.isin(left, group)]
        blocks[name] = 0.5 * (found + found.transpose(1, 2))
    return RowBlocks(dict(rows), blocks, params, counted.products)


def _independent(counted: _Counted, name: str, candidates: Tensor) -> Tensor:
    """Some of the candidate rows, at least the first, of which no two meet: greedily, until a test finds no meeting."""
    sure, open_ = candidates[:0], candidates
    while open_.numel() and not (sure.numel() and counted.apart(name, torch.cat([sure, open_]))):
        first, open_ = open_[:1], open_[1:]
        response = counted.product_of_rows(name, first, counted.random(name, first))
        open_ = open_[~response.ne(0).any(1)[open_]]
        sure = torch.cat([sure, first])
    return torch.cat([sure, open_])


class _Counted:
    """Hessian products of vectors that live on some rows of one parameter, seen on that parameter."""

    def __init__(self, operator: Operator, params: Params) -> None:
        self._operator, self._params = operator, params
        self._zero = torch.zeros_like(flatten(params))
        self.products = 0

    def product_of_rows(self, name: str, rows: Tensor, values: Tensor) -> Tensor:
        """The product [n, d] with the vector that holds `values` on `rows` and zero elsewhere."""
        vector = self._zero.clone()
        as_table(unflatten(vector, self._params)[name])[rows] = values
        self.products += 1
        return as_table(unflatten(self._operator(vector), self._params)[name])

    def rows_product(self, name: str, rows: Tensor, column: int) -> Tensor:
        values = self.random(name, rows).zero_()
        values[:, column] = 1.0
        return self.product_of_rows(name, rows, values)

    def random(self, name: str, rows: Tensor) -> Tensor:
        """Normal values [k, d] for the rows."""
        table = as_table(self._params[name])
        columns = np.arange(table.shape[1])[None, :]
        return torch.from_numpy(normals(0, "row blocks", rows.cpu().numpy()[:, None], columns)).to(table)

    def apart(self, name: str, rows: Tensor) -> bool:
        """Whether no row of the set meets another: what a random half answers does not change with the other half."""
        values = self.random(name, rows)
        half = values[:, 0] > 0.0
        together = self.product_of_rows(name, rows, values)[rows[half]]
        alone = self.product_of_rows(name, rows[half], values[half])[rows[half]]
        slack = 100.0 * torch.finfo(values.dtype).eps * together.abs().max() if len(together) else 0.0
        return bool((together - alone).abs().le(slack).all())
