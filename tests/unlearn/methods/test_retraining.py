"""The baselines and the methods that end at the retrain, against closed forms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.methods.contract import recommender_case
from tests.unlearn.toys import classifier, regression, ridge, ridge_solution
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.hooks import gradient_restriction
from unlearn.methods import FineTune, GraphDrop, NoOp, Retrain, RowDrop, State, Unlearner, method
from unlearn.params import flatten
from unlearn.problem import Problem

FORGOTTEN = (0, 3, 17, 39)


@pytest.fixture(scope="module")
def problem() -> AttachedProblem:
    return ridge().fit()


def remaining_solution(*forgotten: int) -> Tensor:
    x, y = regression()
    kept = [i for i in range(len(x)) if i not in forgotten]
    return ridge_solution(x[kept], y[kept])


@pytest.mark.parametrize(
    "unlearner",
    [
        Retrain(),
        Retrain(coupled=True),
        method("reconverge", accuracy=0.0, max_iterations=200),
    ],
    ids=lambda unlearner: repr(unlearner)[:24],
)
def test_what_ends_at_the_retrain_equals_the_closed_form(unlearner: Unlearner, problem: AttachedProblem) -> None:
    first = unlearner.forget(problem, ForgetSet(records=FORGOTTEN))
    torch.testing.assert_close(flatten(first.problem.params), remaining_solution(*FORGOTTEN), **CONVERGED64)
    second = unlearner.forget(first.problem, ForgetSet(records=(1, 2)))
    torch.testing.assert_close(flatten(second.problem.params), remaining_solution(*FORGOTTEN, 1, 2), **CONVERGED64)
    # The deletion is felt: a method that did nothing would be far outside the tolerance.
    assert (remaining_solution(*FORGOTTEN) - flatten(problem.params)).abs().max() > 1e4 * CONVERGED64["atol"]


def test_cold_and_coupled_retrains_begin_elsewhere(problem: AttachedProblem) -> None:
    early = replace(problem, options=replace(problem.options, max_iterations=1))
    request = ForgetSet(records=FORGOTTEN)
    coupled = Retrain(coupled=True).forget(early, request).problem
    assert torch.equal(flatten(coupled.params), flatten(early.without(request).fit().params))
    cold = Retrain().forget(early, request).problem
    assert cold.history.seed != coupled.history.seed == problem.options.seed
    assert not torch.allclose(flatten(cold.params), flatten(coupled.params))


def test_a_retrain_that_ends_short_of_a_converged_start_is_no_failure(problem: AttachedProblem) -> None:
    """There is nothing left to fall back on: what training ends in is the answer."""
    solved = replace(
        problem.with_params({"weight": remaining_solution(*FORGOTTEN)[None]}),
        options=replace(problem.options, max_iterations=1),
    )
    result = Retrain().forget(solved, ForgetSet(records=FORGOTTEN), on_failure="raise")
    assert result.residual_before is not None and result.residual_after is not None
    assert result.residual_after > 1e6 * result.residual_before


def test_what_breaks_on_a_model_of_numbers_is_not_taken_for_a_failure_to_converge(problem: AttachedProblem) -> None:
    @dataclass(frozen=True)
    class Breaking(Unlearner):
        name = "breaking"

        def _forget(
            self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
        ) -> tuple[Problem, State | None]:
            raise ValueError("of its own")

    for on_failure in ("keep", "retrain"):
        with pytest.raises(ValueError, match="of its own"):
            Breaking().forget(problem, ForgetSet(records=FORGOTTEN), on_failure=on_failure)


def test_a_retrain_runs_with_the_training_hooks() -> None:
    plain = classifier(60, hidden=8, epochs=20)
    hooked = replace(plain, history=replace(plain.history, hooks=(gradient_restriction(0.5, batch=20),))).fit()
    request = ForgetSet(records=(1, 2))
    after = Retrain(coupled=True).forget(hooked, request).problem
    assert after.history.hooks == hooked.history.hooks
    assert torch.equal(flatten(after.params), flatten(hooked.without(request).fit().params))
    assert not torch.allclose(flatten(after.params), flatten(plain.without(request).fit().params))
    assert plain.caveat is None and after.caveat is not None


def test_a_caveat_says_where_methods_end_of_a_training_with_hooks() -> None:
    """At the objective's own minimum, which a retrain with the same hooks is not."""
    hooks = (gradient_restriction(0.5, batch=8),)
    plain = ridge()
    hooked = replace(plain, history=replace(plain.history, hooks=hooks)).fit()
    request = ForgetSet(records=(1, 2))
    settled = method("reconverge", accuracy=1e-8).forget(hooked, request).problem
    torch.testing.assert_close(flatten(settled.params), flatten(plain.without(request).fit().params), **CONVERGED64)
    assert not torch.allclose(flatten(settled.params), flatten(Retrain().forget(hooked, request).problem.params))
    assert "ends where training without the terms would" in (settled.caveat or "")


def test_no_op_goes_on_as_before_and_says_how_far_off_it_is(problem: AttachedProblem) -> None:
    result = NoOp().forget(problem, ForgetSet(records=FORGOTTEN))
    assert torch.equal(flatten(result.problem.params), flatten(problem.params))
    assert result.problem.n_records == problem.n_records
    assert result.residual_ratio == 1.0
    assert result.residual_after > 0.1 > problem.residual()


def test_graph_drop_keeps_parameters_and_drops_data(problem: AttachedProblem) -> None:
    result = GraphDrop().forget(problem, ForgetSet(records=FORGOTTEN))
    assert torch.equal(flatten(result.problem.params), flatten(problem.params))
    assert result.problem.n_records == problem.n_records - len(FORGOTTEN)
    assert result.n_rows_changed == 0


def test_row_drop_clears_the_rows_of_the_forgotten_alone() -> None:
    case = recommender_case(torch.float64)
    user = case.requests[0].users[0]
    row = int(case.problem.data.users.rows([user])[0])
    assert case.problem.params["table"][row].abs().min() > 0
    result = RowDrop().forget(case.problem, case.requests[0])
    assert not result.problem.params["table"][row].any()
    assert result.rows_changed["table"].nonzero().flatten().tolist() == [row]
    others = torch.arange(len(case.problem.params["table"])) != row
    assert torch.equal(result.problem.params["table"][others], case.problem.params["table"][others])


def test_row_drop_of_a_single_interaction_is_graph_drop() -> None:
    case = recommender_case(torch.float64)
    request = ForgetSet(interactions=case.requests[1].interactions)
    row_drop, graph_drop = (unlearner.forget(case.problem, request).problem for unlearner in (RowDrop(), GraphDrop()))
    assert torch.equal(row_drop.params["table"], graph_drop.params["table"])


def test_dropping_edges_changes_the_scores_of_others() -> None:
    case = recommender_case(torch.float64)
    result = GraphDrop().forget(case.problem, case.requests[0])
    row = int(case.problem.data.users.rows(case.requests[0].users)[0])
    pairs = torch.cartesian_prod(torch.arange(case.problem.data.n_users), torch.arange(case.problem.data.n_items))
    pairs = pairs[pairs[:, 0] != row]
    assert (result.problem.outputs(pairs) - case.problem.outputs(pairs)).abs().max() > 1e-3


def test_fine_tuning_lowers_the_remaining_objective(problem: AttachedProblem) -> None:
    result = FineTune(epochs=20, lr=1e-3).forget(problem, ForgetSet(records=FORGOTTEN))
    remaining = problem.without(ForgetSet(records=FORGOTTEN))
    before = float(remaining.objective(problem.params))
    assert float(remaining.objective(result.problem.params)) < before
    assert result.residual_ratio < 0.9


def test_long_fine_tuning_approaches_the_closed_form(problem: AttachedProblem) -> None:
    result = FineTune(epochs=1000, lr=1e-2).forget(problem, ForgetSet(records=FORGOTTEN))
    target = remaining_solution(*FORGOTTEN)
    start = (flatten(problem.params) - target).norm()
    assert (flatten(result.problem.params) - target).norm() < 1e-3 * start


def test_one_epoch_of_fine_tuning_is_one_adam_step(problem: AttachedProblem) -> None:
    request = ForgetSet(records=FORGOTTEN)
    _, gradient = problem.without(request).value_and_gradient(problem.params)
    expected = problem.params["weight"] - 0.05 * gradient["weight"] / (gradient["weight"].abs() + 1e-8)
    result = FineTune(epochs=1, lr=0.05).forget(problem, request)
    torch.testing.assert_close(result.problem.params["weight"], expected, **EXACT64)


def test_fine_tune_reports_every_bad_argument() -> None:
    with pytest.raises(ValueError, match=r"(?s)`epochs` must be a positive integer .*\(got 0\).*`lr` must be positive"):
        FineTune(epochs=0, lr=-1.0)
