"""Attached modules against closed forms, dense message passing and the module's own code."""

from __future__ import annotations

import copy
from collections import namedtuple
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.toys import (
    RIDGE_PENALTY,
    cross_entropy,
    regression,
    ridge,
    ridge_solution,
    squared,
    tiny_data,
)
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.hooks import AttachedOptions, attach
from unlearn.methods import Retrain, method
from unlearn.params import flatten

DTYPE = torch.float64


# ---- a plain module ------------------------------------------------------------------------------------------------


def test_the_objective_is_the_sum_that_it_says_it_is() -> None:
    x, y = regression()
    module = nn.Linear(5, 1, bias=False).to(DTYPE)
    problem = attach(module, squared, (x, y), penalty=0.7, background=lambda inner, _: inner.weight.sum() ** 2)
    w = module.weight.detach().flatten()
    losses = torch.stack([0.5 * (x[i] @ w - y[i]) ** 2 for i in range(len(x))])
    torch.testing.assert_close(problem.record_losses(problem.params).detach(), losses, **EXACT64)
    torch.testing.assert_close(problem.record_losses(problem.params, torch.tensor([4, 2])), losses[[4, 2]], **EXACT64)
    expected = losses.sum() + w.sum() ** 2 + 0.35 * (w @ w)
    torch.testing.assert_close(problem.objective(problem.params).detach(), expected, **EXACT64)


def test_training_ridge_gives_the_closed_form() -> None:
    fitted = ridge().fit()
    torch.testing.assert_close(flatten(fitted.params), ridge_solution(*regression()), **CONVERGED64)
    assert fitted.history.residual == fitted.residual() < 1e-9
    assert fitted.history.seed == 0


def test_training_logistic_regression_agrees_with_newton() -> None:
    x, y = regression()
    labels = (y > 0).to(DTYPE)

    def losses(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        score = module(data[0]).squeeze(-1)
        return nn.functional.binary_cross_entropy_with_logits(score, data[1], reduction="none")

    options = AttachedOptions(tolerance=1e-10)
    problem = attach(nn.Linear(5, 1, bias=False).to(DTYPE), losses, (x, labels), penalty=0.1, options=options)
    kept = torch.arange(40) % 7 != 0
    w = torch.zeros(5, dtype=DTYPE)
    for _ in range(30):
        p = torch.sigmoid(x[kept] @ w)
        gradient = x[kept].T @ (p - labels[kept]) + 0.1 * w
        hessian = (x[kept].T * (p * (1 - p))) @ x[kept] + 0.1 * torch.eye(5, dtype=DTYPE)
        w = w - torch.linalg.solve(hessian, gradient)
    forget = ForgetSet(records=tuple(range(0, 40, 7)))
    result = method("reconverge", accuracy=1e-8, max_iterations=200).forget(problem.fit(), forget)
    torch.testing.assert_close(flatten(result.problem.params), w, **CONVERGED64)


def test_adam_training_approaches_the_closed_form() -> None:
    fitted = ridge(solver="adam", epochs=3000, lr=1e-2).fit()
    assert (flatten(fitted.params) - ridge_solution(*regression())).norm() < 1e-3


def test_the_rate_of_adam_decays_after_every_step() -> None:
    x, y = regression()
    problem = ridge(solver="adam", epochs=7, lr=0.1, decay=0.5)
    start = torch.zeros(1, 5, dtype=DTYPE)
    w = start.clone().requires_grad_()
    adam = torch.optim.Adam([w], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(adam, 0.5)
    for _ in range(7):
        adam.zero_grad()
        (0.5 * (x @ w[0] - y).square().sum() + 0.5 * RIDGE_PENALTY * w.square().sum()).backward()
        adam.step()
        schedule.step()
    torch.testing.assert_close(problem.fit({"weight": start}).params["weight"], w.detach(), rtol=1e-6, atol=1e-9)


def test_a_bar_is_shown_on_a_terminal_only_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    plain, shown = (ridge(solver="adam", epochs=20, lr=1e-2, progress=bar).fit() for bar in (False, True))
    assert all(torch.equal(value, shown.params[name]) for name, value in plain.params.items())
    assert capsys.readouterr() == ("", "")


def test_a_shortened_training_has_an_epoch_at_least_and_full_solves_are_not_shortened() -> None:
    problem = ridge(solver="adam", epochs=10, lr=0.1)
    assert problem.shortened(0.04, 2.0) == replace(problem.options, epochs=1, lr=0.2)
    assert problem.shortened(0.26, 1.0) == replace(problem.options, epochs=3)
    assert ridge().shortened(0.5, 1.0) is None


def test_hooks_take_part_in_training_and_in_that_of_what_remains() -> None:
    x, y = regression()
    module = nn.Linear(5, 1, bias=False).to(DTYPE)
    options = AttachedOptions(tolerance=1e-10)
    hooks = [lambda _, params: params["weight"].square().sum()]
    fitted = attach(module, squared, (x, y), penalty=RIDGE_PENALTY, hooks=hooks, options=options).fit()
    remaining = fitted.without(ForgetSet(records=(0, 1))).fit()
    for found, first in ((fitted, 0), (remaining, 2)):
        matrix = x[first:].T @ x[first:] + (RIDGE_PENALTY + 2.0) * torch.eye(5, dtype=DTYPE)
        expected = torch.linalg.solve(matrix, x[first:].T @ y[first:])
        torch.testing.assert_close(flatten(found.params), expected, **CONVERGED64)


def test_training_from_given_parameters_starts_there() -> None:
    problem = ridge(max_iterations=1)
    near = {"weight": ridge_solution(*regression())[None]}
    assert problem.fit(near).residual() < 1e-9 < problem.fit().residual()


def test_given_parameters_go_by_name_whatever_their_order() -> None:
    torch.manual_seed(0)
    data = torch.randn(20, 3, dtype=DTYPE)
    problem = attach(nn.Linear(3, 3).to(DTYPE), lambda module, x: (module(x) - x).square().sum(1), data, penalty=1.0)
    solved = problem.fit().params
    one = AttachedOptions(max_iterations=1)
    assert problem.fit({name: solved[name] for name in ("bias", "weight")}, options=one).residual() < 1e-5
    with pytest.raises(ValueError, match=r"(?s)`weight` must be 2-dimensional of 3 rows .*absent.*`wieght` must be a"):
        problem.fit({"wieght": solved["weight"], "bias": solved["bias"]})
    with pytest.raises(ValueError, match=r"`weight` must be 2-dimensional of 3 rows .*got 2-dimensional of 9 rows"):
        problem.fit({"weight": solved["weight"].reshape(9, 1), "bias": solved["bias"]})


def test_seeds_decide_the_start_and_nothing_else() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    problem = ridge(max_iterations=1)
    torch.manual_seed(5)
    first, again, other = problem.fit(), problem.fit(), problem.fit(options=AttachedOptions(seed=1, max_iterations=1))
    assert torch.equal(torch.rand(3), expected), "training must leave the global generator alone"
    assert torch.equal(first.params["weight"], again.params["weight"])
    assert not torch.equal(first.params["weight"], other.params["weight"])
    assert (other.history.seed, other.options.seed) == (1, 1)


class Everything(nn.Module):
    """A module with a buffer that moves, dropout, a fixed parameter and a tied one."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(5), nn.Dropout(0.5)
        self.fixed = nn.Parameter(torch.full((5,), 2.0), requires_grad=False)
        self.first, self.second = nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = self.second(torch.tanh(self.first(self.drop(self.norm(x)))))
        return (x * self.fixed).sum(1, keepdim=True)


def test_the_module_is_never_changed() -> None:
    torch.manual_seed(0)
    module = Everything().to(DTYPE)
    before = copy.deepcopy(module.state_dict())
    problem = attach(module, squared, regression(), penalty=0.1)
    fitted = problem.fit()
    fitted.without(ForgetSet(records=(1,))).fit()
    assert set(problem.params) == {"norm.weight", "norm.bias", "first.weight"}
    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    # Dropout is off and the buffer that counts calls is lent as a copy: the same question has one answer.
    assert problem.objective(problem.params) == problem.objective(problem.params)
    # The problem does not hold on to the user's tensors, nor to a second copy of the solution.
    with torch.no_grad():
        module.first.weight.zero_()
    assert problem.params["first.weight"].any()
    assert not any(value.any() for value in problem.functional.call.parameters() if value.requires_grad)


def test_weights_multiply_the_losses_and_are_differentiable() -> None:
    problem = ridge().fit()
    weights = torch.ones(40, dtype=DTYPE)
    weights[[2, 5]] = 0.0
    without = problem.without(ForgetSet(records=(2, 5)))
    weighted = problem.weighted("record", weights)
    torch.testing.assert_close(weighted.objective(problem.params), without.objective(problem.params), **EXACT64)
    torch.testing.assert_close(weighted.fit().params["weight"], without.fit().params["weight"], **CONVERGED64)
    leaf = weights.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.weighted("record", leaf).objective(problem.params), leaf)
    torch.testing.assert_close(gradient, problem.record_losses(problem.params), **EXACT64)
    smaller = weighted.without(ForgetSet(records=(0, 2)))
    expected = weighted.objective(problem.params) - problem.record_losses(problem.params)[0]
    torch.testing.assert_close(smaller.objective(problem.params), expected, **EXACT64)
    with pytest.raises(ValueError, match=r'(?s)`unit` must be "record".*got \'user\'.*shape \(40,\)'):
        problem.weighted("user", torch.ones(3))


def test_weights_of_weights_multiply() -> None:
    problem, one, two = ridge().fit(), torch.rand(40, dtype=DTYPE), torch.rand(40, dtype=DTYPE)
    twice, once = problem.weighted("record", one).weighted("record", two), problem.weighted("record", one * two)
    torch.testing.assert_close(twice.objective(problem.params), once.objective(problem.params), **EXACT64)


def test_the_forgotten_are_set_apart_only_where_others_do_not_matter_to_them() -> None:
    def centred(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return squared(module, (data[0] - data[0].mean(0), data[1]))

    def nearly(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return squared(module, data) * len(data[0]) ** 0.002  # half a percent more among forty than among three

    for losses, alone in ((squared, True), (centred, False), (nearly, False)):
        problem = attach(nn.Linear(5, 1).to(DTYPE), losses, regression(), penalty=0.1)
        weighted = problem.weighted("record", torch.linspace(0.1, 1.0, 40, dtype=DTYPE))
        apart, which = weighted.apart(ForgetSet(records=(7, 2, 31)))
        assert (which is None) is alone
        assert apart.n_records == (3 if alone else 40)
        expected = weighted.record_losses(problem.params)[[2, 7, 31]]
        torch.testing.assert_close(apart.record_losses(problem.params, which), expected, **EXACT64)


def test_touched_rows_are_those_the_losses_depend_on() -> None:
    class Table(nn.Embedding):
        pass

    problem = attach(Table(6, 2), lambda module, rows: module(rows).square().sum(1), torch.tensor([0, 0, 3, 5, 1]))
    touched = problem.touched(ForgetSet(records=(1, 2)))
    assert {name: [rows.tolist() for rows in hops] for name, hops in touched.items()} == {"weight": [[0, 3]]}


# ---- removing records ----------------------------------------------------------------------------------------------

Named = namedtuple("Named", ["x", "y"])


@pytest.mark.parametrize("shape", ["tuple", "list", "dict", "named", "nested"])
def test_rows_are_removed_from_any_nesting_of_tensors(shape: str) -> None:
    x, y = regression()
    data: Any = {"tuple": (x, y), "list": [x, y], "dict": {"x": x, "y": y}, "named": Named(x, y)}.get(
        shape, {"a": (x, [y])}
    )

    def losses(module: nn.Module, data: Any) -> Tensor:
        if shape == "nested":
            return squared(module, (data["a"][0], data["a"][1][0]))
        return squared(module, (data["x"], data["y"]) if shape == "dict" else tuple(data))

    problem = attach(nn.Linear(5, 1, bias=False).to(DTYPE), losses, data, penalty=RIDGE_PENALTY)
    remaining = problem.without(ForgetSet(records=(0, 39))).without(ForgetSet(records=(7,)))
    kept = [i for i in range(40) if i not in (0, 7, 39)]
    expected = problem.record_losses(problem.params)[kept]
    torch.testing.assert_close(remaining.record_losses(problem.params), expected, **EXACT64)
    assert type(remaining.payload) is type(data)
    assert len(x) == problem.n_records == 40


@pytest.mark.parametrize("left", [slice(None), slice(3, None)])
def test_records_that_are_not_removed_as_asked_are_noticed(left: slice) -> None:
    def remove(data: tuple[Tensor, Tensor], gone: Tensor) -> tuple[Tensor, Tensor]:
        return data[0][left], data[1][left]

    problem = attach(nn.Linear(5, 1).to(DTYPE), squared, regression(), penalty=0.1, remove=remove)
    with pytest.raises(ValueError, match=r"one loss for each of the 38 records .*\(got (40|37)\); `remove` must"):
        method("reconverge").forget(problem, ForgetSet(records=(0, 1)))


def test_records_keep_their_number_when_others_leave() -> None:
    problem = ridge().without(ForgetSet(records=(0, 1)))
    assert problem.records(ForgetSet(records=(2, 39))).tolist() == [0, 37]
    mixed = ForgetSet(records=(1, 5, 41), users=("someone",))
    assert problem.resolve(mixed, unknown="skip") == ForgetSet(records=(5,))
    with pytest.raises(UnknownIds, match=r"(?s)1 of 1 users: .*numbered records only.*2 of 3 records: 1, 41"):
        problem.resolve(mixed)


def test_interactions_remove_themselves() -> None:
    data = tiny_data()

    class Factors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users, self.items = nn.Embedding(data.n_users, 4), nn.Embedding(data.n_items, 4)

    def losses(module: Any, data: Any) -> Tensor:
        users = module.users(torch.from_numpy(data.user_rows()))
        return (1 - (users * module.items(torch.from_numpy(data.item_rows()))).sum(1)).square()

    problem = attach(Factors(), losses, data, penalty=0.1)
    user = data.users.ids[3]
    forget = ForgetSet(users=(user,))
    positions = problem.records(forget)
    assert positions.numel() == (data.user_rows() == 3).sum() > 0
    result = Retrain().forget(problem, forget).problem
    assert result.n_records == len(data) - positions.numel()
    assert result.params["users.weight"][3].abs().max() < 1e-4, "the penalty alone is left of the user's row"
    with pytest.raises(KeyError, match="unknown or already forgotten"):
        result.resolve(forget)


def test_what_cannot_be_attached_says_all_that_is_wrong() -> None:
    class Cached(nn.Module):
        cached = True

        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.zeros(2))
            self.b = nn.Parameter(torch.zeros(2, dtype=DTYPE))

    with pytest.raises(ValueError, match=r"(?s)one dtype on one device.*`cached=True` in Cached.*`penalty` must be"):
        attach(Cached(), squared, regression(), penalty=-1.0)
    with pytest.raises(ValueError, match="must have real parameters"):
        attach(nn.Linear(5, 1, dtype=torch.complex128), squared, regression())
    with pytest.raises(ValueError, match="must have a parameter that requires a gradient"):
        attach(nn.ReLU(), squared, regression())
    with pytest.raises(ValueError, match=r"not reduced \(got shape \[\]\)"):
        attach(nn.Linear(5, 1).to(DTYPE), lambda module, data: squared(module, data).sum(), regression())
    with torch.no_grad(), pytest.raises(ValueError, match=r"must not be called under `torch\.no_grad`"):
        attach(nn.Linear(5, 1).to(DTYPE), squared, regression())
    outside = nn.Linear(5, 1).to(DTYPE)
    for independent in (
        lambda module, data: squared(outside, data),
        lambda module, data: squared(module, data).detach(),
    ):
        with pytest.raises(ValueError, match="must depend on the parameters of the module that it is given"):
            attach(nn.Linear(5, 1).to(DTYPE), independent, regression())
    with pytest.raises(ValueError, match=r"must be the same whenever.*`module\.training`"):
        attach(
            nn.Linear(5, 1).to(DTYPE),
            lambda module, data: squared(module, (nn.functional.dropout(data[0], 0.5), data[1])),
            regression(),
        )
    with pytest.raises(ValueError, match=r"`penalty` must be at least 0 and finite for `attach` \(got nan\)"):
        attach(nn.Linear(5, 1).to(DTYPE), squared, regression(), penalty=float("nan"))
    x, y = regression()
    with pytest.raises(ValueError, match=r"(?s)data\[1\]\[9\]: float\n  - and 30 more\nPass `remove`"):
        attach(
            nn.Linear(5, 1).to(DTYPE),
            lambda module, data: squared(module, (data[0], torch.tensor(data[1]))),
            (x, y.tolist()),
        )
    with pytest.raises(ValueError, match=r"(?s)data\['graph'\]: \[2, 7\].*data\['name'\]: str.*Pass `remove`"):
        attach(
            nn.Linear(5, 1).to(DTYPE),
            lambda module, data: squared(module, (data["x"], data["y"])),
            {"x": x, "y": y, "graph": torch.zeros(2, 7), "name": "toy"},
        )


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch's own
def test_what_is_compiled_is_refused_before_any_work() -> None:
    module = nn.Sequential(nn.Linear(5, 3), torch.compile(nn.Linear(3, 1))).to(DTYPE)
    with pytest.raises(ValueError, match=r"must not be compiled.*`torch\.compile` around 1\).*`_orig_mod`"):
        attach(module, squared, regression())


def test_options_report_every_problem() -> None:
    with pytest.raises(ValueError, match=r'(?s)`solver` must be "lbfgs" or "adam".*`epochs` must be a positive.*`lr`'):
        AttachedOptions(solver="sgd", epochs=0, lr=0.0)


def test_a_module_that_cannot_draw_its_parameters_says_which() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.linear = nn.Parameter(torch.ones(1, dtype=DTYPE)), nn.Linear(5, 1).to(DTYPE)

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * self.linear(x)

    problem = attach(Raw(), squared, regression(), penalty=0.1)
    with pytest.raises(ValueError, match="got none for scale"):
        problem.fit()
    assert problem.fit(problem.params).residual() < 1e-5


def test_queries_need_outputs() -> None:
    x, y = regression()
    module = nn.Linear(5, 1).to(DTYPE)
    answering = attach(
        module, squared, (x, y), outputs=lambda inner, data, queries: inner(data[0][queries]).squeeze(-1)
    )
    queries = torch.tensor([3, 1])
    torch.testing.assert_close(answering.outputs(queries), module(x[queries]).squeeze(-1).detach(), **EXACT64)
    with pytest.raises(ValueError, match="`outputs` must be given"):
        attach(module, squared, (x, y)).outputs(queries)


def test_predictions_are_of_the_data_that_is_there() -> None:
    x, y = regression()
    module = nn.Linear(5, 1, bias=False).double()
    problem = attach(module, squared, (x, y), predictions=lambda inner, held: inner(held[0]).squeeze(-1))
    left = problem.without(ForgetSet(records=(0, 2)))
    leaves = {"weight": problem.params["weight"].clone().requires_grad_()}
    found = left.predictions(leaves, torch.tensor([1, 0]))
    torch.testing.assert_close(found, (x[[3, 1]] @ leaves["weight"].T).squeeze(-1), **EXACT64)
    (gradient,) = torch.autograd.grad(found.sum(), list(leaves.values()))
    torch.testing.assert_close(gradient, x[[3, 1]].sum(0, keepdim=True), **EXACT64)
    assert problem.predicts and not attach(module, squared, (x, y)).predicts
    of_others = attach(module, squared, (x, y), predictions=lambda inner, _: inner(torch.cat([x, x])).squeeze(-1))
    with pytest.raises(ValueError, match=r"one row for each of the \d+ records"):
        of_others.predictions(of_others.params, torch.tensor([1, 0]))


def test_a_small_network_can_be_attached() -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(50, 4, dtype=DTYPE), torch.arange(50) % 3
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(DTYPE)
    problem = attach(module, cross_entropy, (x, labels), penalty=0.1).fit()
    assert problem.residual() < 1e-5
    result = method("reconverge", accuracy=1e-5).forget(problem, ForgetSet(records=(0, 1)))
    assert result.problem.n_records == 48
    assert result.residual_before > 0.1
    assert result.residual_ratio <= 1e-4
