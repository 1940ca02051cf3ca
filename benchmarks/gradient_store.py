"""Top-k in a gradient store of a million records, against the time that reading it takes.

The store holds one unit row of 2,048 half-precision numbers a record: count-sketched gradients of a matrix
factorisation on all interactions of Gowalla (1,027,370 of them), stopped after a few iterations. Queries are gradients
of recommended pairs' scores. Measured in turns, one query at a time, files in memory: `top` (bytes of 128 principal
directions first, half precision for up to `--budget` candidates), `all_pairs` (every row read in half precision), and
the floors of both: the seconds that adding up the same number of bytes takes. Recall@k is against `all_pairs`. A
second store, of random directions, is the hardest case there is: no direction is principal. Everything runs in one
thread, so seconds are that thread's processor time, which others on the machine do not stretch by taking turns (they
still share its memory's bandwidth); wall time is beside it in the JSON. Bar: 50 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, at_least, finish, load, report, say, shown, spread, verdict
from torch import Tensor

from recsys.attribution import pair_scores, projected_gradients
from recsys.data import Split
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.attribution import CountSketch, GradientStore, build, query_features

BAR, K, DIM, WIDTH = 0.05, 10, 64, 2048


def own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--iterations", type=at_least(1), default=20, help="of training [20]")
    parser.add_argument("--queries", type=at_least(2), default=20, help="[20]")
    parser.add_argument("--budget", type=at_least(1), default=2_000, help="candidates read in half precision [2000]")
    parser.add_argument("--repeats", type=at_least(1), default=3, help="timed rounds [3]")
    parser.add_argument("--folder", type=Path, help="keep the stores there, and go on from those that are [none]")


def main() -> None:
    options = arguments(__doc__, own)
    if options.quick:
        options.iterations, options.queries, options.repeats = 5, 3, 1
    split = load(options, "gowalla")
    settings = {"dim": DIM, "width": WIDTH, "k": K, "iterations": options.iterations, "queries": options.queries}
    result = report(options, "gradient_store", split, settings | {"budget": options.budget})
    result["stores"] = []
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for row in measure(split, options, options.folder or Path(scratch)):
            result["stores"].append(row)
            finish(options, result)


def measure(split: Split, options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    data = split.refit().merge(split.test)
    training = TrainingOptions(max_iterations=options.iterations)
    objective = WholeData(a=0.1, l2=0.6)
    problem = RecommenderProblem.build(data, model="mf", dim=DIM, objective=objective, options=training).fit()
    projection = CountSketch(problem.params["table"].numel(), WIDTH)
    users = np.flatnonzero(data.degrees()[0])[:: max(1, data.n_users // options.queries)][: options.queries]
    pairs = torch.from_numpy(np.stack([users, problem.scores(users).argmax(1).numpy()], 1))
    queries = query_features(problem, pair_scores(pairs), projection)
    generator = torch.Generator().manual_seed(0)

    def random(records: Tensor) -> Tensor:
        return torch.randn(len(records), WIDTH, generator=generator)

    contents: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
        "gradients": (projected_gradients(problem, projection), queries),
        "random": (random, torch.randn(len(queries), WIDTH, generator=generator)),
    }
    digests = [hashlib.blake2b(number.to_bytes(8, "little"), digest_size=32).digest() for number in range(len(data))]
    for name, (features, asked) in contents.items():
        began = time.perf_counter()
        store = build(folder / name, digests, features, width=WIDTH, source={"content": name})
        seconds = time.perf_counter() - began
        say(f"{name}: {len(store):,} rows written in {seconds:.0f} s")
        yield {"content": name, "rows": len(store), "build_seconds": seconds} | timed(store, asked, options)
        del store
        if options.folder is None:
            shutil.rmtree(folder / name)


def timed(store: GradientStore, queries: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    truth = store.all_pairs(queries, K)  # brings the file into memory, too
    found = store.top(queries, K, budget=options.budget)
    hits = [len(np.intersect1d(a, b)) / K for a, b in zip(found.rows.numpy(), truth.rows.numpy(), strict=True)]
    first_stage = [np.asarray(store.heads), np.asarray(store.spans)]

    def in_turn(query: Callable[[Tensor], object]) -> Callable[[], object]:
        return lambda: [query(one[None]) for one in queries]

    turns, wall = in_turns(
        {
            "top": in_turn(lambda one: store.top(one, K, budget=options.budget)),
            "floor of top": lambda: [added(part) for part in first_stage],
            "all_pairs": lambda: store.all_pairs(queries[:1], K),
            "all_pairs, all queries": lambda: store.all_pairs(queries, K),
            "floor of all_pairs": lambda: added(store.rows),
        },
        options.repeats,
    )
    per_query = {"top": len(queries), "all_pairs, all queries": len(queries)}
    seconds, wall = (
        {name: spread(value / per_query.get(name, 1) for value in values) for name, values in times.items()}
        for times in (turns, wall)
    )
    for name, figures in seconds.items():
        say(f"  {name:24} {shown({k: _ms(v) for k, v in figures.items()}, '.1f')} ms a query")
    top, floor = seconds["top"]["median"], seconds["floor of top"]["median"]
    whole = seconds["floor of all_pairs"]["median"]
    figures = {
        "recall_at_k": float(np.mean(hits)),
        "exact_share": float(found.exact.double().mean()),
        "candidates": spread(found.candidates.tolist()),
        "bytes_of_top": sum(part.nbytes for part in first_stage),
        "bytes_of_all_pairs": store.rows.nbytes,
        "seconds": seconds,
        "wall_seconds": wall,
        "top_over_its_floor": top / floor,
        "all_pairs_over_its_floor": seconds["all_pairs"]["median"] / whole,
    }
    say(f"  recall@{K} {figures['recall_at_k']:.3f}, proven exact {figures['exact_share']:.2f} of the queries")
    say(f"  {top / floor:.2f} times its floor; {top / whole:.3f} of the floor of reading all in half precision")
    say(f"  bar of {1e3 * BAR:.0f} ms: {verdict(top <= BAR)}")
    return figures


def in_turns(contenders: Mapping[str, Callable[[], object]], repeats: int) -> tuple[dict[str, list[float]], ...]:
    """Processor and wall seconds of every contender in every round, as `common.alternate` takes them."""
    found: tuple[dict[str, list[float]], ...] = ({name: [] for name in contenders}, {name: [] for name in contenders})
    for counted in [False] + [True] * repeats:
        for name, contender in contenders.items():
            began = time.thread_time(), time.perf_counter()
            contender()
            if counted:
                found[0][name].append(time.thread_time() - began[0])
                found[1][name].append(time.perf_counter() - began[1])
    return found


def _ms(value: Any) -> Any:
    return value if isinstance(value, list) else 1e3 * value


def added(array: np.ndarray[Any, Any]) -> int:
    """The bytes added up as 64-bit numbers, block by block: the quickest way to have read them all."""
    flat = array.reshape(-1).view(np.uint8)
    words = flat[: len(flat) // 8 * 8].view(np.int64)
    return sum(int(words[start : start + 2**20].sum()) for start in range(0, len(words), 2**20))


if __name__ == "__main__":
    main()
