"""Folding in against the dense propagation over the joined graph, and against means where there is no graph."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data import Interactions, synthetic
from recsys.foldin import _or_means, folded_items, folded_users, neighbourhood, split_history
from recsys.models.social_lightgcn import SocialLightGCN
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet


def histories(width: int) -> csr_array:
    """Two that had something, in no order, and one that had nothing."""
    rows, columns = [0, 0, 0, 1], [7, 2, 5, 2]
    return csr_array((np.ones(4, np.float32), (rows, columns)), shape=(3, width))


def problem_of(data: Interactions, model: str) -> RecommenderProblem:
    layers = {} if model == "mf" else {"layers": 3}
    return RecommenderProblem.build(data, model=model, dim=4, dtype=torch.float64, **layers)


def propagated(
    matrix: np.ndarray, users: Tensor, items: Tensor, polynomial: tuple[float, ...], tied: np.ndarray | None = None
) -> Tensor:
    """sum_l c_l A^l E over the interactions [n, m] and ties [n, n] of users and items with these layer-0 rows."""
    n, between = len(matrix), torch.from_numpy(matrix)
    a = torch.zeros(sum(matrix.shape), sum(matrix.shape), dtype=torch.float64)
    a[:n, n:], a[n:, :n] = between, between.T
    if tied is not None:
        a[:n, :n] = torch.from_numpy(tied)
    root = a.sum(1).clamp_min(1.0).rsqrt()
    a, table = root[:, None] * a * root, torch.cat([users, items])
    return sum((c * torch.linalg.matrix_power(a, k) @ table for k, c in enumerate(polynomial)), torch.zeros_like(table))


def test_they_join_the_graph_with_a_row_of_zero(data: Interactions) -> None:
    problem = problem_of(data, "lightgcn")
    of_users, of_items = problem.params["table"].split([data.n_users, data.n_items])
    whole, none, c = data.csr().toarray().astype(np.float64), of_users.new_zeros(3, 4), problem.model.polynomial()
    had = histories(data.n_items).toarray().astype(np.float64)
    z = propagated(np.concatenate([whole, had]), torch.cat([of_users, none]), of_items, c)
    users, items = z.split([data.n_users + 3, data.n_items])
    found = folded_users(problem.loss, problem.params, data, histories(data.n_items))
    torch.testing.assert_close(found, users[-3:] @ items.T, **EXACT64)
    alone = neighbourhood(problem.loss, problem.params, data, histories(data.n_items))
    torch.testing.assert_close(alone, users[-3:], **EXACT64)
    had = histories(data.n_users).toarray().astype(np.float64)
    z = propagated(np.concatenate([whole, had.T], axis=1), of_users, torch.cat([of_items, none]), c)
    users, items = z.split([data.n_users, data.n_items + 3])
    found = folded_items(problem.loss, problem.params, data, histories(data.n_users))
    torch.testing.assert_close(found, users @ items[-3:].T, **EXACT64)
    assert found[:, :2].abs().min() > 0 and (found[:, 2] == 0).all()


def test_the_ties_of_the_others_are_part_of_the_graph_that_they_join() -> None:
    data = synthetic(14, 12, 80, seed=1)
    problem = problem_of(data, "social_lightgcn")
    assert isinstance(problem.model, SocialLightGCN) and data.ties is not None
    of_users, of_items = problem.params["table"].split([data.n_users, data.n_items])
    had = histories(data.n_items).toarray().astype(np.float64)
    between = np.concatenate([data.csr().toarray().astype(np.float64), had])
    tied = np.zeros((data.n_users + 3,) * 2)
    tied[data.ties[:, 0], data.ties[:, 1]] = tied[data.ties[:, 1], data.ties[:, 0]] = problem.model.tie_weight
    users = torch.cat([of_users, of_users.new_zeros(3, 4)])
    z = propagated(between, users, of_items, problem.model.polynomial(), tied=tied)
    users, items = z.split([data.n_users + 3, data.n_items])
    found = folded_users(problem.loss, problem.params, data, histories(data.n_items))
    torch.testing.assert_close(found, users[-3:] @ items.T, **EXACT64)


def test_without_a_graph_they_are_the_mean_of_what_they_had(data: Interactions) -> None:
    problem = problem_of(data, "mf")
    users, items = problem.readout()

    def means(others: Tensor) -> Tensor:
        return torch.stack([others[[7, 2, 5]].mean(0), others[2], others.new_zeros(4)])

    found = folded_users(problem.loss, problem.params, data, histories(data.n_items))
    torch.testing.assert_close(found, means(items) @ items.T, **EXACT64)
    found = folded_items(problem.loss, problem.params, data, histories(data.n_users))
    torch.testing.assert_close(found, users @ means(users).T, **EXACT64)


def test_a_mean_stands_in_for_rows_that_are_zero_as_a_whole() -> None:
    table = torch.tensor([[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    others = torch.arange(16.0).reshape(8, 2)
    expected = torch.stack([table[0], others[2], table[2]])  # the last has had nothing
    torch.testing.assert_close(_or_means(table, histories(8), others), expected)


def test_halves_share_everybody_s_history_and_single_interactions_are_asked_about() -> None:
    """An interaction of somebody forgotten with something forgotten belongs to the person."""
    data = synthetic(14, 12, 80, seed=1)
    rows, columns = data.user_rows(), data.item_rows()
    users, items = [0, 3], [0, 3]  # the same rows, which are not the same owners
    other = next(k for k in range(len(data)) if rows[k] not in users and columns[k] not in items)
    forget = ForgetSet(
        users=data.users.take(users),
        items=data.items.take(items),
        interactions=[(*data.users.take([rows[other]]), *data.items.take([columns[other]]))],
    )
    histories = {("user", u): {(u, i) for i in columns[rows == u].tolist()} for u in users}
    histories |= {("item", i): {(u, i) for u in rows[columns == i].tolist() if u not in users} for i in items}
    assert {len(one) % 2 for one in histories.values()} == {0, 1}
    single, halves = {(int(rows[other]), int(columns[other]))}, []
    for seed in range(12):
        found = split_history(data, forget, seed=seed)
        asked, folded = (set(zip(*map(np.ndarray.tolist, pairs), strict=True)) for pairs in (found.asked, found.folded))
        assert len(found.asked[0]) == len(asked) and not asked & folded and single <= asked
        assert asked | folded == single.union(*histories.values())
        for history in histories.values():
            assert len(asked & history) - len(folded & history) == len(history) % 2
        halves.append(folded)
    assert len(set(map(frozenset, halves))) == 12  # by the seed, and everything is folded in by some
    assert set().union(*halves) == set().union(*histories.values())
    # Without somebody else everybody's halves stay what they were.
    less = split_history(data.without(ForgetSet(users=data.users.take([1]))), forget, seed=11)
    own = {pair for pair in zip(*map(np.ndarray.tolist, less.folded), strict=True) if pair[0] in users}
    assert own == {pair for pair in halves[-1] if pair[0] in users}
