"""Forgotten means gone: 128-bit canaries are in nothing that a served request leaves, in memory or on disk.

Users, items and single interactions (by their times, random doubles) carry the canaries. What is searched is first
shown to hold them, so that a search that finds nothing means something.
"""

from __future__ import annotations

import functools
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recsys.commands import workspace
from recsys.data import Interactions, synthetic
from recsys.objectives import BPR, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.scorer import RankingScorer
from recsys.train import TrainingOptions
from tests.oracles.traces import holders, in_object
from unlearn.audit import compare, record
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.methods import UnlearnResult, method, methods
from unlearn.params import Params
from unlearn.tracking import MlflowTracker, lineage

KEY = b"a key that is kept apart"
# `no_op` goes on with the old model on purpose; `sharding` serves a model of its own, which is not stored.
METHODS = sorted(set(methods()) - {"no_op", "sharding"})
KEEPS_ROWS = {"graph_drop"}  # the baseline of the old parameters; its data, ids and graph are the remaining ones
OBJECTIVES = {"whole_data": WholeData(a=0.1, l2=1.0), "bpr": BPR(l2=1e-3)}


@functools.cache
def canary_data() -> Interactions:
    """Small heavy-tailed data with ties, whose ids and times are random."""
    rng = np.random.default_rng(11)
    data = synthetic(n_users=40, n_items=30, n_interactions=300, seed=3)
    assert data.ties is not None

    def ids(count: int) -> np.ndarray:
        return np.array([uuid.UUID(bytes=rng.bytes(16)).hex for _ in range(count)])

    users, items = ids(data.n_users), ids(data.n_items)
    frame = pd.DataFrame(
        {"user": users[data.user_rows()], "item": items[data.item_rows()], "time": rng.random(len(data))}
    )
    ties = pd.DataFrame({"source": users[data.ties[:, 0]], "target": users[data.ties[:, 1]]})
    return Interactions.from_frame(frame, time="time", ties=ties)


@functools.cache
def trained(objective: str) -> RecommenderProblem:
    chosen: Objective = OBJECTIVES[objective]
    options = TrainingOptions(
        seed=1, tolerance=1e-4, epochs=4, learning_rate=0.05, batch_size=64, checkpoint_every=2,
        keep=frozenset({"checkpoints", "optimizer"}),
    )  # fmt: skip
    return RecommenderProblem.build(canary_data(), objective=chosen, options=options, dim=6, layers=2).fit()


def applicable(objective: str) -> list[str]:
    """The methods that can be applied to that model."""
    return [name for name in METHODS if method(name).obstacle(trained(objective)) is None]


@dataclass(frozen=True)
class Case:
    """A request, and what must be gone once it is served."""

    forget: ForgetSet
    ids: tuple[str, ...]  # of users and items
    times: tuple[float, ...]  # of all interactions that go

    @property
    def canaries(self) -> tuple[str | float, ...]:
        return (*self.ids, *self.times)


@functools.cache
def cases() -> dict[str, Case]:
    data = canary_data()
    frame = data.frame()
    users, items = ([str(value) for value in frame[side].value_counts().index] for side in ("user", "item"))
    pairs = frame.iloc[[5, 100, 250]]
    single = tuple(zip(pairs["user"], pairs["item"], strict=True))
    alone = frame[(frame["user"] == users[3]) & (frame["item"] != items[4])].iloc[:1]
    mixed = ForgetSet(
        users=(users[5], users[-1]), items=(items[4],), interactions=((alone["user"].item(), alone["item"].item()),)
    )
    forget = {
        "users": ForgetSet(users=(users[0], users[20])),
        "items": ForgetSet(items=(items[0], items[12])),
        "interactions": ForgetSet(interactions=single),
        "mixed": mixed,
    }
    assert data.time is not None
    return {
        name: Case(
            forget=one,
            ids=tuple(str(value) for value in (*one.users, *one.items)),
            times=tuple(data.time[data.positions(one)].tolist()),
        )
        for name, one in forget.items()
    }


KINDS = ["users", "items", "interactions", "mixed"]


def served(name: str, kind: str, objective: str = "whole_data") -> UnlearnResult:
    problem, unlearner = trained(objective), method(name)
    return unlearner.forget(problem, cases()[kind].forget, unlearner.prepare(problem))


def forgotten_nodes(data: Interactions, forget: ForgetSet) -> torch.Tensor:
    users, items = data.users.rows(forget.users), data.items.rows(forget.items)
    return torch.from_numpy(np.concatenate([users, items + data.n_users]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "objective"), [(name, one) for one in OBJECTIVES for name in applicable(one)])
def test_nothing_in_memory_remembers(name: str, kind: str, objective: str) -> None:
    before, case = trained(objective), cases()[kind]
    result = served(name, kind, objective)
    after = result.problem
    assert isinstance(after, RecommenderProblem)
    for canary in case.canaries:
        assert in_object(before, [canary])
    assert not in_object((after, result.state, result.rows_changed, result.arguments), case.canaries)

    rows = before.data.users.rows(case.forget.users), before.data.items.rows(case.forget.items)
    for ids, keys, gone in zip(
        (after.data.users, after.data.items), (after.graph.user_keys, after.graph.item_keys), rows, strict=True
    ):
        assert not ids.alive[gone].any()
        assert not keys[gone].any()
    assert not after.data.degrees()[0][rows[0]].any()
    assert not after.data.degrees()[1][rows[1]].any()
    for user, item in case.forget.interactions:
        pair = before.data.users.rows([user]), before.data.items.rows([item])
        assert before.data.contains(*pair).all()
        assert not after.data.contains(*pair).any()
        assert not ((after.graph.rows == pair[0][0]) & (after.graph.cols == pair[1][0])).any()


def remembered(history: History) -> list[Params]:
    """All that a history holds and that has the parameters' shapes."""
    states = [history.optimizer, *(one.optimizer for one in history.checkpoints)]
    moments = [moment for state in states if state is not None for moment in (state.mean, state.square)]
    return [*moments, *(one.params for one in history.checkpoints)]


@pytest.mark.parametrize("kind", ["users", "items", "mixed"])
@pytest.mark.parametrize(
    ("name", "objective"), [(name, one) for one in OBJECTIVES for name in applicable(one) if name not in KEEPS_ROWS]
)
def test_no_tensor_keeps_a_row(name: str, kind: str, objective: str) -> None:
    before, case = trained(objective), cases()[kind]
    after = served(name, kind, objective).problem
    assert isinstance(after, RecommenderProblem)
    gone = forgotten_nodes(before.data, case.forget)
    assert (before.params["table"][gone] != 0).any(1).all()
    kept = [
        after.params,
        *remembered(after.history),
        {"readout": torch.cat(after.readout()), "popularity": torch.from_numpy(np.concatenate(after.data.degrees()))},
    ]
    remembering = [
        key for tensors in kept for key, value in tensors.items()
        if value.shape[:1] == (len(after.params["table"]),) and bool(value[gone].any())
    ]  # fmt: skip
    assert remembering == []


def test_training_kept_what_there_was_to_keep() -> None:
    history = trained("bpr").history
    gone = forgotten_nodes(canary_data(), cases()["users"].forget)
    assert len(history.checkpoints) == 2
    assert len(remembered(history)) == 2 * 3 + 2
    assert all(one["table"][gone].any() for one in remembered(history))


def logged(tracker: MlflowTracker, folder: Path, result: UnlearnResult) -> str:
    """One run with everything that a served request leaves in a tracker."""
    tags = lineage(method=result.method, parent_model=None, request_digest=result.forget.digest(KEY))
    with tracker.run(result.method, tags=tags) as run:
        run.params(result.arguments)
        run.metrics({"residual_ratio": result.residual_ratio})
        run.dataset("request", digest=result.forget.digest(KEY), counts=result.forget.counts(), context="forget")
        run.artifact("request.json", {"forgotten": repr(result.forget), "rows": result.n_rows_changed})
        run.model(workspace.model_folder(folder), name="lightgcn", tags=tags)
    return run.id


@pytest.fixture(scope="module")
def before(migrated_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the workspace of the original and with a store that holds the original."""
    folder = tmp_path_factory.mktemp("before")
    problem = trained("whole_data")
    workspace.save(problem, folder / "workspace")
    shutil.copyfile(migrated_store, folder / "mlflow.db")
    logged(MlflowTracker(folder / "mlflow.db"), folder / "workspace", method("no_op").forget(problem, ForgetSet()))
    return folder


def by_name(paths: Iterable[str]) -> set[str]:
    return {"/".join(Path(path).parts[-2:]) for path in paths}


def test_the_search_finds_every_canary_before(before: Path) -> None:
    for case in cases().values():
        assert all(holders(before, [canary]) for canary in case.canaries)
    data = canary_data()
    assert data.ties is not None
    tied = str(data.users.ids[data.ties[0, 0]])
    of_user = {
        "workspace/interactions.parquet", "workspace/interactions.ties.parquet", "model/users.parquet"
    }  # fmt: skip
    found = holders(before, [tied])
    assert by_name(found) == of_user
    assert len([path for path in found if path.endswith("users.parquet")]) == 2  # the workspace's and MLflow's
    item = str(data.items.ids[3])
    assert by_name(holders(before, [item])) == {"workspace/interactions.parquet", "model/items.parquet"}
    assert data.time is not None
    for time in data.time[[0, 77]].tolist():
        assert by_name(holders(before, [time])) == {"workspace/interactions.parquet"}


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_the_search_sees_through_parquet(tmp_path: Path, compression: str) -> None:
    canary, path = uuid.UUID(int=2**127 + 12345).hex, tmp_path / "x.parquet"
    filler = [f"{k:032x}" for k in range(500)]
    unused = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array([*filler, canary]))
    tables = {
        "value": pa.table({"id": [*filler, canary, *filler]}),
        "dictionary": pa.table({"id": unused}),
        "metadata": pa.table({"id": filler}).replace_schema_metadata({"note": canary}),
        "column name": pa.table({canary: filler}),
    }
    for where, table in tables.items():
        pq.write_table(table, path, compression=compression)
        assert holders(tmp_path, [canary]) == {"x.parquet"}, where
    pq.write_table(pa.table({"id": filler}), path, compression=compression)
    assert holders(tmp_path, [canary]) == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", applicable("whole_data"))
def test_no_file_of_a_result_remembers(name: str, kind: str, migrated_store: Path, tmp_path: Path) -> None:
    after, case = tmp_path / "after", cases()[kind]
    result = served(name, kind)
    assert isinstance(result.problem, RecommenderProblem)
    workspace.save(result.problem, after / "workspace")
    shutil.copyfile(migrated_store, after / "mlflow.db")
    logged(MlflowTracker(after / "mlflow.db"), after / "workspace", result)
    assert holders(after, case.canaries) == set()
    assert workspace.load(after / "workspace").data.digest() == result.problem.data.digest()


def test_a_store_that_held_the_original_forgets_it_by_purging(migrated_store: Path, tmp_path: Path) -> None:
    problem, case, folder = trained("whole_data"), cases()["mixed"], tmp_path / "workspace"
    tracker = MlflowTracker(shutil.copyfile(migrated_store, tmp_path / "mlflow.db"))
    workspace.save(problem, folder)
    original = logged(tracker, folder, method("no_op").forget(problem, ForgetSet()))
    result = served("reconverge", "mixed")
    assert isinstance(result.problem, RecommenderProblem)
    workspace.save(result.problem, folder)  # in place: the old state goes with it
    logged(tracker, folder, result)
    left = holders(tmp_path, case.canaries)
    assert left
    assert all(path.startswith("mlflow-artifacts/") for path in left)
    tracker.purge(runs=[original])
    assert holders(tmp_path, case.canaries) == set()
    hidden = [(path.name, path.stat().st_size) for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert hidden == [(".workspace.unlearn-lock", 0)]  # what holds two writers apart, and nothing else


def test_an_evaluation_names_nobody_whether_forgotten_or_not(migrated_store: Path, tmp_path: Path) -> None:
    problem = trained("whole_data")
    tracker = MlflowTracker(shutil.copyfile(migrated_store, tmp_path / "mlflow.db"))
    held_out = synthetic_test(problem.data)
    asked = [cases()["mixed"].forget, cases()["users"].forget]
    comparison = compare(problem, asked, [method("reconverge")], RankingScorer(held_out), seed=1, key=KEY)
    record(comparison, tracker)
    (tmp_path / "comparison.json").write_text(comparison.to_json(), "utf-8")
    assert holders(tmp_path, everyone(problem.data)) == set()


def synthetic_test(data: Interactions) -> Interactions:
    """Held-out interactions of every other user: two items not seen in training."""
    rows, columns = np.nonzero(data.csr().toarray() == 0)
    first = np.flatnonzero(np.diff(rows, prepend=-1) > 0)[::2]
    chosen = np.sort(np.concatenate([first, first + 1]))
    frame = pd.DataFrame({"user": data.users.ids[rows[chosen]], "item": data.items.ids[columns[chosen]]})
    return Interactions.from_frame(frame, users=data.users, items=data.items)


def everyone(data: Interactions) -> list[str]:
    return [str(value) for value in (*data.users.ids, *data.items.ids)]
