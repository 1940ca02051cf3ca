"""What the solver of `whole_data` gains by its preconditioner and its exact line search, on LastFM.

Contenders, all L-BFGS with the same memory: `ours`; `exact search`, without the preconditioner; `strong Wolfe`, plain
L-BFGS that knows values and gradients only. Starts: cold, and warm from the converged model after deleting 5 % of the
interactions, 20 users, one user (three of them). Counted: evaluations and seconds until the gradient norm is at most
a tolerance times the norm of the penalty's own gradient, as in training, and until the scores' distance from the
solution is at most a share of the start's (`gap`, on 200 users; the clock stands meanwhile). Then the same for other
values of the preconditioner's one constant.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from common import Stopwatch, arguments, finish, load, report, say, shown, spread
from torch import Tensor

import recsys.linear.landscape
from recsys.data import Interactions
from recsys.linear.landscape import WholeDataLandscape
from recsys.objectives import WholeData
from recsys.objectives.model_loss import WholeDataLoss
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.train import TrainingOptions
from unlearn.params import Params, flatten, unflatten
from unlearn.solvers.landscape import FunctionLandscape, Landscape
from unlearn.solvers.lbfgs import lbfgs

OBJECTIVE = WholeData(a=0.05, l2=0.6)  # chosen on validation
DIM, LAYERS = 192, 3
STIFFNESSES = (10.0, 2.0, 5.0, 20.0)  # the library's first: ratios are to it
DELETIONS = {"5 %": "random:0.05", "20 users": "users:20", "one user": "one-user:3"}
RESIDUALS, GAPS = (1e-2, 1e-3, 1e-4), (0.3, 0.1)
SAMPLE = 200  # users on whom the gap is measured


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    repeats: int
    iterations: int  # of a contender, at most
    reference: float  # tolerance of the solution that gaps refer to


@dataclass(frozen=True)
class Task:
    """Where to start, and the scores of the solution on some users."""

    start: str
    problem: RecommenderProblem
    init: Params
    users: Tensor
    target: Tensor

    def distance(self, params: Params) -> float:
        users, items = self.problem.with_params(params).readout()
        return float((users[self.users] @ items.T - self.target).norm())


class ExactSearchOnly(WholeDataLandscape):
    """The landscape without its preconditioner."""

    precondition = Landscape.precondition


def main() -> None:
    options = arguments(__doc__)
    effort = Effort(1, 60, 1e-4) if options.quick else Effort(3, 150, 1e-5)
    split = load(options, "lastfm")
    settings = {"dim": DIM, "layers": LAYERS, **OBJECTIVE.arguments(), "deletions": DELETIONS, **asdict(effort)}
    result = report(options, "solver", split, settings)
    found = list(tasks(split.refit(), effort))
    contenders = {name: (name, None) for name in ("ours", "exact search", "strong Wolfe")}
    result["contenders"] = table(found, contenders, effort)
    constants = {f"stiffness {c:g}": ("ours", c) for c in STIFFNESSES}
    result["stiffness"] = table(found, constants, replace(effort, repeats=1))  # evaluations are the same every time
    finish(options, result)


def tasks(data: Interactions, effort: Effort) -> Iterator[Task]:
    """Cold, then warm; the references are converged far beyond what is measured."""
    options = TrainingOptions(tolerance=effort.reference, max_iterations=3 * effort.iterations)
    subject = RecommenderProblem.build(data, objective=OBJECTIVE, options=options, dim=DIM, layers=LAYERS)
    trained = subject.fit()
    yield task("cold", subject, subject.params, trained)
    for start, specification in DELETIONS.items():
        for forget in requests(specification, data, seed=0):
            remaining = trained.without(forget)
            init = remaining.settled(forget)
            yield task(start, remaining, init, remaining.fit(init))


def task(start: str, subject: RecommenderProblem, init: Params, solution: RecommenderProblem) -> Task:
    alive = torch.from_numpy(subject.data.degrees()[0]).nonzero().squeeze(1)
    sample = alive[torch.randperm(len(alive), generator=torch.Generator().manual_seed(0))[:SAMPLE]]
    users, items = solution.readout()
    return Task(start, subject, init, sample, users[sample] @ items.T)


def landscape(contender: str, subject: RecommenderProblem) -> Landscape:
    loss = subject.loss
    assert isinstance(loss, WholeDataLoss)
    if contender == "ours":
        return WholeDataLandscape(loss, columns=subject.model.dim)
    if contender == "exact search":
        return ExactSearchOnly(loss, columns=subject.model.dim)

    def value_and_gradient(x: Tensor) -> tuple[float, Tensor]:
        value, gradient = subject.value_and_gradient(unflatten(x, subject.params))
        return value, flatten(gradient)

    return FunctionLandscape(value_and_gradient)


@contextmanager
def stiffness(value: float | None) -> Generator[None]:
    """The preconditioner with another constant; it is no option of the library, since one value serves all."""
    kept = recsys.linear.landscape._STIFFNESS
    recsys.linear.landscape._STIFFNESS = kept if value is None else value
    try:
        yield
    finally:
        recsys.linear.landscape._STIFFNESS = kept


def solve(given: Task, contender: str, effort: Effort) -> dict[str, tuple[int, float]]:
    """Evaluations and seconds at which each goal was first met; a goal that was not is missing."""
    goals = {f"residual {g:g}": g for g in RESIDUALS} | {f"gap {g:g}": g for g in GAPS}
    met: dict[str, tuple[int, float]] = {}
    first = given.distance(given.init)
    init = flatten(given.init)
    watch = Stopwatch()
    ground = landscape(contender, given.problem)

    def judge(_iteration: int, _value: float, residual: float) -> bool:
        seconds = watch.seconds
        with watch.paused():
            reached = {
                "residual": residual / (2.0 * OBJECTIVE.l2 * float(ground.point.norm())),
                "gap": given.distance(unflatten(ground.point, given.init)) / first,
            }
            for goal, wanted in goals.items():
                if reached[goal.split()[0]] <= wanted:
                    met.setdefault(goal, (ground.evaluations, seconds))
        return len(met) == len(goals)

    lbfgs(ground, init, max_iterations=effort.iterations, callback=judge)
    return met


def table(
    found: list[Task], contenders: Mapping[str, tuple[str, float | None]], effort: Effort
) -> list[dict[str, Any]]:
    """A row for every start, goal and contender: figures where every run met it, ratios to the first contender."""
    runs: dict[tuple[str, str], list[dict[str, tuple[int, float]]]] = {}
    for turn in range(effort.repeats):
        say(f"round {turn + 1} of {effort.repeats}: {', '.join(contenders)}")
        for given in found:
            for label, (contender, constant) in contenders.items():
                with stiffness(constant):
                    runs.setdefault((given.start, label), []).append(solve(given, contender, effort))
    rows: list[dict[str, Any]] = []
    for (start, label), solved in runs.items():
        for goal in (*(f"residual {g:g}" for g in RESIDUALS), *(f"gap {g:g}" for g in GAPS)):
            met = [run[goal] for run in solved if goal in run]
            row: dict[str, Any] = {
                "start": start,
                "contender": label,
                "goal": goal,
                "met": f"{len(met)} of {len(solved)}",
            }
            said = f"met by {row['met']} within {effort.iterations} iterations"
            if len(met) == len(solved):
                row |= {"evaluations": spread(e for e, _ in met), "seconds": spread(s for _, s in met)}
                said = f"{shown(row['evaluations'], 'g')} evaluations, {shown(row['seconds'])} s"
                base = [run.get(goal) for run in runs[start, next(iter(contenders))]]
                pairs = [(mine, other) for mine, other in zip(met, base, strict=True) if other is not None]
                if len(pairs) == len(met):
                    row["ratio"] = {
                        "evaluations": spread(mine[0] / other[0] for mine, other in pairs),
                        "seconds": spread(mine[1] / other[1] for mine, other in pairs),
                    }
                    said += f"; x {shown(row['ratio']['evaluations'])} and x {shown(row['ratio']['seconds'])}"
            say(f"{start:9} {goal:15} {label:14} {said}")
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()
