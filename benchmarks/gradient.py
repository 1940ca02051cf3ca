"""What a full-batch gradient costs at the size of Gowalla, in time and in memory, and the quality it buys.

The floor is the work that no implementation can avoid, each product measured alone with its result in a buffer: six
propagations (three forwards, three backwards), two d x d Gram matrices and their two products with the embeddings,
the scores of the observed pairs and two sparse products with the derivative of the loss there. Bars: a gradient in
at most 2.5 times the floor; peak memory below 4 GiB.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import torch
from common import Stopwatch, alternate, arguments, finish, load, report, say, shown, spread, verdict
from torch import Tensor

from recsys.data import Interactions
from recsys.evaluate import evaluate
from recsys.graph import BipartiteGraph
from recsys.objectives import Multinomial, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.memory import peak_bytes
from unlearn.params import flatten

DIM, LAYERS = 64, 3
TIMED = WholeData(a=0.1, l2=0.6)
CHOICES = ((0.1, 0.6), (0.03, 0.6), (0.01, 0.6), (0.03, 2.0))  # (a, l2), one of which validation chooses
BAR_RATIO, BAR_BYTES = 2.5, 4 * 2**30


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    repeats: int
    short: int  # iterations of the training whose memory is measured
    choosing: int  # iterations of each choice on validation
    final: int  # iterations of the chosen one


def main() -> None:
    options = arguments(__doc__)
    effort = Effort(3, 5, 5, 10) if options.quick else Effort(9, 30, 60, 250)
    split = load(options, "gowalla")
    settings = {"dim": DIM, "layers": LAYERS, "timed": TIMED.arguments(), "choices": CHOICES, **asdict(effort)}
    result = report(options, "gradient", split, settings)
    result["gradient"] = gradients(split.refit(), effort.repeats)
    # An iteration of `multinomial` takes a minute: one gradient shows its memory, which does not grow with the number.
    result["memory"] = {
        objective.name: alone(options, objective, iterations)
        for objective, iterations in ((TIMED, effort.short), (Multinomial(l2=1.0), 1))
    }
    result["quality"] = quality(options, effort)
    finish(options, result)


def problem(data: Interactions, objective: Objective, **options: Any) -> RecommenderProblem:
    return RecommenderProblem.build(
        data, objective=objective, options=TrainingOptions(**options), dim=DIM, layers=LAYERS
    )


# ---- time ------------------------------------------------------------------------------------------------------------


def gradients(data: Interactions, repeats: int) -> dict[str, Any]:
    subject = problem(data, TIMED)
    landscape = subject.landscape()
    x = flatten(subject.params)
    landscape.start(x)
    down = landscape.gradient().neg()

    def fresh() -> None:
        landscape.start(x)
        landscape.gradient()

    def step() -> None:
        landscape.search(down, -1.0)
        landscape.gradient()

    products = floor(subject.graph)
    # `fresh` comes after `step` and puts the point back.
    ours = {"step": step, "fresh": fresh, "autograd": lambda: subject.value_and_gradient(subject.params)}
    seconds = alternate(products | ours, repeats)
    below = [sum(parts) for parts in zip(*(seconds[name] for name in products), strict=True)]
    figures = {
        "floor": {"sum": spread(below)} | {name: spread(seconds[name]) for name in products},
        "contenders": {
            name: {
                "seconds": spread(seconds[name]),
                "ratio": spread(mine / least for mine, least in zip(seconds[name], below, strict=True)),
            }
            for name in ours
        },
    }
    say(
        f"floor {shown(figures['floor']['sum'])} s: " + ", ".join(f"{n} {shown(figures['floor'][n])}" for n in products)
    )
    for name, figure in figures["contenders"].items():
        met = figure["ratio"]["median"] <= BAR_RATIO
        say(f"{name}: {shown(figure['seconds'])} s, {shown(figure['ratio'])} x floor; {verdict(met)} <= {BAR_RATIO}")
    return figures


def floor(graph: BipartiteGraph) -> dict[str, Callable[[], object]]:
    """The products that a gradient is made of."""
    table = torch.randn(graph.n_nodes, DIM)
    out = torch.empty_like(table)
    users, items = table[: graph.n_users], table[graph.n_users :]
    of_users, of_items = out[: graph.n_users], out[graph.n_users :]
    grams = [torch.empty(DIM, DIM) for _ in range(2)]
    values = torch.randn(graph.n_edges)
    pattern = graph.interaction_matrix(torch.zeros(graph.n_edges))
    there, back = graph.interaction_matrix(values), graph.transposed_matrix(values)

    def propagations() -> None:
        for _ in range(2 * LAYERS):
            torch.mm(graph.normalized, table, out=out)

    def gram_products() -> None:
        for half, result, gram in ((users, of_users, grams[0]), (items, of_items, grams[1])):
            torch.mm(half.T, half, out=gram)
            torch.mm(half, gram, out=result)

    def edge_terms() -> Tensor:
        torch.mm(there, items, out=of_users)
        torch.mm(back, users, out=of_items)
        return torch.sparse.sampled_addmm(pattern, users, items.T, beta=0.0)

    return {"propagations": propagations, "gram_products": gram_products, "edge_terms": edge_terms}


# ---- memory ----------------------------------------------------------------------------------------------------------


def alone(options: argparse.Namespace, objective: Objective, iterations: int) -> dict[str, Any]:
    """A short training in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        figures = pool.submit(_train_shortly, options, objective, iterations).result()
    met = max(figures["peak_bytes"].values()) < BAR_BYTES
    say(
        f"{objective.name}: one gradient {shown(figures['gradient_seconds'])} s, "
        f"{figures['seconds_per_iteration']:.3g} s an iteration of training, peak "
        + ", ".join(f"{size / 2**30:.2f} GiB after {stage}" for stage, size in figures["peak_bytes"].items())
        + f"; {verdict(met)} < 4 GiB"
    )
    return figures


def _train_shortly(options: argparse.Namespace, objective: Objective, iterations: int) -> dict[str, Any]:
    subject = problem(load(options, "gowalla").refit(), objective, max_iterations=iterations, tolerance=0.0)
    peaks = {"reading": peak_bytes()}
    seconds = alternate({"gradient": lambda: subject.value_and_gradient(subject.params)}, 3)["gradient"]
    peaks["gradient"] = peak_bytes()
    watch = Stopwatch()
    subject.fit()
    per_iteration = watch.seconds / iterations
    peaks["training"] = peak_bytes()
    return {"gradient_seconds": spread(seconds), "seconds_per_iteration": per_iteration, "peak_bytes": peaks}


# ---- quality ---------------------------------------------------------------------------------------------------------


def quality(options: argparse.Namespace, effort: Effort) -> dict[str, Any]:
    """Test figures of the setting that does best on validation, trained on train and validation."""
    split = load(options, "gowalla")
    tried: list[dict[str, Any]] = []
    for a, l2 in CHOICES:
        fitted = problem(split.train, WholeData(a=a, l2=l2), max_iterations=effort.choosing).fit()
        metrics = evaluate(*fitted.readout(), train=split.train, test=split.validation).summary()
        tried.append({"a": a, "l2": l2, "ndcg_at_20": metrics["ndcg_at_20"], "recall_at_20": metrics["recall_at_20"]})
        say(f"validation: {tried[-1]} in {fitted.history.seconds:.0f} s")
    best = max(tried, key=lambda row: row["ndcg_at_20"])
    data = split.refit()
    fitted = problem(data, WholeData(a=best["a"], l2=best["l2"]), max_iterations=effort.final).fit()
    metrics = evaluate(*fitted.readout(), train=data, test=split.test).summary()
    found = {
        "validation": tried,
        "chosen": {"a": best["a"], "l2": best["l2"]},
        "seconds": fitted.history.seconds,
        "iterations_at_most": effort.final,
        "relative_residual": fitted.residual() / (2.0 * best["l2"] * float(fitted.params["table"].norm())),
        "recall_at_20": metrics["recall_at_20"],
        "ndcg_at_20": metrics["ndcg_at_20"],
    }
    say(f"test: {found}")
    return found


if __name__ == "__main__":
    main()
