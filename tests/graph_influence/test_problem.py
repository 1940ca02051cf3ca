"""SurrogateProblem: what forgetting changes in it, and an oracle in closed form for a surrogate that has one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from graph_influence.graph import SocialGraph
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.problem import SurrogateProblem
from graph_influence.surrogate import NonBacktracking, TensorGraph, surrogate
from tests.graph_influence.blend import Blend
from tests.graph_influence.maximize.graphs import social
from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.toys import tiny_surrogate
from unlearn.forget import ForgetSet
from unlearn.hooks import AttachedOptions
from unlearn.methods import method
from unlearn.units import Unit

PENALTY = 0.1
SETS = [np.sort(np.random.default_rng(k).permutation(60)[:4]) for k in range(8)]
HUB, TIES = ForgetSet(users=("p0",)), ForgetSet(ties=(("p0", "p1"), ("p0", "p3")))


def graph() -> SocialGraph:
    return social(60)


def blend() -> SurrogateProblem:
    chosen = AttachedOptions(tolerance=1e-9)
    return SurrogateProblem.build(Blend(), graph(), SETS, runs=500, penalty=PENALTY, options=chosen)


def solution(social: SocialGraph, sets: list[np.ndarray], numbers: np.ndarray) -> Tensor:
    """argmin of sum (F w - y)^2 + PENALTY / 2 |w|^2 on that graph, with labels of its own."""
    labels = Labels.drawn(social, sets, runs=500, numbers=numbers)
    there = np.flatnonzero(social.nodes.alive)
    tensors = TensorGraph.of(social)
    features = Blend().features(tensors, tensors.seeds(*sets))[:, there].reshape(-1, 3).detach()
    y = torch.tensor(labels.probability[:, there].reshape(-1))
    return torch.linalg.solve(2 * features.T @ features + PENALTY * torch.eye(3), 2 * features.T @ y)


@pytest.mark.parametrize("request_", [HUB, TIES, HUB | ForgetSet(users=("p9",), ties=(("p1", "p2"),))])
@pytest.mark.parametrize("name", ["reconverge", "newton", "influence", "retrain"])
def test_unlearning_ends_where_who_left_never_was(name: str, request_: ForgetSet) -> None:
    problem = blend().fit()
    everything = graph()
    torch.testing.assert_close(problem.params["share"], solution(everything, SETS, np.arange(8)), **CONVERGED64)
    request_ = problem.resolve(request_, unknown="skip")
    left = everything.without(request_)
    sets = [rows[left.nodes.alive[rows]] for rows in SETS]
    assert all(len(rows) for rows in sets)
    truth = solution(left, sets, np.arange(8))
    arguments = {
        "reconverge": {"accuracy": 0.0, "max_iterations": 15},
        "newton": {"tolerance": 0.0},
        "influence": {"damping": 1e-9},
    }
    found = method(name, **arguments.get(name, {})).forget(problem, request_).problem
    assert isinstance(found, SurrogateProblem)
    effect = (problem.params["share"] - truth).norm()
    assert effect > 1e-3
    assert (found.params["share"] - truth).norm() < 1e-4 * effect


def test_who_leaves_changes_graph_labels_and_records_alike() -> None:
    problem = tiny_surrogate()
    request_ = ForgetSet(users=("p0", "p5"), ties=(("p1", "p2"),))
    request_ = problem.resolve(request_, unknown="skip")
    left = problem.without(request_)
    social_left = problem.data.graph.without(request_)
    labels = problem.data.labels
    sets = [rows[social_left.nodes.alive[rows]] for rows in labels.sets]
    anew = Labels.drawn(social_left, sets, runs=labels.runs, seed=labels.seed)
    built = SurrogateProblem.on(LabelledGraph(social_left, anew), problem.surrogate, options=problem.options)
    assert torch.equal(left.record_losses(problem.params), built.record_losses(problem.params))
    assert left.digest() == built.digest() != problem.digest()
    assert left.n_records == problem.n_records - problem.records(request_).numel() == 6 * 28


def test_a_retrain_is_that_of_a_problem_built_without_them() -> None:
    problem, request_ = tiny_surrogate(epochs=5).fit(), ForgetSet(users=("p0",))
    left, labels = problem.data.graph.without(request_), problem.data.labels
    sets = [rows[left.nodes.alive[rows]] for rows in labels.sets]
    network = surrogate("gcn", depth=2, width=3, seed=9).double()  # the options' seed draws the start, not this one
    data = LabelledGraph(left, Labels.drawn(left, sets, runs=labels.runs))
    built = SurrogateProblem.on(data, network, options=problem.options).fit()
    retrained = method("retrain", coupled=True).forget(problem, request_).problem
    assert isinstance(retrained, SurrogateProblem)
    for name, value in built.params.items():
        assert torch.equal(value, retrained.params[name])
    cold = method("retrain").forget(problem, request_).problem
    assert isinstance(cold, SurrogateProblem)
    assert not torch.equal(cold.params["layers.0.weight"], retrained.params["layers.0.weight"])


@pytest.mark.parametrize("unit", ["user", "tie", "record"])
def test_weights_are_differentiable_and_zero_is_gone_in_all_but_labels(unit: Unit) -> None:
    problem = tiny_surrogate()
    size = problem.n_records if unit == "record" else len(problem.units(unit))
    random = torch.Generator().manual_seed(0)
    weights = (0.2 + 0.8 * torch.rand(size, generator=random, dtype=torch.float64)).requires_grad_()
    value = problem.weighted(unit, weights).objective(problem.params)
    (gradient,) = torch.autograd.grad(value, weights)
    for probe in (0, 4):
        step = torch.zeros(size, dtype=torch.float64)
        step[probe] = 1e-6
        with torch.no_grad():
            ahead, behind = (
                problem.weighted(unit, weights + sign * step).objective(problem.params) for sign in (1, -1)
            )
        assert float(gradient[probe]) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-4, abs=1e-8)
    if unit == "record":
        return
    gone = torch.ones(size, dtype=torch.float64)
    gone[0] = 0.0
    faded = problem.weighted(unit, gone)
    left = problem.without(problem.units(unit).forget_set(np.array([0])))
    old = problem.data.labels
    held = LabelledGraph(
        left.data.graph, Labels(old.model, old.runs, old.seed, left.data.labels.sets, old.numbers, old.counts)
    )
    fixed = SurrogateProblem.on(held, problem.surrogate)
    torch.testing.assert_close(faded.objective(problem.params), fixed.objective(problem.params), **EXACT64)
    assert not torch.allclose(faded.objective(problem.params), left.objective(problem.params))


def test_a_seed_set_counts_as_far_as_any_of_its_seeds_does() -> None:
    sets = [np.array([0]), np.array([0, 3]), np.array([5, 9])]
    problem = SurrogateProblem.build(surrogate("gcn", depth=2, width=3).double(), graph(), sets, runs=200)
    size, old = len(problem.units("user")), problem.data.labels
    for gone in ([0], [0, 3], [9]):  # one set is emptied, both that hold them are, none is
        weights = torch.ones(size, dtype=torch.float64)
        weights[gone] = 0.0
        left = problem.without(problem.units("user").forget_set(np.array(gone)))
        stand = np.isin(old.numbers, left.data.labels.numbers)
        labels = Labels(old.model, old.runs, old.seed, left.data.labels.sets, old.numbers[stand], old.counts[stand])
        held = SurrogateProblem.on(LabelledGraph(left.data.graph, labels), problem.surrogate)
        faded = problem.weighted("user", weights)
        torch.testing.assert_close(faded.objective(problem.params), held.objective(problem.params), **EXACT64)
        steps = [problem]
        for one in gone:  # one after the other comes to the same
            alone = torch.ones(size, dtype=torch.float64)
            alone[one] = 0.0
            steps.append(steps[-1].weighted("user", alone))
        torch.testing.assert_close(steps[-1].objective(problem.params), held.objective(problem.params), **EXACT64)

    random = torch.Generator().manual_seed(0)
    weights = torch.rand(size, generator=random, dtype=torch.float64)
    for value in (weights, weights.round()):  # zeros, too, have the gradient of what they multiply
        value.requires_grad_()
        assert torch.autograd.gradcheck(lambda w: problem.weighted("user", w).objective(problem.params), value)


def test_it_answers_for_seed_sets_and_as_a_surrogate() -> None:
    problem = tiny_surrogate(epochs=3).fit()
    answers = problem.surrogate(*problem.data.inputs())
    queries = torch.tensor([[0, 3], [5, 29]])
    assert torch.equal(problem.outputs(queries), answers[queries[:, 0], queries[:, 1]])
    torch.testing.assert_close(problem.predictions(problem.params, torch.tensor([3])), answers[0, 3:4])
    assert problem.predicts
    rows = problem.touched(ForgetSet(ties=(("p0", "p1"),)))
    assert all(len(rows[name][0]) == len(value) for name, value in problem.params.items())


def test_a_surrogate_that_learns_nothing_has_nothing_to_unlearn() -> None:
    with pytest.raises(ValueError, match="must have a parameter that requires a gradient"):
        SurrogateProblem.build(NonBacktracking(), graph(), SETS, runs=10)
