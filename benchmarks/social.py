"""Do ties help a recommender? LightGCN with the ties between users against LightGCN without.

Both under `whole_data`, over the same grid of `l2`, on the same draws of the training part; the weight of a tie and
`l2` are chosen by NDCG@20 on what the draws leave out. Both are then fitted to train and validation and tested, on
everybody and on thirds of the users by activity; the difference is that of each user's two figures. (Both have one
solution, so another seed is no other model.) At last newcomers: every tenth user loses all training interactions and
keeps the ties, and is recommended to by these, by as many ties dealt out at random, and by a list of the popular.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from common import above_zero, add_dataset, arguments, around, at_least, average, finish, load, report, say
from torch import Tensor
from tqdm import tqdm
from tune import validation_draw

from recsys.data import Interactions, Split
from recsys.evaluate import evaluate, terciles
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.audit.measures import interval

L2 = (0.2, 0.3, 0.45, 0.6)
WEIGHTS = (0.1, 0.3, 1.0, 2.0, 4.0)
FIGURES = ("recall_at_20", "ndcg_at_20")
Row = dict[str, Any]


def main() -> None:
    options = arguments(__doc__, own=flags)
    if options.quick:
        options.dim, options.l2, options.weights, options.draws, options.seeds = 8, [1.0], [0.1, 1.0], 2, 2
    split = load(options, options.dataset, options.split)
    data = split.refit()
    if data.ties is None:
        raise SystemExit(f"`--dataset` must have ties between users (got {options.dataset})")
    names = ("dataset", "dim", "draws", "seeds", "l2", "weights")
    result = report(options, "social", split, {name: getattr(options, name) for name in names})
    result["data"]["ties"] = len(data.ties)
    result["cells"] = search(options, data)
    result["best"] = best = {
        kind: max(
            (row for row in result["cells"] if (row["tie_weight"] is None) is (kind == "lightgcn")),
            key=lambda row: row["ndcg_at_20"]["mean"],
        )
        for kind in ("lightgcn", "social_lightgcn")
    }
    finish(options, result)
    result["test"] = test(options, split, best)
    result["newcomers"] = newcomers(options, split, best)
    finish(options, result)


def flags(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    add = parser.add_argument
    add("--dim", type=at_least(1), default=192, help="width of the embeddings [192]")
    add("--draws", type=at_least(2), default=3, help="random validation parts of the training data [3]")
    add("--seeds", type=at_least(1), default=3, help="draws of the newcomers [3]")
    add("--l2", nargs="+", type=above_zero(), default=list(L2), help="values to try")
    add("--weights", nargs="+", type=above_zero(), default=list(WEIGHTS), help="weights of a tie to try")


def fitted(
    options: argparse.Namespace, cell: Mapping[str, Any], data: Interactions, seed: int
) -> tuple[Tensor, Tensor]:
    """Final embeddings of one model; without a weight of ties it is LightGCN."""
    weight = cell["tie_weight"]
    problem = RecommenderProblem.build(
        data,
        model="lightgcn" if weight is None else "social_lightgcn",
        objective=WholeData(l2=cell["l2"]),
        options=TrainingOptions(seed=seed),
        dim=options.dim,
        **({} if weight is None else {"tie_weight": weight}),
    )
    return problem.fit().readout()


def search(options: argparse.Namespace, data: Interactions) -> list[Row]:
    """Every weight and `l2` on every draw."""
    draws = [validation_draw(data, number) for number in range(options.draws)]
    cells = [{"tie_weight": weight, "l2": l2} for weight in (None, *options.weights) for l2 in options.l2]
    rows: list[Row] = []
    for cell in tqdm(cells, desc="cells", disable=None, leave=False):
        found = [
            evaluate(*fitted(options, cell, part.train, n), train=part.train, test=part.validation).summary()
            for n, part in enumerate(draws)
        ]
        rows.append(cell | {name: average(one[name] for one in found) for name in FIGURES})
        say(described(rows[-1]))
    return rows


def described(row: Row) -> str:
    weight = "no ties" if row["tie_weight"] is None else f"ties {row['tie_weight']:<4g}"
    return f"{weight:10} l2 {row['l2']:<5g} recall {around(row['recall_at_20'])}  ndcg {around(row['ndcg_at_20'])}"


def test(options: argparse.Namespace, split: Split, best: Mapping[str, Row]) -> Row:
    """Test figures of both, everybody's and by activity, and the mean difference over users."""
    data = split.refit()
    strata = terciles(data.degrees()[0])
    groups = {"all": strata >= 0} | {name: strata == k for k, name in enumerate(("low", "middle", "high"))}
    told = {kind: evaluate(*fitted(options, cell, data, 0), train=data, test=split.test) for kind, cell in best.items()}
    found: Row = {}
    for group, mask in groups.items():
        here = mask[told["lightgcn"].rows]
        for name in FIGURES:
            without, with_ties = (told[kind].per_user[name][here] for kind in ("lightgcn", "social_lightgcn"))
            change = interval((with_ties - without).tolist())
            found[f"{name}_{group}"] = {
                "lightgcn": float(without.mean()),
                "social_lightgcn": float(with_ties.mean()),
                "difference": asdict(change),
                "users": int(here.sum()),
            }
            say(
                f"test {name:12} {group:7} {without.mean():.4f} without ties, {with_ties.mean():.4f} with: "
                f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
            )
    return found


def newcomers(options: argparse.Namespace, split: Split, best: Mapping[str, Row]) -> Row:
    """Figures of users who have ties and no interaction."""
    data = split.refit()
    assert data.ties is not None
    figures: dict[str, dict[str, list[float]]] = {}
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        new = rng.permutation(np.flatnonzero(data.degrees()[0] > 0))[: data.n_users // 10]
        known = data.take(np.flatnonzero(~np.isin(data.user_rows(), new)))
        shuffled = among_others(data.ties, rng.permutation(data.n_users))
        counts = torch.from_numpy(known.degrees()[1]).double()[:, None]
        models = {
            "ties": fitted(options, best["social_lightgcn"], known, seed),
            "random ties": fitted(options, best["social_lightgcn"], replace(known, ties=shuffled), seed),
            "popular": (torch.ones(data.n_users, 1, dtype=torch.float64), counts),
        }
        for name, tables in models.items():
            told = evaluate(*tables, train=known, test=split.test, users_subset=new).summary()
            for figure in FIGURES:
                figures.setdefault(name, {}).setdefault(figure, []).append(told[figure])
    found = {name: {figure: average(values) for figure, values in of.items()} for name, of in figures.items()}
    for name, of in found.items():
        say(f"newcomers by {name:12} recall {around(of['recall_at_20'])}  ndcg {around(of['ndcg_at_20'])}")
    return found


def among_others(ties: np.ndarray[Any, Any], order: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same network among users who have traded places."""
    return np.unique(order[ties], axis=0)


if __name__ == "__main__":
    main()
