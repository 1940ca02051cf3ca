"""What must hold between IAU, the original and the retrain: on a classifier, and on matrix factorisation."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recsys.objectives import BPR, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import Perceptron, blobs, classifier, cross_entropy, tiny_data
from unlearn.attached import AttachedOptions, AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.hooks import attach, gradient_restriction
from unlearn.methods import IAU, Retrain
from unlearn.params import flatten

GONE = tuple(range(0, 1000, 20))  # 5 %
EVERYTHING = ForgetSet(records=GONE)
RATE = 3e-3
Data = tuple[Tensor, Tensor]


# ---- a classifier, trained for 30 epochs ----------------------------------------------------------------------------


@functools.cache
def original() -> AttachedProblem:
    return classifier(1000, d=8, hidden=512, noise=0.8, lr=3e-3, epochs=30).fit()


@functools.cache
def retrained() -> AttachedProblem:
    return Retrain().forget(original(), EVERYTHING).problem


@functools.cache
def held_out() -> Data:
    return blobs(2000, d=8, noise=0.8, seed=2)


def parts(problem: AttachedProblem, records: tuple[int, ...] = GONE) -> tuple[Data, Data]:
    x, labels = problem.payload
    gone = torch.zeros(len(x), dtype=torch.bool)
    gone[list(records)] = True
    return (x[gone], labels[gone]), (x[~gone], labels[~gone])


def error(problem: AttachedProblem, data: Data) -> float:
    """Percent."""
    return 100 * float((problem.outputs(data[0]).argmax(1) != data[1]).double().mean())


def below_members(problem: AttachedProblem) -> float:
    """How often a remaining record has more confidence in its label than a forgotten one: the attack's AUC."""
    forgotten, remaining = parts(original())

    def confidence(data: Data) -> Tensor:
        return -nn.functional.cross_entropy(problem.outputs(data[0]), data[1], reduction="none")

    members = confidence(remaining).sort().values
    return 1 - float((torch.searchsorted(members, confidence(forgotten)) / len(members)).mean())


def streamed(k: int, **arguments: float) -> AttachedProblem:
    current = original()
    for j in range(k):
        request = ForgetSet(records=GONE[j::k])
        current = IAU(lr=RATE, **arguments).forget(current, request).problem
    return current


def test_1_it_costs_no_more_than_an_epoch_and_a_half() -> None:
    rows: list[int] = []

    def counted(module: nn.Module, data: Data) -> Tensor:
        rows.append(len(data[0]) * (3 if torch.is_grad_enabled() else 1))  # a backward pass costs two forward ones
        return cross_entropy(module, data)

    module = Perceptron(8, 16, 10)
    options = AttachedOptions(solver="adam", epochs=30)
    problem = attach(module, counted, blobs(400, d=8), options=options)
    rows.clear()
    problem.fit()
    training = sum(rows)
    request = ForgetSet(records=tuple(range(20)))
    remaining = problem.without(request)
    rows.clear()
    IAU()._forget(problem, remaining, request, None)
    assert 0 < sum(rows) <= 1.5 / 30 * training


def test_3_forgetting_grows_with_the_rate_and_lies_above_the_original() -> None:
    forgotten, _ = parts(original())
    models = [original(), *(IAU(lr=lr).forget(original(), EVERYTHING).problem for lr in (3e-3, 1e-2, 2e-2))]
    errors = [error(one, forgotten) for one in models]
    members = [below_members(one) for one in models]
    assert errors == sorted(errors)
    assert errors[-1] >= errors[0] + 10
    assert members == sorted(members)
    assert members[-1] > members[0]


def test_4_some_rate_comes_near_the_retrain() -> None:
    after = IAU(lr=2e-3).forget(original(), EVERYTHING).problem
    assert isinstance(after, AttachedProblem)
    forgotten, remaining = parts(original())
    assert abs(error(after, forgotten) - error(retrained(), forgotten)) <= 3
    assert error(after, held_out()) <= error(retrained(), held_out()) + 5
    assert error(after, remaining) <= error(retrained(), remaining) + 6
    assert not torch.equal(flatten(after.params), flatten(original().params))


def test_5_gradient_correction_holds_a_stream_of_five_together() -> None:
    assert error(streamed(5, gc_weight=0.0), held_out()) >= error(streamed(5), held_out()) + 5


def test_6_gradient_restriction_in_training_protects_the_remaining() -> None:
    """At alpha 0.2; 0.05 cannot be told from 0 at this scale."""
    records = tuple(range(0, 400, 20))
    errors = {0.0: 0.0, 0.2: 0.0}
    for alpha in errors:
        for seed in range(2):
            plain = classifier(400, d=64, hidden=64, noise=3.0, epochs=60, seed=seed)
            hooks = (gradient_restriction(alpha, batch=100),) if alpha else ()
            fitted = replace(plain, history=replace(plain.history, hooks=hooks)).fit()
            _, remaining = parts(fitted, records)
            assert error(fitted, remaining) == 0  # it interpolates
            after = IAU(lr=4e-2).forget(fitted, ForgetSet(records=records)).problem
            errors[alpha] += error(after, remaining) / 2
    assert errors[0.2] <= errors[0.0]
    assert errors[0.0] > 3


def test_7_a_stream_of_twenty_ends_near_the_retrain() -> None:
    after = streamed(20)
    assert after.n_records == original().n_records - len(GONE)
    forgotten, _ = parts(original())
    assert abs(error(after, forgotten) - error(retrained(), forgotten)) <= 5
    assert abs(error(after, held_out()) - error(retrained(), held_out())) <= 4


# Relations 2 and 8 are exact and stand in test_iau.py, with the rest of 7: a later request never sees what an earlier
# one removed.


# ---- matrix factorisation -------------------------------------------------------------------------------------------


@functools.cache
def factorisation(dtype: torch.dtype = torch.float32) -> RecommenderProblem:
    data = tiny_data(120, 90, 2500)
    options = TrainingOptions(seed=1, tolerance=1e-4)
    objective = WholeData(a=0.1, l2=0.3)
    return RecommenderProblem.build(data, model="mf", objective=objective, options=options, dtype=dtype, dim=16).fit()


def pairs(problem: RecommenderProblem, k: int = 1) -> list[ForgetSet]:
    frame = problem.data.frame().sample(frac=0.05, random_state=0)
    return [ForgetSet(interactions=tuple(zip(frame.user[j::k], frame.item[j::k], strict=True))) for j in range(k)]


def auc(problem: RecommenderProblem, chosen: Tensor) -> float:
    """How often a record [r] of the original scores above a pair of its user that was never seen."""
    data = factorisation().data
    users, items = torch.from_numpy(data.user_rows()), torch.from_numpy(data.item_rows())
    seen = torch.zeros(data.n_users, data.n_items, dtype=torch.bool)
    seen[users, items] = True
    left, right = problem.readout()
    scores = left @ right.T
    own = scores[users[chosen], items[chosen]].unsqueeze(1)
    against = ~seen[users[chosen]]
    won = ((own > scores[users[chosen]]) & against).sum(1) / against.sum(1)
    return float(won.double().mean())


def served(k: int, **arguments: float) -> RecommenderProblem:
    current = factorisation()
    for request in pairs(current, k):
        current = IAU(lr=0.02, steps=5, **arguments).forget(current, request).problem
    return current


@functools.cache
def record_sets() -> tuple[Tensor, Tensor]:
    forgotten = factorisation().records(pairs(factorisation())[0])
    remaining = torch.ones(factorisation().n_records, dtype=torch.bool)
    remaining[forgotten] = False
    return forgotten, remaining.nonzero().flatten()


def test_1_on_factors_it_costs_less_than_an_epoch_and_a_half() -> None:
    epochs = 4
    options = TrainingOptions(seed=1, epochs=epochs, batch_size=128)
    problem = RecommenderProblem.build(tiny_data(60, 50, 1200), model="mf", objective=BPR(), options=options, dim=16)
    trainings = [problem.fit() for _ in range(2)]
    epoch = min(one.history.seconds or 0.0 for one in trainings) / epochs
    request = pairs(problem)[0]
    assert min(IAU().forget(trainings[0], request).seconds for _ in range(5)) <= 1.5 * epoch


def test_2_on_factors_touched_rows_move_by_the_rate_and_no_others() -> None:
    problem = factorisation(torch.float64)
    request = pairs(problem)[0]
    result = IAU(lr=1e-2, rows="touched").forget(problem, ForgetSet(interactions=request.interactions[:3]))
    assert isinstance(result.problem, RecommenderProblem)
    change = (result.problem.params["table"] - problem.params["table"]).abs()
    touched = torch.cat(problem.touched(result.forget, hops=1)["table"])
    assert len(touched) < problem.graph.n_nodes
    others = torch.ones(problem.graph.n_nodes, dtype=torch.bool)
    others[touched] = False
    assert not change[others].any()
    assert change.max() <= 1e-2 * (1 + 1e-6)
    assert change[touched].mean() >= 0.95e-2


def test_5_on_factors_gradient_correction_holds_a_stream_together() -> None:
    """Under `whole_data`; under `bpr` it does not hold for the remaining records."""
    forgotten, remaining = record_sets()
    without, corrected = served(5, gc_weight=0.0), served(5)
    assert auc(corrected, remaining) >= auc(without, remaining) + 0.02
    target = auc(Retrain().forget(factorisation(), pairs(factorisation())[0]).problem, forgotten)
    assert abs(auc(corrected, forgotten) - target) < 0.5 * abs(auc(without, forgotten) - target)


def test_7_on_factors_a_stream_of_twenty_ends_near_the_retrain() -> None:
    forgotten, remaining = record_sets()
    after = served(20)
    assert after.n_records == len(remaining)
    retrain = Retrain().forget(factorisation(), pairs(factorisation())[0]).problem
    assert isinstance(retrain, RecommenderProblem)
    assert auc(factorisation(), forgotten) - auc(retrain, forgotten) > 0.1  # there was something to forget
    assert abs(auc(after, forgotten) - auc(retrain, forgotten)) <= 0.05
    assert abs(auc(after, remaining) - auc(retrain, remaining)) <= 0.04


def test_8_on_factors_without_correction_it_is_a_step_of_gradient_ascent() -> None:
    problem = factorisation(torch.float64)
    request = pairs(problem)[0]
    result = IAU(update="sgd", gc_weight=0.0, lr=0.5).forget(problem, request)
    assert isinstance(result.problem, RecommenderProblem)
    table, n_users = problem.params["table"], problem.data.n_users
    users, items = problem.data.user_rows(), problem.data.item_rows()
    expected = table.clone()
    for record in problem.records(request).tolist():
        u, i = int(users[record]), n_users + int(items[record])
        score = float(table[u] @ table[i])
        slope = 2 * (score - 1) - 2 * 0.1 * score  # of (1 - y)^2 - a y^2
        expected[u] += 0.5 * slope * table[i] / len(request.interactions)
        expected[i] += 0.5 * slope * table[u] / len(request.interactions)
    torch.testing.assert_close(result.problem.params["table"], expected, **EXACT64)


@pytest.mark.parametrize("k", [1, 5])
def test_the_sum_scale_moves_by_what_there_is_to_forget_however_it_is_cut(k: int) -> None:
    forgotten, _ = parts(original())
    current = original()
    for j in range(k):
        unlearner = IAU(update="sgd", scale="sum", gc_weight=0.0, lr=2.0)
        current = unlearner.forget(current, ForgetSet(records=GONE[j::k])).problem
    whole = IAU(update="sgd", scale="sum", gc_weight=0.0, lr=2.0).forget(original(), EVERYTHING).problem
    assert isinstance(whole, AttachedProblem)
    assert abs(error(current, forgotten) - error(whole, forgotten)) <= 4
