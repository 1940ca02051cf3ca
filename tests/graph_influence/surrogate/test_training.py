"""Learned surrogates learn: what they are shown is what simulation says, and the best that they were is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from graph_influence.graph import SocialGraph
from graph_influence.surrogate import (
    GCN,
    Capped,
    Examples,
    Hybrid,
    MeanField,
    NonBacktracking,
    Regime,
    StoredSurrogateError,
    Surrogate,
    TensorGraph,
    TrainingOptions,
    load_surrogate,
    save_surrogate,
    train,
)
from graph_influence.surrogate.recipes import recipe
from graph_influence.surrogate.training import _errors
from graph_influence.synthetic import power_law
from tests.oracles.cascades import random_graph, worlds

_NOBODY = np.array([], dtype=np.int64)
REGIME = Regime(graphs=10, sets=8, least=60, most=120, seed_share=0.05, perturbed=0.5, runs=2_000)
NETWORKS: dict[str, Surrogate] = {"gcn": GCN(depth=3, width=16), "capped": Capped(), "hybrid": Hybrid()}
OPTIONS = {
    "gcn": TrainingOptions(epochs=6, learning_rate=0.02),
    "capped": TrainingOptions(epochs=5, learning_rate=0.01),
    "hybrid": TrainingOptions(epochs=4, learning_rate=0.02),
}


@pytest.fixture(scope="module")
def shown() -> tuple[list[Examples], list[Examples], list[Examples]]:
    return REGIME.draw("train"), REGIME.draw("validation", 4), REGIME.draw("test", 4)


def error(network: Surrogate, shown: list[Examples]) -> float:
    """The mean over sets of the squared error of all nodes, by the spread."""
    with torch.no_grad():
        wrong = [
            (network(one.graph, one.seeds, one.probability) - one.activation).square().sum(1) / one.activation.sum(1)
            for one in shown
        ]
    return float(torch.cat(wrong).mean())


class Tilted(Surrogate):
    """Messages' answers, with their gradients times a parameter, which no answer tells."""

    name = "tilted"

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, graph, seeds, probability=None, susceptible=None):
        answers = NonBacktracking()(graph, seeds, probability, susceptible)
        return answers.detach() + self.slope * (answers - answers.detach())


class Flat(Surrogate):
    """Every node the same."""

    name = "flat"

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, graph, seeds, probability=None, susceptible=None):
        return self.level.expand(seeds.shape)


def test_examples_are_what_simulation_says_of_the_arcs_that_are_left():
    social = random_graph(12)
    regime = Regime(sets=6, seed_share=0.3, perturbed=1.0, runs=20_000)
    one = regime.on(social, np.random.default_rng(0))
    assert len(one) == 6 and one.seeds.shape == one.activation.shape == (6, social.num_nodes)
    assert bool((one.probability == 0).any(1).any())
    for seeds, p, activation, drops in zip(one.seeds, one.probability, one.activation, one.drops, strict=True):
        rows, gone = seeds.nonzero()[:, 0].tolist(), np.flatnonzero(p.numpy() == 0)
        exact, *without = (
            worlds(social.without_rows(_NOBODY, np.union1d(gone, arc)), "ic").activation(rows)
            for arc in (_NOBODY, *np.arange(social.num_arcs))
        )
        assert exact.sum() > len(rows)
        assert np.abs(activation.numpy() - exact).max() < 5 * 0.5 / regime.runs**0.5
        assert np.isin(p.numpy(), [0.0, *social.probability]).all()
        fall = exact.sum() - np.array([other.sum() for other in without])
        # A drop in a cascade is from 0 to all nodes but the seeds, so its standard deviation at most half of that.
        assert np.abs(drops.numpy() - fall).max() < 5 * 0.5 * (social.num_nodes - len(rows)) / regime.runs**0.5
        assert fall.max() > 0.05 and drops.numpy()[gone].max(initial=0.0) == 0.0


def test_perturbed_sets_lose_what_a_minimiser_would_take_and_half_of_them_some_of_everything():
    social = power_law(200, silent=0.3, seed=3)
    rows = np.argsort(-social.out_degree(), kind="stable")[:4]
    near = np.isin(social.source, rows)
    worth = social.probability * (1 + social.out_degree()[social.target])
    lost, thinned = np.zeros(social.num_arcs), 0
    for draw in range(400):
        gone = Regime()._removed(social, rows, np.random.default_rng(draw))
        lost[gone] += 1
        thinned += bool((~near[gone]).any())
    assert abs(thinned - 200) < 4 * 10
    assert lost[~near].mean() / 400 == pytest.approx(0.05, rel=0.2)  # half of them lose up to a fifth
    heavy = worth > np.median(worth[near])
    assert lost[near & heavy].mean() > 1.5 * lost[near & ~heavy].mean()


def test_only_as_many_sets_are_perturbed_as_asked():
    social = power_law(200, silent=0.3, seed=3)
    none, half = (
        Regime(sets=40, runs=20, perturbed=share).on(social, np.random.default_rng(0)) for share in (0.0, 0.5)
    )
    whole = torch.from_numpy(social.probability)
    assert bool((none.probability == whole).all())
    assert 8 < int((half.probability == whole).all(1).sum()) < 32


def test_examples_are_those_of_their_seed_and_purpose():
    few = replace(REGIME, graphs=2, sets=2, runs=50)
    (one, _), (again, _), (other, _) = few.draw("train"), few.draw("train"), few.draw("validation")
    assert torch.equal(one.activation, again.activation) and torch.equal(one.seeds, again.seeds)
    assert one.seeds.shape != other.seeds.shape or not torch.equal(one.seeds, other.seeds)
    assert torch.equal(few.draw("train", 1)[0].activation, one.activation)


def test_where_nobody_can_be_activated_there_is_nothing_to_show():
    silent = SocialGraph.from_arcs([0], [1], 0.0, nodes=50)
    with pytest.raises(ValueError, match=r"SocialGraph.50 nodes, 1 arcs. must have nodes that activate others"):
        Regime(sets=2, runs=50).on(silent, np.random.default_rng(0))


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_trained_beats_the_untrained_on_other_graphs_and_the_bounded_the_mean_field(kind, shown):
    given, validation, test = shown
    network = NETWORKS[kind]
    before = error(network, test)
    found = train(network, given, validation, OPTIONS[kind])
    after = error(network, test)
    assert after < 0.9 * before
    assert kind == "gcn" or after < error(MeanField(7), test)  # what is not bounded takes minutes to come so far
    assert found.validation[found.epoch] == min(found.validation) and not found.interrupted
    assert len(found.validation) == OPTIONS[kind].epochs + 1


def test_gradients_learn_where_they_are_taught_and_only_there(shown):
    given = shown[0][:4]
    across, along = 0.0, 0.0
    for one in given:
        p = one.probability.clone().requires_grad_()
        (slopes,) = torch.autograd.grad(NonBacktracking()(one.graph, one.seeds, p).sum(), p)
        said = one.probability * slopes * (1 - one.seeds[:, one.graph.target])
        weight = (1 + (one.activation - one.seeds).sum(1, keepdim=True)) ** -2
        across, along = across + float((weight * said * one.drops).sum()), along + float((weight * said**2).sum())
    for drops, best in ((0.0, 0.0), (5.0, across / along)):  # by least squares
        network = Tilted()
        train(network, given, given, TrainingOptions(epochs=10, learning_rate=0.1, drops=drops))
        assert float(network.slope.detach()) == pytest.approx(best, abs=0.06)
    assert best > 0.5


class Inward(Surrogate):
    """What it says hangs on arcs into seeds is a parameter, which no answer tells."""

    name = "inward"

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, graph, seeds, probability=None, susceptible=None):
        into = (probability * seeds[:, graph.target]).sum(1, keepdim=True)
        return seeds + self.level * (into - into.detach())


def test_what_a_network_says_of_arcs_into_seeds_is_not_taught(shown):
    one, network = shown[0][0], Inward()
    assert bool(one.seeds[:, one.graph.target].any())
    loss = _errors(network, one, torch.arange(len(one)), TrainingOptions(drops=1.0)).sum()
    assert float(torch.autograd.grad(loss, network.level)[0]) == 0.0


def test_the_spread_is_taught_beside_the_nodes(shown):
    given = shown[0][:4]
    shares = torch.cat([one.activation.mean(1) for one in given])  # spread over nodes
    levels = [
        float((1 + total / shares).sum() / (1 / shares + total / shares**2).sum())  # by least squares
        for total in (0.0, 5.0)
    ]
    for total, best in zip((0.0, 5.0), levels, strict=True):
        network = Flat()
        train(network, given, given, TrainingOptions(epochs=20, learning_rate=0.01, clip=1e9, total=total))
        assert float(network.level.detach()) == pytest.approx(best, rel=0.01)
    assert levels[1] < 0.8 * levels[0]


def test_the_best_is_kept_and_not_the_last(shown):
    given, validation, _ = shown
    network = GCN(depth=2, width=8)
    wild = TrainingOptions(epochs=6, learning_rate=0.003, decay=1e4)  # ends at a rate of 30
    found = train(network, given[:2], validation, wild)
    again = train(network, given[:1], validation, replace(wild, epochs=1, learning_rate=1e-12))
    assert again.validation[0] == pytest.approx(min(found.validation), rel=1e-6)
    assert 0 < found.epoch < 6 and found.validation[-1] > found.validation[found.epoch]


def test_the_same_seed_trains_the_same(shown):
    given, validation, _ = shown
    networks = [Capped(steps=2, width=4) for _ in range(2)]
    options = TrainingOptions(epochs=1)
    one, other = (train(network, given[:2], validation[:1], options).validation for network in networks)
    assert one == other


def test_an_interrupt_leaves_the_best_so_far(shown, monkeypatch):
    given, validation, _ = shown
    network, seen = Hybrid(units=2), list[int]()
    forward = network.forward

    def counting(*args, **kwargs):
        seen.append(1)
        if len(seen) == 60:
            raise KeyboardInterrupt
        return forward(*args, **kwargs)

    monkeypatch.setattr(network, "forward", counting)
    found = train(network, given, validation, TrainingOptions(epochs=500, learning_rate=0.02))
    assert found.interrupted and 1 < len(found.validation) < 10
    assert error(network, given) < error(Hybrid(units=2), given)


@pytest.mark.parametrize("network", [GCN(2, 4, seed=3), Capped(2, 3, "lt"), Hybrid(None, 3), MeanField(4).double()])
def test_a_stored_surrogate_answers_the_same(network, tmp_path):
    path = tmp_path / "one.safetensors"
    save_surrogate(network, path, {"seed": 1})
    graph = REGIME.draw("train", 1)[0]
    again = load_surrogate(path)
    assert again.arguments() == network.arguments() and type(again) is type(network)
    with torch.no_grad():
        assert torch.equal(again(graph.graph, graph.seeds), network(graph.graph, graph.seeds))
    double = str(tmp_path / "double.safetensors")
    save_surrogate(network.double(), double)
    assert all(p.dtype == torch.float64 for p in load_surrogate(double).parameters())


def test_what_cannot_be_loaded_is_told(tmp_path):
    path = tmp_path / "one.safetensors"
    for none in (path, tmp_path):
        with pytest.raises(FileNotFoundError, match="must be a file that holds a surrogate"):
            load_surrogate(none)
    path.write_bytes(b"nothing")
    with pytest.raises(StoredSurrogateError, match="must hold a surrogate .it cannot be read"):
        load_surrogate(path)
    save_surrogate(GCN(2, 4), path)
    tensors = load_file(path)
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(StoredSurrogateError, match="of format 'surrogate 1' .got None."):
        load_surrogate(tmp_path / "bare.safetensors")
    _with(path, tensors | {"readout.weight": torch.zeros(1, 3), "more": torch.zeros(1)})
    with pytest.raises(StoredSurrogateError) as told:
        load_surrogate(path)
    assert "`readout.weight` must be float32 [1, 4] (got float32 [1, 3])" in str(told.value)
    assert "`more` must be absent (got float32 [1])" in str(told.value)


def _with(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = file.metadata()
    save_file(tensors, path, about)


def test_the_graphs_are_power_laws_with_shared_weights():
    graph = power_law(4_000, exponent=2.0, silent=0.0, seed=1)
    total = np.bincount(graph.target, graph.probability, minlength=4_000)
    assert np.allclose(total[graph.in_degree() > 0], 1.0) and (graph.in_degree() == 0).any()
    out = np.sort(graph.out_degree())[::-1]
    high = out[out >= 30]
    hill = 1 + 1 / np.log(high / 29.5).mean()
    assert abs(hill - 2.0) < 4 * (hill - 1) / len(high) ** 0.5
    drawn = power_law(4_000, silent=0.0, reciprocity=0.0, seed=1).in_degree()
    assert np.median(drawn) in (3, 4) and 0.7 < np.log(drawn[drawn > 0]).std() < 1.1
    for share in (0.0, 0.3):  # arcs that go both ways, of all: twice those drawn back, of as many more
        mutual = TensorGraph.of(power_law(4_000, silent=0.0, reciprocity=share, seed=1))
        assert len(mutual.paired) / len(mutual.source) == pytest.approx(2 * share / (1 + share), abs=0.04)
    assert (power_law(500, silent=0.7, reciprocity=0.0).out_degree() == 0).mean() >= 0.7
    assert np.array_equal(power_law(300, seed=5).source, power_law(300, seed=5).source)
    assert power_law(2, in_degree=0.01).num_arcs == 0
    with pytest.raises(ValueError, match="`exponent` above 1"):
        power_law(10, exponent=1.0)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="(?s)`least` must be from 10 to `most` .600.*`runs` must be.*`seed` must be"):
        Regime(runs=0, least=5, seed=-1)
    with pytest.raises(ValueError, match="(?s)`epochs` must be positive.*`total` must be at least 0.*`drops` must"):
        TrainingOptions(epochs=0, total=-1.0, drops=-1.0)
    with pytest.raises(ValueError, match="`network` must have parameters"):
        train(MeanField(), REGIME.draw("train", 1), [])
    with pytest.raises(ValueError, match="`mean_field` has nothing to learn"):
        recipe(MeanField())
