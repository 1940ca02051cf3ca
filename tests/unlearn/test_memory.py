"""Work that memory cannot hold is refused before it begins."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.closed_form import Ease
from recsys.data import Interactions, synthetic
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.memory import free_bytes
from unlearn.methods import method
from unlearn.solvers.room import require_room
from unlearn.vocabulary import Vocabulary

MORE_THAN_THERE_IS = 10**10  # pairs of vectors


def test_what_is_free_is_the_least_that_machine_and_control_groups_leave(tmp_path: Path) -> None:
    def system(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    assert free_bytes(tmp_path) is None
    system("proc/meminfo", "MemTotal:       9000 kB\nMemFree:         100 kB\nMemAvailable:   5000 kB\n")
    assert free_bytes(tmp_path) == 5000 * 1024
    system("proc/self/cgroup", "4:memory:/old\n0::/service/worker\n")
    system("sys/fs/cgroup/service/worker/memory.max", "max\n")
    assert free_bytes(tmp_path) == 5000 * 1024
    system("sys/fs/cgroup/service/memory.max", "3000000\n")
    system("sys/fs/cgroup/service/memory.current", "2000000\n")
    system("sys/fs/cgroup/service/memory.stat", "anon 1600000\nfile 400000\ninactive_file 300000\n")
    assert free_bytes(tmp_path) == 1_300_000
    system("sys/fs/cgroup/service/memory.current", "4000000\n")
    assert free_bytes(tmp_path) == 0


def test_training_is_refused_where_its_vectors_do_not_fit() -> None:
    untrained = RecommenderProblem.build(synthetic(30, 20, 200), dim=8)
    options = TrainingOptions(memory=MORE_THAN_THERE_IS, max_iterations=MORE_THAN_THERE_IS)
    with pytest.raises(ValueError, match=r"10000000000 pairs of vectors of 400 numbers must fit .* lower `dim`"):
        untrained.fit(options=options)
    assert untrained.fit(options=replace(options, max_iterations=2)).history.residual is not None


@pytest.mark.parametrize(("pairs", "iterations", "vectors"), [(3, 50, 18), (20, 4, 20)])
def test_two_vectors_a_pair_and_a_dozen_must_fit(
    pairs: int, iterations: int, vectors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlearn.memory._LITTLE", 0)
    start = torch.zeros(100)
    for free, fits in ((vectors * 400, True), (vectors * 400 - 1, False)):
        monkeypatch.setattr("unlearn.memory.free_bytes", lambda free=free: free)
        with nullcontext() if fits else pytest.raises(ValueError, match=f"with {min(pairs, iterations)} pairs"):
            require_room(start, memory=pairs, max_iterations=iterations, remedy="wait")


def test_unlearning_is_refused_where_its_vectors_do_not_fit() -> None:
    problem = RecommenderProblem.build(synthetic(30, 20, 200), dim=8).fit(options=TrainingOptions(max_iterations=5))
    greedy = method("reconverge", memory=MORE_THAN_THERE_IS, max_iterations=MORE_THAN_THERE_IS)
    with pytest.raises(ValueError, match="must fit into memory .* lower `memory` of `reconverge`"):
        greedy.forget(problem, ForgetSet(users=("u000003",)))


def test_an_inverse_over_millions_of_items_is_refused() -> None:
    items = Vocabulary(np.arange(2_000_000))
    data = Interactions(Vocabulary([1]), items, np.array([0, 2]), np.array([5, 7]))
    with pytest.raises(ValueError, match="`ease` over 2,000,000 items must fit into memory .* rare items"):
        Ease(data=data).fit()


def test_a_table_of_embeddings_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="`LightGCN`, 50 rows of 10,000,000,000 numbers, must fit .* smaller `dim`"):
        RecommenderProblem.build(synthetic(30, 20, 200), dim=10**10)
