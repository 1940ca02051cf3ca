"""A logged model: loads with pickle forbidden, answers as the stored model does."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from tests.oracles.traces import holders
from unlearn.tracking import MlflowTracker


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch, location: Path) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{location}")


@pytest.mark.usefixtures("no_pickle")
def test_a_model_loads_without_pickle_and_ranks(
    tracker: MlflowTracker, stored_model: Callable[..., Path], offered_ranker: str
) -> None:
    with tracker.run("train") as run:
        model_id = run.model(stored_model(offered_ranker), name="lightgcn", tags={"unlearn.method": "reconverge"})
    loaded = mlflow.pyfunc.load_model(f"models:/{model_id}")

    best = loaded.predict(pd.DataFrame({"user_id": ["bob", "ann"]}), params={"k": 2})
    assert best["user_id"].tolist() == ["bob", "bob", "ann", "ann"]
    assert best["item_id"].tolist() == ["x", "z", "y", "z"]
    assert best["rank"].tolist() == [1, 2, 1, 2]
    assert best["score"].tolist() == pytest.approx([0.8, 0.3, 0.9, 0.5])
    assert len(loaded.predict(pd.DataFrame({"user_id": ["ann"]}))) == 3
    asked = pd.DataFrame({"user_id": ["gone", "bob"]})
    with pytest.raises(ValueError, match="gone"):
        loaded.predict(asked)
    assert set(loaded.predict(asked, params={"unknown": "skip"})["user_id"]) == {"bob"}

    kept = tracker._client.get_logged_model(model_id)
    assert kept.status == "READY"
    assert kept.tags["unlearn.method"] == "reconverge"
    assert kept.source_run_id == run.id
    assert [m.model_id for m in tracker._client.get_run(run.id).outputs.model_outputs] == [model_id]


def test_nothing_pickled_is_kept(
    tracker: MlflowTracker, stored_model: Callable[..., Path], offered_ranker: str, tmp_path: Path
) -> None:
    with tracker.run("train") as run:
        run.model(str(stored_model(offered_ranker)), name="lightgcn")
    kept = [p for p in (tmp_path / "mlflow-artifacts").rglob("*") if p.is_file()]
    assert {p.name for p in kept} >= {"MLmodel", "flavor.py", "model.safetensors", "manifest.json"}
    assert {p.suffix for p in kept} <= {"", ".py", ".safetensors", ".json", ".yaml", ".yml", ".txt"}
    assert not any(p.read_bytes().startswith(b"\x80\x04") or p.read_bytes().startswith(b"\x80\x05") for p in kept)


def test_a_kill_leaves_nobody_where_nothing_is_destroyed(
    tracker: MlflowTracker,
    stored_model: Callable[..., Path],
    offered_ranker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The id is known before anything lies under it, and temporary folders, which a kill leaves, never hold anybody."""
    person, temporary = secrets.token_hex(16), tmp_path / "temporary"
    temporary.mkdir()
    directory = stored_model(offered_ranker, users=(person, "bob"))
    removed, told, remove = list[set[str]](), list[str](), shutil.rmtree

    def seen(path: Any, *arguments: Any, **options: Any) -> None:
        removed.append(holders(temporary, [person]))
        remove(path, *arguments, **options)

    def announce(model_id: str) -> None:
        told.append(model_id)
        assert holders(tmp_path, [person]) == {"stored/manifest.json"}

    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(shutil, "rmtree", seen)
    with tracker.run("train") as run:
        model_id = run.model(directory, name="lightgcn", announce=announce)
    assert told == [model_id] and len(holders(tmp_path, [person])) == 2
    assert removed and not any(removed)


@pytest.mark.usefixtures("no_pickle")
def test_a_manifest_cannot_choose_code_of_its_own(tracker: MlflowTracker, stored_model: Callable[..., Path]) -> None:
    with tracker.run("train") as run:
        model_id = run.model(stored_model("os:listdir"), name="wicked")
    with pytest.raises(Exception, match="'os:listdir', but installed packages offer"):
        mlflow.pyfunc.load_model(f"models:/{model_id}")


def test_a_directory_that_is_no_stored_model_is_refused_with_all_reasons(
    tracker: MlflowTracker, tmp_path: Path
) -> None:
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored/weights.pt").write_bytes(b"")
    with tracker.run("train") as run, pytest.raises(ValueError, match="manifest.json is missing") as caught:
        run.model(tmp_path / "stored", name="lightgcn")
    assert "weights.pt" in str(caught.value)
    (model,) = tracker._client.get_run(run.id).outputs.model_outputs
    assert tracker._client.get_logged_model(model.model_id).status == "FAILED"
