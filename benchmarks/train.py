"""How fast training gets to what BPR-LightGCN can do: `whole_data` against PyG's LightGCN, on LastFM.

Both train on the train part, from building the model on, and are evaluated on validation after every epoch or
iteration, with the clock stopped, until NDCG@20 has not risen for 20 evaluations. Ours takes its turns before,
between and after the peer's runs. The ratio is the peer's seconds to its best validation NDCG@20 over ours to at
least that. Then both are fitted to train and validation (the peer for as many epochs as were best) and tested.
Bars: 20 times shorter; Recall@20 >= .278 and NDCG@20 >= .218.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from common import Stopwatch, alternate, arguments, finish, load, report, say, shown, spread, verdict
from peer import Peer

from recsys.data import Interactions, Split
from recsys.evaluate import evaluate
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.params import Params

OBJECTIVE = WholeData(a=0.1, l2=0.6)  # chosen on validation
DIM, LAYERS, BATCH = 64, 3, 2048
LEARNING_RATES = (1e-3, 5e-3)
BAR_RATIO, BAR_RECALL, BAR_NDCG = 20.0, 0.278, 0.218


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    seeds: int
    patience: int  # evaluations without a rise before a run stops
    epochs: int  # of the peer, at most


@dataclass(frozen=True)
class Curve:
    """Validation NDCG@20 over training seconds; stops itself when it has not risen for `patience` evaluations."""

    patience: int
    seconds: list[float]
    ndcg: list[float]

    def add(self, seconds: float, ndcg: float) -> bool:
        self.seconds.append(seconds)
        self.ndcg.append(ndcg)
        return len(self.ndcg) - 1 - self.best >= self.patience

    @property
    def best(self) -> int:
        return max(range(len(self.ndcg)), key=self.ndcg.__getitem__)

    def reach(self, ndcg: float) -> float | None:
        """Seconds to at least that; None where it never came."""
        return next((s for s, value in zip(self.seconds, self.ndcg, strict=True) if value >= ndcg), None)


def main() -> None:
    options = arguments(__doc__)
    effort = Effort(1, 2, 3) if options.quick else Effort(3, 20, 600)
    split = load(options, "lastfm")
    settings = {"dim": DIM, "layers": LAYERS, "ours": OBJECTIVE.arguments(), "batch": BATCH, **asdict(effort)}
    result = report(options, "train", split, settings)
    alternate({"ours": lambda: problem(split.train, 0, max_iterations=3).fit()}, 0)  # what only the first call costs

    ours: list[tuple[int, Curve]] = []

    def turn() -> None:
        ours.extend((seed, train_ours(split, seed, effort)) for seed in range(effort.seeds))

    turn()
    peers: dict[float, Curve] = {}
    for rate in LEARNING_RATES:
        peers[rate] = train_peer(split, rate, effort)
        turn()
    rows = [compare(rate, curve, ours) for rate, curve in peers.items()]
    better = max(rows, key=lambda row: row["peer_ndcg_at_20"])
    result["speed"] = {"by_learning_rate": rows, "better_for_the_peer": better["learning_rate"]}
    for name in ("peer", "ours"):
        result[f"{name}_curves"] = [
            {"key": key, "seconds": curve.seconds, "ndcg_at_20": curve.ndcg}
            for key, curve in (peers.items() if name == "peer" else ours)
        ]
    if better["ratio"] is not None:
        met = better["ratio"]["median"] >= BAR_RATIO
        say(f"learning rate {better['learning_rate']} is the peer's better one; {verdict(met)} >= {BAR_RATIO:g} x")
    result["test"] = test(split, effort, peers[better["learning_rate"]].best + 1, better["learning_rate"])
    finish(options, result)


def problem(data: Interactions, seed: int, **options: Any) -> RecommenderProblem:
    training = TrainingOptions(seed=seed, **options)
    return RecommenderProblem.build(data, objective=OBJECTIVE, options=training, dim=DIM, layers=LAYERS)


def ndcg(split: Split, embeddings: Any) -> float:
    return evaluate(*embeddings, train=split.train, test=split.validation).summary()["ndcg_at_20"]


def train_ours(split: Split, seed: int, effort: Effort) -> Curve:
    watch, curve = Stopwatch(), Curve(effort.patience, [], [])
    subject = problem(split.train, seed)

    def monitor(_iteration: int, _seconds: float, params: Callable[[], Params]) -> bool:
        seconds = watch.seconds
        with watch.paused():
            return curve.add(seconds, ndcg(split, subject.with_params(params()).readout()))

    subject.fit(monitor=monitor)
    say(f"ours, seed {seed}: NDCG@20 {curve.ndcg[curve.best]:.4f} in {curve.seconds[curve.best]:.2f} s")
    return curve


def train_peer(split: Split, rate: float, effort: Effort) -> Curve:
    watch, curve = Stopwatch(), Curve(effort.patience, [], [])
    peer = Peer(split.train, dim=DIM, layers=LAYERS, learning_rate=rate, seed=0)
    for _ in range(effort.epochs):
        peer.epoch(BATCH)
        seconds = watch.seconds
        with watch.paused():
            if curve.add(seconds, ndcg(split, peer.embeddings())):
                break
    say(
        f"peer, learning rate {rate}: NDCG@20 {curve.ndcg[curve.best]:.4f} "
        f"after {curve.best + 1} epochs, {curve.seconds[curve.best]:.1f} s"
    )
    return curve


def compare(rate: float, peer: Curve, ours: list[tuple[int, Curve]]) -> dict[str, Any]:
    """Seconds of the peer to its best over those of every run of ours to at least that."""
    goal, theirs = peer.ndcg[peer.best], peer.seconds[peer.best]
    reached = [curve.reach(goal) for _, curve in ours]
    times = [seconds for seconds in reached if seconds is not None]
    row: dict[str, Any] = {
        "learning_rate": rate,
        "peer_ndcg_at_20": goal,
        "peer_epochs": peer.best + 1,
        "peer_seconds": theirs,
        "ours_reached": f"{len(times)} of {len(reached)}",
        "ours_seconds": spread(times) if times else None,
        "ratio": spread(theirs / seconds for seconds in times) if times else None,
    }
    if times:
        say(f"learning rate {rate}: {theirs:.1f} s against {shown(row['ours_seconds'])} s, {shown(row['ratio'])} x")
    else:
        say(f"learning rate {rate}: ours did not reach {goal:.4f}")
    return row


def test(split: Split, effort: Effort, peer_epochs: int, rate: float) -> dict[str, Any]:
    """Recall@20 and NDCG@20 on test, fitted to train alone and to train and validation."""
    found: dict[str, Any] = {}
    for part, data in (("train", split.train), ("train and validation", split.refit())):
        mine = [problem(data, seed).fit().readout() for seed in range(effort.seeds)]
        peer = Peer(data, dim=DIM, layers=LAYERS, learning_rate=rate, seed=0)
        for _ in range(peer_epochs):
            peer.epoch(BATCH)
        for name, fitted in (("ours", mine), ("peer", [peer.embeddings()])):
            metrics = [evaluate(*embeddings, train=data, test=split.test).summary() for embeddings in fitted]
            figures = {metric: spread(m[metric] for m in metrics) for metric in ("recall_at_20", "ndcg_at_20")}
            found[f"{name}, {part}"] = figures
            say(f"{name}, fitted to {part}: " + ", ".join(f"{m} {shown(f, '.4f')}" for m, f in figures.items()))
    recall, gain = (statistics.median(v["values"]) for v in found["ours, train and validation"].values())
    met = recall >= BAR_RECALL and gain >= BAR_NDCG
    say(f"ours: {verdict(met)} Recall@20 >= {BAR_RECALL} and NDCG@20 >= {BAR_NDCG}")
    return found


if __name__ == "__main__":
    main()
