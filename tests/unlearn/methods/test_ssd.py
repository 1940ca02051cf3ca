"""Selective synaptic dampening, and the squares of single records' gradients that it stands on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.tolerances import EXACT64
from tests.unlearn.toys import blobs, classifier, tiny_recommender
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.methods import SSD, GraphDrop
from unlearn.methods.fisher import squared_gradients
from unlearn.params import flatten

GONE = (3, 11, 40)
MORE = (4, 21)


@pytest.fixture(scope="module")
def small() -> AttachedProblem:
    return classifier(60, hidden=6, dtype=torch.float64, epochs=20).fit()


def squares(problem: AttachedProblem, records: range | tuple[int, ...]) -> Tensor:
    """The slow truth: one record after the other, on a perceptron written out."""
    x, labels = problem.payload
    total = torch.zeros_like(flatten(problem.params))
    for i in records:
        leaves = {name: value.clone().requires_grad_() for name, value in problem.params.items()}
        hidden = torch.relu(x[i] @ leaves["hidden.weight"].T + leaves["hidden.bias"])
        scores = hidden @ leaves["out.weight"].T + leaves["out.bias"]
        loss = torch.logsumexp(scores, 0) - scores[labels[i]]
        total += torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(leaves.values()))]).square()
    return total


def after(problem: AttachedProblem, unlearner: SSD, *records: int) -> AttachedProblem:
    result = unlearner.forget(problem, ForgetSet(records=records)).problem
    assert isinstance(result, AttachedProblem)
    return result


# ---- squares of gradients -------------------------------------------------------------------------------------------


def test_few_records_are_squared_exactly(small: AttachedProblem) -> None:
    found = squared_gradients(small, small.params, torch.arange(60), probes=60)
    torch.testing.assert_close(found, squares(small, range(60)), **EXACT64)


def test_the_estimate_is_of_as_many_probes_as_asked_for(small: AttachedProblem) -> None:
    for probes in (1, 7, 60):
        expected = squared_gradients(small, small.params, torch.arange(60), probes=probes)
        assert torch.equal(SSD(probes=probes).prepare(small).payload, expected)


def test_of_many_records_random_signs_give_an_unbiased_estimate(small: AttachedProblem) -> None:
    truth = squares(small, range(60))
    errors = [(squared_gradients(small, small.params, torch.arange(60), probes=n) - truth) for n in (10, 40)]
    relative = [float(error.norm() / truth.norm()) for error in errors]
    assert relative[0] < 2 * (2 / 10) ** 0.5
    assert relative[1] < 0.8 * relative[0]
    assert abs(float(errors[1].sum() / truth.sum())) < 0.15  # no bias
    # The square of the whole gradient, which a missing sign would give, is something else.
    whole = flatten(small.without(ForgetSet()).value_and_gradient(small.params)[1]).square()
    assert (whole - truth).norm() > 3 * errors[1].norm()


def test_a_graph_is_no_obstacle() -> None:
    problem = tiny_recommender(torch.float64).fit()
    records = torch.tensor([0, 7, 100])
    truth = torch.zeros_like(flatten(problem.params))
    for record in records:
        leaves = {name: value.clone().requires_grad_() for name, value in problem.params.items()}
        users, items = problem.embed(leaves)
        score = (users[problem.graph.rows[record]] * items[problem.graph.cols[record]]).sum()
        (gradient,) = torch.autograd.grad((1 - score) ** 2 - 0.1 * score**2, list(leaves.values()))
        truth += gradient.reshape(-1).square()
    torch.testing.assert_close(squared_gradients(problem, problem.params, records), truth, **EXACT64)


# ---- dampening ------------------------------------------------------------------------------------------------------


def test_it_is_its_equation(small: AttachedProblem) -> None:
    of_all, of_forgotten = squares(small, range(60)) / 60, squares(small, GONE) / 3
    x = flatten(small.params)
    chosen = of_forgotten > 2.0 * of_all
    expected = torch.where(chosen, x * torch.clamp(3.0 * of_all / of_forgotten, max=1.0), x)
    assert 0.01 < chosen.double().mean() < 0.9
    assert (chosen & (3.0 * of_all > of_forgotten)).double().mean() > 0.01  # nothing is scaled up
    found = flatten(after(small, SSD(threshold=2.0, strength=3.0), *GONE).params)
    torch.testing.assert_close(found, expected, **EXACT64)
    assert torch.equal(found[~chosen], x[~chosen])


def test_what_was_prepared_changes_nothing_but_the_time(small: AttachedProblem) -> None:
    unlearner = SSD(threshold=2.0)
    state = unlearner.prepare(small)
    first = unlearner.forget(small, ForgetSet(records=GONE), state)
    assert torch.equal(flatten(after(small, unlearner, *GONE).params), flatten(first.problem.params))
    assert first.state is None  # the next request takes squares of what is left, where the parameters are then
    second = unlearner.forget(first.problem, ForgetSet(records=MORE), first.state)
    anew = unlearner.forget(first.problem, ForgetSet(records=MORE), unlearner.prepare(first.problem))
    assert torch.equal(flatten(second.problem.params), flatten(anew.problem.params))
    assert state.megabytes == pytest.approx(8 * flatten(small.params).numel() / 1e6)


def error(problem: AttachedProblem, data: tuple[Tensor, Tensor]) -> float:
    return float((problem.outputs(data[0]).argmax(1) != data[1]).double().mean())


def test_a_class_goes_and_the_others_stay_where_a_random_request_does_next_to_nothing() -> None:
    """Its paper's setting, and its known limit."""
    problem = classifier(600, d=30, hidden=64, noise=1.0, epochs=60).fit()
    _, labels = problem.payload
    test, truth = blobs(1000, d=30, noise=1.0, seed=2)
    own = truth == 4
    of_class = (labels == 4).nonzero().flatten().tolist()
    unlearner = SSD(threshold=3.0, strength=0.1)
    gone = after(problem, unlearner, *of_class)
    assert error(problem, (test[own], truth[own])) < 0.1
    assert error(gone, (test[own], truth[own])) > 0.6
    assert error(gone, (test[~own], truth[~own])) < error(problem, (test[~own], truth[~own])) + 0.02
    at_random = after(problem, unlearner, *range(0, 600, 600 // len(of_class)))
    assert error(at_random, (test, truth)) < error(problem, (test, truth)) + 0.04


def test_a_threshold_above_what_the_request_can_reach_changes_nothing(small: AttachedProblem) -> None:
    # The others' squares are at least 0, so that I_F is at most n_D / n_F times I_D: here 20.
    assert torch.equal(flatten(after(small, SSD(threshold=20.001), *GONE).params), flatten(small.params))
    assert not torch.equal(flatten(after(small, SSD(threshold=1.0), *GONE).params), flatten(small.params))


def test_rows_of_the_forgotten_are_cleared() -> None:
    problem = tiny_recommender(torch.float64).fit()
    request = ForgetSet(users=(problem.data.users.ids[3],))
    result = SSD(threshold=1e9).forget(problem, request)
    dropped = GraphDrop().forget(problem, request)
    assert not result.problem.params["table"][3].any()
    kept = torch.arange(problem.graph.n_nodes) != 3
    assert torch.equal(result.problem.params["table"][kept], dropped.problem.params["table"][kept])


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)`threshold` must.*`strength` must.*`probes` must"):
        SSD(threshold=0, strength=-1, probes=0)
