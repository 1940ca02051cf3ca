"""Does every model, and every loss, stand to its baseline as its paper has it?

Every contender tries its settings on the validation part: trained on train until NDCG@20 has not risen for some
evaluations (what converges is trained to the end). Its best setting is then fitted to train and validation, for as
many epochs as were best, and tested over seeds. A relation is the ratio of the contender's test NDCG@20 to that of its
baseline, seed by seed, with its 95 % interval: it holds where the whole interval lies on the paper's side of 1, is
contradicted where it lies on the other, and is open in between. Nothing is chosen by the test part.

Rel-MF's paper measures on a test drawn at random, free of popularity; where there is none, that relation is a proxy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from common import add_dataset, arguments, around, at_least, average, finish, kept, load, report, say
from tqdm import tqdm

from recsys.data import Interactions, Split
from recsys.evaluate import evaluate
from recsys.objectives import SampledObjective, objective
from recsys.objectives.model_loss import ModelLoss
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.params import Params

DIM, LAYERS, BATCH = 64, 3, 2048
METRICS = ("recall_at_20", "ndcg_at_20", "coverage_at_20")
PAIRS = {"l2": (1e-3, 1e-2, 0.1, 0.5), "lr": (2e-3, 5e-3)}
CONTRAST = {"l2": (1e-3, 1e-2), "weight": (0.03, 0.1, 0.3), "lr": (5e-3,)}
FLIPS = {"l2": (0.1, 0.3, 0.6), "flip_l2": (0.1, 0.5, 2.0), "lr": (5e-3,)}
SQUARES = {"l2": (0.3, 0.6, 1.0), "a": (0.05, 0.1)}


@dataclass(frozen=True)
class Contender:
    """A model and an objective, the settings to try, and which other contender its paper puts it above or below."""

    model: str
    objective: str
    grid: dict[str, tuple[float, ...]] = field(hash=False)
    baseline: str | None = None
    above: bool = True

    @property
    def name(self) -> str:
        return f"{self.model}, {self.objective}"

    def settings(self) -> Iterator[dict[str, float]]:
        for values in product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


CONTENDERS = (
    Contender("lightgcn", "bpr", PAIRS),
    Contender("mf", "bpr", PAIRS, "lightgcn, bpr", above=False),
    Contender("ngcf", "bpr", PAIRS, "lightgcn, bpr", above=False),
    Contender("sgl", "bpr", CONTRAST, "lightgcn, bpr"),
    Contender("simgcl", "bpr", CONTRAST, "lightgcn, bpr"),
    Contender("xsimgcl", "bpr", CONTRAST, "lightgcn, bpr"),
    Contender("mf", "nbpo", FLIPS, "mf, bpr"),
    Contender("mf", "whole_data", SQUARES),
    Contender("mf", "rel_mf", SQUARES, "mf, whole_data"),
)


@dataclass(frozen=True)
class Effort:
    """How long to train."""

    epochs: int  # of what samples, at most
    every: int  # epochs between two evaluations
    patience: int  # evaluations without a rise before it stops
    iterations: int  # of what converges, at most


def main() -> None:
    options = arguments(__doc__, own=flags)
    effort = Effort(2, 1, 1, 20) if options.quick else Effort(300, 5, 5, 2000)
    split = load(options, options.dataset, options.split)
    told = {"dataset": options.dataset, "dim": DIM, "layers": LAYERS, "batch": BATCH, **vars(effort)}
    result = report(options, "models", split, told)
    result["runs"] = kept(options, result, "runs") if options.resume else []
    chosen = [c for c in CONTENDERS if not options.contenders or c.name in options.contenders]
    for contender in tqdm(chosen, desc="contenders", disable=None, leave=False):
        tune(options, result, contender, split, effort)
    first = {c.name: max(runs_of(result, c), key=lambda run: run["ndcg_at_20"]) for c in chosen}
    result["test"] = {}
    for contender in tqdm(chosen, desc="test", disable=None, leave=False):
        result["test"][contender.name] = test(contender, first[contender.name], split, options.seeds, effort)
        result["relations"] = [row for c in chosen if (row := relation(c, result["test"])) is not None]
        finish(options, result)
    for row in result["relations"]:
        say(
            f"{row['contender']:16} / {row['baseline']:14} {around(row['ratio'])}  "
            f"paper: {row['paper']} 1, {row['verdict']}"
        )


def flags(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--contenders", nargs="+", choices=names, metavar="NAME", help=f"of: {'; '.join(names)} [all]")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="of the fits that are tested [3]")
    parser.add_argument("--resume", action="store_true", help="keep the runs that the file of --json already has")


def runs_of(result: dict[str, Any], contender: Contender) -> list[dict[str, Any]]:
    return [run for run in result["runs"] if run["contender"] == contender.name]


# ---- validation ------------------------------------------------------------------------------------------------------


def tune(
    options: argparse.Namespace, result: dict[str, Any], contender: Contender, split: Split, effort: Effort
) -> None:
    """Try the settings that `result` lacks; it is written after each."""
    settings = list(contender.settings())[: 1 if options.quick else None]
    done = [run["settings"] for run in runs_of(result, contender)]
    for tried in tqdm([s for s in settings if s not in done], desc=contender.name, disable=None, leave=False):
        run = {"contender": contender.name, "settings": tried, **validate(contender, tried, split, effort)}
        result["runs"].append(run)
        shown = ", ".join(f"{name} {value:g}" for name, value in tried.items())
        when = "at the end" if run["epoch"] is None else f"at epoch {run['epoch']}"
        say(f"{contender.name:16} {shown}: NDCG@20 {run['ndcg_at_20']:.4f} {when}, {run['seconds']:.0f} s")
        finish(options, result)


def validate(contender: Contender, settings: dict[str, float], split: Split, effort: Effort) -> dict[str, Any]:
    """Figures on validation where they were best, the epoch of that (None for what converges), and all seconds."""
    subject = problem(contender, settings, split.train, 0, effort)
    curve: list[dict[str, Any]] = []

    def measured(params: Params) -> dict[str, float]:
        embedded = subject.with_params(params).readout()
        figures = evaluate(*embedded, train=split.train, test=split.validation).summary()
        return {name: figures[name] for name in METRICS}

    def monitor(epoch: int, _seconds: float, params: Callable[[], Params]) -> bool:
        if epoch % effort.every:
            return False
        curve.append({"epoch": epoch, **measured(params())})
        return len(curve) - 1 - best(curve) >= effort.patience

    fitted = fit(subject, monitor if subject.stochastic else None)
    chosen = curve[best(curve)] if subject.stochastic else {"epoch": None, **measured(fitted.params)}
    return chosen | {"seconds": fitted.history.seconds}


def best(curve: list[dict[str, Any]]) -> int:
    return max(range(len(curve)), key=lambda n: curve[n]["ndcg_at_20"])


def problem(
    contender: Contender, settings: dict[str, float], data: Interactions, seed: int, effort: Effort
) -> RecommenderProblem:
    """Untrained; every setting goes to whom it belongs."""
    of_training = {"lr"} & settings.keys()
    of_model = {"weight"} & settings.keys()
    loss = objective(contender.objective, **{k: v for k, v in settings.items() if k not in of_training | of_model})
    seeded = {"seed": seed} if isinstance(loss, SampledObjective) else {}
    model: dict[str, Any] = {"dim": DIM} | {name: settings[name] for name in of_model}
    if contender.model != "mf":
        model["layers"] = LAYERS
    if of_model:
        model["seed"] = seed
    return RecommenderProblem.build(
        data,
        model=contender.model,
        objective=objective(contender.objective, **loss.arguments() | seeded),
        options=TrainingOptions(
            seed=seed,
            epochs=effort.epochs,
            max_iterations=effort.iterations,
            batch_size=BATCH,
            **{name: settings[name] for name in of_training},
        ),
        **model,
    )


def fit(subject: RecommenderProblem, monitor: Any = None) -> RecommenderProblem:
    loss = ModelLoss(subject.model, subject.objective_function, subject.graph)
    return subject.fit(loss.initial(subject.options.seed, std=subject.options.init_std), monitor=monitor)


# ---- test ------------------------------------------------------------------------------------------------------------


def test(contender: Contender, run: dict[str, Any], split: Split, seeds: int, effort: Effort) -> dict[str, Any]:
    """Figures over seeds, fitted to train and validation by the settings and epochs of `run`."""
    data, rows = split.refit(), []
    effort = replace(effort, epochs=run["epoch"] or effort.epochs)
    for seed in range(seeds):
        fitted = fit(problem(contender, run["settings"], data, seed, effort))
        figures = evaluate(*fitted.readout(), train=data, test=split.test).summary()
        rows.append({name: figures[name] for name in METRICS} | {"seconds": fitted.history.seconds})
    found = {name: average(row[name] for row in rows) for name in rows[0]}
    say(f"{contender.name:16} test " + ", ".join(f"{name} {around(found[name])}" for name in METRICS))
    return {"settings": run["settings"], "epoch": run["epoch"], **found}


def relation(contender: Contender, tested: dict[str, Any]) -> dict[str, Any] | None:
    """How the contender stands to its baseline; None where it has none, or either has not been tested."""
    if contender.baseline is None or not {contender.name, contender.baseline} <= tested.keys():
        return None
    own, other = (tested[name]["ndcg_at_20"]["values"] for name in (contender.name, contender.baseline))
    ratio = average(a / b for a, b in zip(own, other, strict=True))
    low, high = (ratio["mean"] if ratio[end] is None else ratio[end] for end in ("low", "high"))
    side = "above" if low > 1 else "below" if high < 1 else None
    paper = "above" if contender.above else "below"
    return {
        "contender": contender.name,
        "baseline": contender.baseline,
        "paper": paper,
        "ratio": ratio,
        "verdict": "open" if side is None else "holds" if side == paper else "contradicted",
    }


if __name__ == "__main__":
    main()
