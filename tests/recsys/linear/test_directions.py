"""The directions that a request names: how many they are, what they hold, and what data of short rows needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.data import from_edge_index
from recsys.linear.directions import _ECHOES, _echo, _gathered, _principal, directions
from recsys.linear.signs import signs
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.recsys.trained import trained
from unlearn.forget import ForgetSet
from unlearn.methods import Reconverge
from unlearn.problem import Fitted


@pytest.mark.parametrize("n", [60, 300], ids=["wide", "tall"])
@pytest.mark.parametrize("tail", [0.3, 0.05, 1e-3])
def test_directions_leave_out_the_share_that_they_may_and_no_more(n: int, tail: float) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(n, 120, generator=generator, dtype=torch.float64) * 0.97 ** torch.arange(120)
    left, sizes, right = torch.linalg.svd(rows, full_matrices=False)
    out = 1.0 - sizes.square().cumsum(0) / sizes.square().sum()  # by the leading 1, 2, ...
    needed = max(24, 1 + int((out > tail).sum()))
    basis = _principal(rows, tail, most=120)
    assert basis is not None
    k = basis.shape[1]
    assert needed <= k < needed + 8
    torch.testing.assert_close(basis.T @ basis, torch.eye(k, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(rows @ basis @ basis.T, (left[:, :k] * sizes[:k]) @ right[:k], atol=1e-7, rtol=0)
    assert _principal(rows, tail, most=needed - 1) is None or needed == 24


def test_there_are_no_more_directions_than_rows_have() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(60, 5, generator=generator) @ torch.randn(5, 120, generator=generator)
    basis = _principal(rows, 1e-6, most=120)
    assert basis is not None and basis.shape[1] == 5


def test_pulls_are_added_up_by_the_row_that_felt_them() -> None:
    ends, rows = torch.tensor([3, 1, 3, 2]), torch.eye(4)
    sums, at = _gathered(ends, rows, without=torch.tensor([1, 7, -2]))
    assert at.tolist() == [2, 3] and sums.tolist() == [[0, 0, 0, 1], [1, 0, 1, 0]]


def test_one_interaction_names_pulls_and_rescaled_rows_through_the_curvature_that_feels_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsys.linear.directions._echo", lambda loss, final, *_: (final[:0], final[:0]))
    problem, survey = trained().problem, trained().problem.survey()
    assert survey is not None and isinstance(problem.objective_function, WholeData)
    remaining, gone = problem.without(trained().single), problem.records(trained().single)
    kept = torch.ones(len(survey.scores), dtype=torch.bool).index_fill_(0, gone, False)
    slopes = problem.objective_function.slopes(survey.scores[kept], remaining.graph)
    r = survey.axes.shape[1]
    of_users, of_items = torch.randn(2, r, r, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    known = replace(survey, inverse_users=of_users, inverse_items=of_items)
    table, before = problem.params["table"], problem.graph
    basis = directions(remaining.loss, before, table, known, gone, gone[:0], slopes, tail=1e-9)
    assert basis is not None
    ends = torch.cat([before.rows[gone], before.cols[gone] + problem.data.n_users])
    (user, item), (user_row, item_row) = survey.final[ends], table[ends] @ survey.axes
    # A user feels the lost item's pull and what items say, an item the lost user's and what users say.
    for row in (item @ of_users, user @ of_items, item_row @ of_users, user_row @ of_items):
        assert (row - row @ basis @ basis.T).norm() < 0.01 * row.norm()


@pytest.mark.parametrize("kind", ["user", "item"])
def test_neighbours_feel_the_first_change_of_their_pulls(kind: str) -> None:
    problem, forget = trained().problem, getattr(trained(), kind)
    remaining, objective = problem.without(forget), problem.objective_function
    assert isinstance(objective, WholeData)
    graph, n = remaining.graph, problem.data.n_users
    final = torch.cat(remaining.readout())
    at = torch.arange(0, len(final), 7)
    moves = 0.1 * torch.randn(len(at), final.shape[1], generator=torch.Generator().manual_seed(1), dtype=final.dtype)
    of_users = at < n
    step = 1e-5 * torch.zeros_like(final).index_copy_(0, at, moves)

    def pulls(z: Tensor) -> Tensor:
        users, items = z[:n], z[n:]
        slopes = graph.interaction_matrix(objective.slopes(graph.edge_products(users, items), graph)).to_dense()
        return torch.cat([slopes @ items, slopes.T @ users])

    change = (pulls(final + step) - pulls(final - step)) / 2e-5  # central differences
    sums = signs(len(final), _ECHOES, like=final)
    slopes = objective.slopes(graph.edge_products(final[:n], final[n:]), graph)
    users_moved, items_moved = (moves[of_users], at[of_users]), (moves[~of_users], at[~of_users] - n)
    felt_by_users, felt_by_items = _echo(remaining.loss, final, users_moved, items_moved, slopes)
    torch.testing.assert_close(felt_by_users, sums[:n].T @ change[:n], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(felt_by_items, sums[n:].T @ change[n:], rtol=1e-6, atol=1e-7)


def test_neighbours_of_the_pulled_rows_name_directions_that_short_rows_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where users have three items each, a deletion goes on to the items' other users, whom no lost pull names."""
    monkeypatch.setattr("recsys.linear.probes.Probes.gain", lambda *_: 0.0)  # few directions have to do
    generator = torch.Generator().manual_seed(0)
    chosen = torch.stack([torch.randperm(150, generator=generator)[:3] for _ in range(900)])
    edges = torch.stack([torch.arange(900).repeat_interleave(3), chosen.flatten()])
    data = from_edge_index(edges, 900, 150)
    problem = RecommenderProblem.build(data, dim=160, options=TrainingOptions(tolerance=1e-4)).fit()
    deleted = torch.arange(0, 900, 75)
    forget = ForgetSet(users=tuple(data.users.take(deleted.numpy())))
    remaining = problem.without(forget)
    kept = torch.ones(900, dtype=torch.bool).index_fill(0, deleted, False)

    def scores(fitted: Fitted) -> Tensor:
        assert isinstance(fitted, RecommenderProblem)
        users, items = fitted.readout()
        return users[kept] @ items.T

    retrained, old = scores(remaining.fit(remaining.settled(forget))), scores(problem)

    def gap() -> float:
        served = scores(Reconverge(accuracy=0.1).forget(problem, forget).problem)
        return float((served - retrained).norm() / (old - retrained).norm())

    heard = gap()
    monkeypatch.setattr("recsys.linear.directions._echo", lambda loss, final, *_: (final[:0], final[:0]))
    assert heard < 0.7 * gap()
