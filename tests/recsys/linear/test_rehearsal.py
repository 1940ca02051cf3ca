"""Steps learned from made-up deletions: their arithmetic, what they promise, and what they leave alone."""

from __future__ import annotations

import functools
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from recsys.linear.learned_step import LearnedStep, move, terms
from recsys.linear.rehearsal import _matrices, made_up
from recsys.linear.survey import Survey
from recsys.problem import RecommenderProblem
from tests.recsys.trained import distance, trained
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, Reconverge, State
from unlearn.streams import permutation

REHEARSED = Reconverge(accuracy=0.45, rehearsals=12)


@functools.cache
def rehearsed() -> State:
    state = REHEARSED.prepare(trained().problem)
    assert state is not None
    return state


def steps(state: State) -> tuple[LearnedStep, ...]:
    assert isinstance(state.payload, Survey)
    return state.payload.steps


def thin(seed: int, share: float = 0.05) -> ForgetSet:
    """A random deletion that no rehearsal had."""
    units = trained().problem.units("interaction")
    return units.forget_set(permutation(seed, "test", units.keys)[: round(share * len(units))])


def left(unlearner: Reconverge, forget: ForgetSet, state: State | None = None) -> float:
    """Share of the way to the retrain that a request leaves."""
    problem = trained().problem
    remaining = problem.without(forget)
    retrained = remaining.fit(remaining.settled(forget))
    users, items = problem.readout()
    moved = distance(unlearner.forget(problem, forget, state).problem, retrained)
    of_users, of_items = retrained.readout()
    return moved / float((users @ items.T - of_users @ of_items.T).norm())


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_step_is_the_sum_of_its_terms_times_the_matrices_of_the_side() -> None:
    graph = trained().problem.graph
    gradient, past = drawn(graph.n_nodes, 6, seed=0), drawn(graph.n_nodes, 6, seed=1)
    matrices = drawn(2, 5, 6, 6, seed=2)
    dense, counts = graph.normalized.to_dense(), graph.degrees()
    means = torch.cat([side.mean().expand(len(side)) for side in counts.split([graph.n_users, graph.n_items])])
    few = (means / (means + counts))[:, None]
    plain = [gradient, few * gradient, dense @ gradient, past, dense @ past]
    for found, expected in zip(terms(gradient, past, graph), plain, strict=True):
        torch.testing.assert_close(found, expected)
    expected = torch.cat(
        [
            sum((term[rows] @ matrix for term, matrix in zip(plain, side, strict=True)), torch.zeros(()))
            for rows, side in ((slice(graph.n_users), matrices[0]), (slice(graph.n_users, None), matrices[1]))
        ]
    )
    torch.testing.assert_close(move(matrices, gradient, past, graph), expected)


def test_matrices_are_the_ridge_regression_of_each_side() -> None:
    rows, targets = drawn(2, 200, 15, seed=3), drawn(2, 200, 3, seed=4)
    equations = rows.mT @ torch.cat([rows, targets], 2)
    found = _matrices(equations, 0.3)
    assert found.shape == (2, 5, 3, 3)
    for side in range(2):
        of_terms = rows[side].square().sum(0).view(5, 3).mean(1).repeat_interleave(3)
        augmented = torch.cat([rows[side], torch.diag((0.3 * of_terms).sqrt())])
        padded = torch.cat([targets[side], targets.new_zeros(15, 3)])
        expected = torch.linalg.lstsq(augmented, padded).solution
        torch.testing.assert_close(found[side].reshape(15, 3), expected)


def test_made_up_deletions_are_a_twentieth_each_and_differ() -> None:
    problem = trained().problem
    drawn = list(made_up(problem.units("interaction"), 3))
    assert [len(forget.interactions) for forget in drawn] == [round(0.05 * problem.n_records)] * 3
    shared = set(drawn[0].interactions) & set(drawn[1].interactions)
    assert len(shared) < 0.2 * len(drawn[0].interactions)


def test_requests_that_were_not_rehearsed_end_where_the_rehearsals_said() -> None:
    learned = steps(rehearsed())
    assert len(learned) >= 1
    assert all(later.left < earlier.left for earlier, later in pairwise(learned))
    assert learned[-1].left <= REHEARSED.accuracy
    gaps = [left(REHEARSED, thin(seed), rehearsed()) for seed in range(2)]
    assert all(0.6 * learned[-1].left < gap < 1.2 * learned[-1].left for gap in gaps)


def test_a_step_takes_one_gradient_and_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*_: object, **__: object) -> None:
        pytest.fail("L-BFGS ran where the learned steps had done")

    monkeypatch.setattr("unlearn.methods.reconverge.lbfgs", searched)
    REHEARSED.forget(trained().problem, thin(0), rehearsed())


def test_what_the_steps_leave_too_much_of_is_taken_on_from_there() -> None:
    finer = Reconverge(accuracy=0.15, rehearsals=12)
    state = rehearsed()
    assert steps(state)[-1].left > finer.accuracy
    assert left(finer, thin(1), state) < 0.7 * left(REHEARSED, thin(1), state)


@pytest.mark.parametrize("forget", [trained().user, trained().item, thin(2, 0.3)], ids=["user", "item", "30 %"])
def test_a_request_unlike_the_rehearsed_is_served_as_if_there_had_been_none(forget: ForgetSet) -> None:
    problem, plain = trained().problem, Reconverge(accuracy=0.45)
    served = REHEARSED.forget(problem, forget, rehearsed()).problem
    expected = plain.forget(problem, forget, plain.prepare(problem)).problem
    assert isinstance(served, RecommenderProblem)
    assert isinstance(expected, RecommenderProblem)
    assert torch.equal(served.params["table"], expected.params["table"])


@pytest.mark.parametrize("forget", [thin(3), trained().user], ids=["thin", "user"])
def test_no_request_leaves_what_was_learned_with_the_forgotten(forget: ForgetSet) -> None:
    state = REHEARSED.forget(trained().problem, forget, rehearsed()).state
    assert state is not None
    assert steps(rehearsed()) and not steps(state)


def test_only_what_has_one_solution_a_request_can_be_rehearsed() -> None:
    problem = trained().problem
    sampled = RecommenderProblem.build(problem.data, objective="bpr", dim=8)
    other = RecommenderProblem.build(problem.data, objective="multinomial", dim=8)
    for unlike in (sampled, other):
        with pytest.raises(MissingRequirement, match=r"`rehearsals` of `reconverge` must be 0 here"):
            REHEARSED.prepare(unlike)
    with pytest.raises(ValueError, match="`rehearsals` must be 0 or an integer of at least 2"):
        Reconverge(rehearsals=1)


def test_where_nothing_moves_no_step_is_learned() -> None:
    problem = trained().problem
    still = problem.with_params({"table": torch.zeros_like(problem.params["table"])})
    state = REHEARSED.prepare(still)
    assert state is not None
    assert not steps(state)
