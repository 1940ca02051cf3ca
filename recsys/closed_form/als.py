"""Implicit-feedback matrix factorisation by alternating least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form.anderson import fixed_point
from recsys.closed_form.base import ClosedForm, register
from recsys.closed_form.narrow import Side, directions, newton_step
from recsys.closed_form.rows import row_l2, solve_rows
from recsys.data.interactions import Interactions
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.params import Params
from unlearn.streams import normals

_PLAIN, _MEMORY = 6, 10  # sweeps before acceleration, and differences that it remembers


@register
@dataclass(frozen=True, eq=False, kw_only=True)
class ImplicitAls(ClosedForm):
    """Implicit ALS: squared error over all pairs, each table in closed form given the other.

    Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", 2008.

        sum over all u, i of c_ui (p_ui - x_u . y_i)^2 + sum over all rows x of l2 (1 + alpha n_x / m)^nu |x|^2

    with p = 1, c = 1 + alpha where u interacted with i, else p = 0, c = 1, and n_x interactions of m that there could
    be, with all who are not forgotten. With `nu` 0 every row has the same penalty; with more, frequent ones have a
    larger one, by their summed confidence (Rendle, Krichene, Zhang and Koren, "Revisiting the performance of iALS on
    item recommendation benchmarks", 2022, arXiv 2110.14037).
    Each row of a table has a closed form given the other table, so folding in is exact. With `nu` 0 it is the
    `whole_data` objective of matrix factorisation, times 1 + alpha. No sweep leaves an item table of zeros, so
    `fit` starts from the seed instead of one.

    Forgetting re-solves the users that lost interactions given the items, then the items that did given the users: each
    is then what the normal equations of the remaining data give, to rounding. With `steps`, all users and all items
    follow by Newton steps, within the few directions in which one request moves rows. Neither is the joint optimum, so
    `history.removed` counts.
    Where `dim` is at least the rank of the optimum, its scores are unique and the steps tend to what a refit gives,
    except where what remains is best in more columns than the tables span, as where interactions leave users who were
    all alike: no step leaves that span. Below that rank the two may end in different local optima.

    Args:
        dim: width of the tables. alpha: confidence of an interaction.
        l2: of both tables. nu: how it grows with frequency.
        max_sweeps, tolerance: `fit` ends when a sweep would move the item table by at most this part of itself.
        steps, products: Newton steps of a deletion, and the most products with the Hessian in each; without steps, the
            half-step alone. A second step is for requests that change much.
        width: of the directions in which those steps move rows; from `dim` on, all. While a request is served it takes
            `width` (`width` + 1) / 2 numbers for each user and item.

    Raises:
        ValueError: an argument is out of range; the message lists every problem.

    **Differences from the paper:** sweeps are accelerated (Anderson); every interaction counts 1.
    """

    name = "als"
    dim: int = 64
    alpha: float = 20.0
    l2: float = 100.0
    nu: float = 0.0
    max_sweeps: int = 100
    tolerance: float = 1e-4
    steps: int = 1
    products: int = 8
    width: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self,
            dim=("at least 1", self.dim >= 1),
            alpha=("positive", self.alpha > 0),
            l2=("positive", self.l2 > 0),
            nu=("at least 0", self.nu >= 0),
            max_sweeps=("at least 1", self.max_sweeps >= 1),
            tolerance=("at least 0", self.tolerance >= 0),
            steps=("at least 0", self.steps >= 0),
            products=("at least 1", self.products >= 1),
            width=("at least 1", self.width >= 1),
        )

    def scores(self, users: NDArray[np.int64]) -> Tensor:
        return self.params["users"][torch.from_numpy(users)] @ self.params["items"].T

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.params["users"], self.params["items"]

    def fold_in(self, histories: csr_array) -> Tensor:
        return self._solve("users", histories, self.params["items"]) @ self.params["items"].T

    def fold_in_items(self, histories: csr_array) -> Tensor:
        return self.params["users"] @ self._solve("items", histories, self.params["users"]).T

    def _fitted(self, init: Params | None) -> Params:
        by_user = self.data.csr()
        by_item = csr_array(by_user.T)
        given = init["items"] if init and init["items"].any() else None

        def sweep(items: Tensor) -> Tensor:  # users given items, then items given users
            return self._solve("items", by_item, self._solve("users", by_user, items))

        items = fixed_point(
            sweep,
            self._start() if given is None else given,
            max_steps=self.max_sweeps,
            tolerance=self.tolerance,
            memory=_MEMORY,
            plain=_PLAIN if given is None else 0,
        )
        return {"users": self._solve("users", by_user, items), "items": items}

    def _updated(self, before: Interactions, forget: ForgetSet) -> tuple[Params, bool]:
        gone = before.positions(forget)
        changed = {"users": np.unique(before.user_rows()[gone]), "items": np.unique(before.item_rows()[gone])}
        histories = {"users": self.data.csr()}
        histories["items"] = csr_array(histories["users"].T)
        there = torch.from_numpy(self.data.degrees()[1] > 0)[:, None]  # the row of an item that nobody has left is zero
        tables, moves = self.params | {"items": self.params["items"] * there}, dict[str, Tensor]()
        for name, other in (("users", "items"), ("items", "users")):
            rows = torch.from_numpy(changed[name])
            solved = self._solve(name, csr_array(histories[name][changed[name]]), tables[other])
            moves[name] = solved - self.params[name][rows]
            tables[name] = tables[name].index_copy(0, rows, solved)
        if self.steps and len(gone):
            users, items = (Side.of(histories[n], tables[n], self._row_l2(n, histories[n])) for n in ("users", "items"))
            basis = directions(moves["users"], moves["items"], users, items, self.width)
            for _ in range(self.steps):
                users, items = newton_step(users, items, basis, alpha=self.alpha, products=self.products)
            tables = {"users": users.table, "items": items.table}
        return tables, False

    def _solve(self, side: str, histories: csr_array, others: Tensor) -> Tensor:
        """Rows of users or of items, given the table of the others."""
        return solve_rows(histories, others, self._row_l2(side, histories), alpha=self.alpha)

    def _row_l2(self, side: str, histories: csr_array) -> Tensor:
        others = self.data.items if side == "users" else self.data.users
        return row_l2(histories, int(others.alive.sum()), alpha=self.alpha, l2=self.l2, nu=self.nu)

    def _start(self) -> Tensor:
        keys = self.data.items.keys[:, None]
        drawn = normals(self.seed, "closed_form/items", keys, np.arange(self.dim))
        # The row of a forgotten item has key 0 and no interactions: it must not draw.
        return torch.from_numpy(0.1 * drawn * (keys > 0)).to(self.dtype)
