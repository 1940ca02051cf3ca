"""Forgotten means gone: no canary is in a file that a served request leaves.

What is searched is first shown to hold them, so that a search that finds nothing means something.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import workspace
from recsys.data import Interactions
from recsys.problem import RecommenderProblem
from recsys.scorer import RankingScorer
from tests.erasure.canaries import (
    KEY,
    KINDS,
    applicable,
    canary_data,
    cases,
    served,
    trained,
)
from tests.oracles.traces import holders
from unlearn.audit import compare, record
from unlearn.forget import ForgetSet
from unlearn.methods import UnlearnResult, method
from unlearn.tracking import MlflowTracker, lineage


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
