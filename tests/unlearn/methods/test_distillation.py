"""SCRUB and bad teaching: their equations by hand, and what they do to a classifier and to a recommender."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import blobs, classifier, ridge, tiny_data
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.methods import BadTeacher, FineTune, GraphDrop, Masked, MissingRequirement, RandomLabel, Scrub, Unlearner
from unlearn.methods.bad_teacher import random_like
from unlearn.methods.distillation import Classroom, divergence
from unlearn.params import Params, flatten

GONE = tuple(range(0, 400, 20))
KEPT = tuple(i for i in range(400) if i not in GONE)
REQUEST = ForgetSet(records=GONE)


@pytest.fixture(scope="module")
def problem() -> AttachedProblem:
    return classifier(dtype=torch.float64, epochs=40).fit()


def after(unlearner: Unlearner, problem: Any, forget: ForgetSet = REQUEST) -> Params:
    result = unlearner.forget(problem, forget).problem
    return result.params


def logits(problem: AttachedProblem, params: Params, records: tuple[int, ...]) -> Tensor:
    """The perceptron written out."""
    x = problem.payload[0][list(records)]
    hidden = torch.relu(x @ params["hidden.weight"].T + params["hidden.bias"])
    return hidden @ params["out.weight"].T + params["out.bias"]


def kl(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    p, q = (torch.softmax(one / temperature, 1) for one in (teacher, student))
    return temperature**2 * (p * (p / q).log()).sum(1)


def gradient(params: Params, function: Any) -> Tensor:
    leaves = {name: value.detach().clone().requires_grad_() for name, value in params.items()}
    parts = torch.autograd.grad(function(leaves), list(leaves.values()))
    return torch.cat([part.reshape(-1) for part in parts])


def stepped(params: Params, by: Tensor) -> Params:
    parts = by.split([value.numel() for value in params.values()])
    return {name: value + part.view_as(value) for (name, value), part in zip(params.items(), parts, strict=True)}


# ---- the equations --------------------------------------------------------------------------------------------------


def test_divergence_of_logits_is_the_relative_entropy() -> None:
    teacher, student = (
        torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in (0, 1)
    )
    torch.testing.assert_close(divergence(teacher, student, 3.0), kl(teacher, student, 3.0), **EXACT64)
    assert divergence(teacher, teacher + 5.0, 3.0).abs().max() < 1e-12  # logits have no level


def test_divergence_of_values_is_that_of_normal_distributions() -> None:
    from torch.distributions import Normal, kl_divergence

    teacher, student = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([0.5, 1.0, 1.0])
    expected = kl_divergence(Normal(teacher, torch.ones(3)), Normal(student, torch.ones(3)))
    torch.testing.assert_close(divergence(teacher, student, 4.0), expected)


def test_scrub_is_its_equations_turn_by_turn(problem: AttachedProblem) -> None:
    original = problem.params
    remaining = problem.without(REQUEST)
    x = original
    of_gone, of_kept = logits(problem, original, GONE), logits(problem, original, KEPT)
    for turn in ("ascend", "descend", "ascend", "descend", "descend"):
        if turn == "ascend":
            by = -gradient(x, lambda p: kl(of_gone, logits(problem, p, GONE), 2.0).mean())
        else:
            by = 0.3 * gradient(x, lambda p: kl(of_kept, logits(problem, p, KEPT), 2.0).mean())
            by = by + 0.7 * gradient(x, remaining.objective) / remaining.n_records
        x = stepped(x, -0.05 * by)
    unlearner = Scrub(alpha=0.3, gamma=0.7, temperature=2.0, steps=3, max_steps=2, lr=0.05, update="sgd")
    torch.testing.assert_close(flatten(after(unlearner, problem)), flatten(x), **EXACT64)


def test_bad_teaching_is_its_equation(problem: AttachedProblem) -> None:
    ignorant = random_like(problem.params, 5)
    good, bad = logits(problem, problem.params, KEPT), logits(problem, ignorant, GONE)

    def loss(p: Params) -> Tensor:
        both = [kl(good, logits(problem, p, KEPT), 1.0), kl(bad, logits(problem, p, GONE), 1.0)]
        return torch.cat(both).mean()

    x = problem.params
    for _ in range(3):
        x = stepped(x, -0.2 * gradient(x, loss))
    unlearner = BadTeacher(steps=3, lr=0.2, update="sgd", seed=5)
    torch.testing.assert_close(flatten(after(unlearner, problem)), flatten(x), **EXACT64)


@pytest.mark.parametrize("unlearner", [Scrub(), BadTeacher()], ids=lambda u: u.name)
def test_single_precision_ends_where_double_does(unlearner: Unlearner, problem: AttachedProblem) -> None:
    rounded = {name: value.float() for name, value in problem.params.items()}
    single = classifier(dtype=torch.float32).with_params(rounded)
    ends = [flatten(after(unlearner, one)).double() for one in (single, problem)]
    way = float((ends[1] - flatten(problem.params)).norm())
    assert float((ends[0] - ends[1]).norm()) < 1e-3 * way


def test_the_random_teacher_has_only_the_scale_of_the_original(problem: AttachedProblem) -> None:
    drawn = random_like(problem.params, 0)
    shuffled = {name: -value.flip(0) for name, value in problem.params.items()}
    for name, value in random_like(shuffled, 0).items():
        torch.testing.assert_close(drawn[name], value, **EXACT64)
        if value.numel() > 100:
            assert float(value.std()) == pytest.approx(float(problem.params[name].square().mean().sqrt()), rel=0.15)
    assert not torch.equal(flatten(drawn), flatten(random_like(problem.params, 1)))
    level = random_like({"w": torch.full((1000,), 3.0)}, 0)["w"]  # of a mean square that is all mean
    assert float(level.square().mean().sqrt()) == pytest.approx(3.0, rel=0.1) and abs(float(level.mean())) < 0.5


def test_of_values_the_distance_is_that_of_the_values() -> None:
    linear = ridge().fit()
    few = ForgetSet(records=(0, 3))
    x, _ = linear.payload
    remaining = linear.without(few)
    wanted = x[[0, 3]] @ linear.params["weight"][0]
    first = stepped(linear.params, -0.1 * gradient(linear.params, remaining.objective) / 38)
    ascent = gradient(first, lambda p: 0.5 * (x[[0, 3]] @ p["weight"][0] - wanted).square().mean())
    second = stepped(first, 0.1 * ascent)
    third = stepped(second, -0.1 * gradient(second, remaining.objective) / 38)
    unlearner = Scrub(alpha=0.0, gamma=1.0, steps=2, max_steps=2, lr=0.1, update="sgd")
    torch.testing.assert_close(flatten(after(unlearner, linear, few)), flatten(third), **EXACT64)


def test_of_a_recommender_a_record_predicts_its_users_distribution_over_the_items() -> None:
    built = RecommenderProblem.build(tiny_data(), options=TrainingOptions(seed=1), dim=4, dtype=torch.float64)
    frame = built.data.frame()
    request = ForgetSet(interactions=((frame["user"][7], frame["item"][7]),))
    gone = int(built.records(request))
    user = int(built.graph.rows[gone])
    # On the graph that stays, whose edges number differently.
    remaining = built.without(request)
    users, items = remaining.readout()
    room = Classroom.of(built, remaining, request, sample=10_000, temperature=2.0)
    of_gone = room.on_forgotten(0, built.params, built.params)
    before, now = (one.scores(np.array([user])) for one in (built, remaining))
    torch.testing.assert_close(of_gone, kl(before, now, 2.0), rtol=1e-9, atol=1e-14)
    assert float(of_gone) > 1e-9
    of_kept = room.on_remaining(0, built.params, built.params)
    rows = remaining.graph.rows.numpy()
    torch.testing.assert_close(of_kept, kl(built.scores(rows), remaining.scores(rows), 2.0), rtol=1e-9, atol=1e-14)
    assert torch.equal(remaining.predictions(remaining.params, torch.tensor([5])), users[rows[[5]]] @ items.T)


@pytest.mark.parametrize("model", ["mf", "lightgcn"])
def test_a_forgotten_item_is_no_answer(model: str) -> None:
    built = RecommenderProblem.build(
        tiny_data(), model=model, options=TrainingOptions(seed=1), dim=4, dtype=torch.float64
    )
    popular = np.argsort(built.data.degrees()[1])[-3:]
    request = ForgetSet(items=tuple(built.data.items.take(popular)))
    remaining = built.without(request)
    left = np.setdiff1d(np.arange(built.data.n_items), popular)
    room = Classroom.of(built, remaining, request, sample=10_000, temperature=2.0)
    student = {name: value.clone() for name, value in built.params.items()}
    student["table"][built.data.n_users + popular] = 7.0  # whatever stands in the rows that are cleared
    rows = remaining.graph.rows.numpy()
    wanted, found = (one.scores(rows)[:, left] for one in (built, remaining))
    of_kept = room.on_remaining(0, built.params, student)
    torch.testing.assert_close(of_kept, kl(wanted, found, 2.0), rtol=1e-9, atol=1e-14)
    rows = built.graph.rows[built.records(request)].numpy()
    wanted, found = (one.scores(rows)[:, left] for one in (built, remaining))
    of_gone = room.on_forgotten(0, built.params, student)
    torch.testing.assert_close(of_gone, kl(wanted, found, 2.0), rtol=1e-6, atol=1e-9)
    assert len(rows) > 20


@pytest.mark.parametrize("unlearner", [Scrub(), BadTeacher(), RandomLabel()], ids=lambda u: u.name)
def test_where_every_item_is_forgotten_there_is_nothing_to_learn(unlearner: Unlearner) -> None:
    built = RecommenderProblem.build(tiny_data(), options=TrainingOptions(seed=1), dim=4)
    left = unlearner.forget(built, ForgetSet(items=tuple(built.data.items.ids))).problem
    assert isinstance(left, RecommenderProblem) and not left.n_records
    assert not flatten(left.params).any()


@pytest.mark.parametrize("unlearner", [Scrub(), BadTeacher(), Masked(inner="scrub")], ids=lambda u: u.name)
def test_a_problem_that_does_not_say_what_it_predicts_is_refused(unlearner: Unlearner) -> None:
    told = ridge().fit()
    silent = replace(told, functional=replace(told.functional, predictions=None))
    assert unlearner.obstacle(told) is None
    with pytest.raises(MissingRequirement, match="must be told what the model predicts.*pass `predictions`"):
        unlearner.forget(silent, ForgetSet(records=(0,)))
    with pytest.raises(ValueError, match="`predictions` must be known"):
        silent.predictions(silent.params, torch.tensor([0]))


# ---- what they do ---------------------------------------------------------------------------------------------------


def entropy_to(problem: AttachedProblem, teacher: Params, student: Params, records: tuple[int, ...]) -> float:
    return float(kl(logits(problem, teacher, records), logits(problem, student, records), 1.0).mean())


def mean_loss(problem: AttachedProblem, params: Params, records: tuple[int, ...]) -> float:
    return float(problem.record_losses(params, torch.tensor(records)).mean())


def test_scrub_forgets_more_than_fine_tuning_and_keeps_the_rest(problem: AttachedProblem) -> None:
    tuned = after(FineTune(epochs=20, lr=5e-3), problem)
    scrubbed = after(Scrub(steps=20, max_steps=5, lr=5e-3), problem)
    assert mean_loss(problem, scrubbed, GONE) > 1.5 * mean_loss(problem, tuned, GONE)
    assert mean_loss(problem, scrubbed, KEPT) < 1.5 * mean_loss(problem, problem.params, KEPT)
    x, labels = blobs(1000, noise=1.5, seed=2)
    guesses = [problem.with_params(p).outputs(x.double()).argmax(1) for p in (tuned, scrubbed)]
    right = [float((guess == labels).double().mean()) for guess in guesses]
    assert right[1] > right[0] - 0.05


def test_more_turns_of_ascent_forget_more(problem: AttachedProblem) -> None:
    losses = [mean_loss(problem, after(Scrub(max_steps=n, lr=5e-3), problem), GONE) for n in (0, 2, 5)]
    assert losses == sorted(losses)
    assert losses[2] > 1.2 * losses[0]


def test_the_student_learns_from_either_teacher_what_it_is_for(problem: AttachedProblem) -> None:
    student = after(BadTeacher(steps=40), problem)
    ignorant = random_like(problem.params, 0)
    before = entropy_to(problem, ignorant, problem.params, GONE)
    assert entropy_to(problem, ignorant, student, GONE) < 0.2 * before
    assert entropy_to(problem, problem.params, student, KEPT) < 0.2 * entropy_to(problem, problem.params, student, GONE)


@pytest.mark.parametrize(
    "unlearner", [Scrub(sample=7, steps=3, max_steps=2), BadTeacher(sample=7, steps=3)], ids=lambda u: u.name
)
def test_a_sample_is_drawn_anew_at_every_step_and_the_same_in_every_run(
    unlearner: Unlearner, problem: AttachedProblem
) -> None:
    asked: list[tuple[int, ...]] = []

    class Overheard(AttachedProblem):
        def predictions(self, params: Params, records: Tensor) -> Tensor:
            asked.append(tuple(records.tolist()))
            return super().predictions(params, records)

    overheard = Overheard(**vars(problem))
    first = after(unlearner, overheard)
    assert {len(records) for records in asked} == {7}
    assert len(set(asked)) > 6
    once, asked[:] = list(asked), []
    assert torch.equal(flatten(after(unlearner, overheard)), flatten(first))
    assert asked == once


@pytest.mark.parametrize(
    ("unlearner", "baseline"),
    [(Scrub(max_steps=10), Scrub(max_steps=0)), (BadTeacher(), GraphDrop())],
    ids=["scrub", "bad_teacher"],
)
def test_on_a_recommender_the_users_get_the_forgotten_items_less(unlearner: Unlearner, baseline: Unlearner) -> None:
    options = TrainingOptions(seed=1, max_iterations=200)
    built = RecommenderProblem.build(
        tiny_data(60, 50, 900), model="mf", objective=WholeData(a=0.1, l2=0.3), options=options, dim=16
    )
    problem = built.fit()
    frame = problem.data.frame().sample(frac=0.1, random_state=0)
    request = ForgetSet(interactions=tuple(zip(frame["user"], frame["item"], strict=True)))
    gone = problem.records(request)
    pairs = torch.stack([problem.graph.rows[gone], problem.graph.cols[gone]], 1)

    def score(unlearner: Unlearner) -> float:
        return float(unlearner.forget(problem, request).problem.outputs(pairs).mean())

    assert 0 < score(unlearner) < 0.95 * score(baseline)


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        Scrub(alpha=-1, gamma=-1, temperature=0, steps=0, max_steps=-1, lr=0, update="x", sample=0)
    for name in ("alpha", "gamma", "temperature", "steps", "max_steps", "lr", "update", "sample"):
        assert f"`{name}` must be" in str(caught.value)
    with pytest.raises(ValueError) as caught:
        BadTeacher(temperature=0, steps=0, lr=0, update="x", sample=0)
    for name in ("temperature", "steps", "lr", "update", "sample"):
        assert f"`{name}` must be" in str(caught.value)
