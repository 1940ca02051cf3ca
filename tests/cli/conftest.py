"""A small table of interactions, and a model trained on it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.data import Interactions, read, synthetic
from tests.cli.acquaintances import PEOPLE
from tests.cli.run import SMALL, answer


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 60 users (text) and 40 items (numbers)."""
    path = tmp_path_factory.mktemp("data") / "log.csv"
    frame = synthetic(n_users=60, n_items=40, n_interactions=900, seed=5).frame()
    frame["item"] = frame["item"].str[1:].astype(int) + 100
    frame[["user", "item"]].to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("models") / "model"
    return out, answer("train", "--data", table, "--out", out, "--seed", "3", *SMALL)


@pytest.fixture
def model(trained: tuple[Path, Any], tmp_path: Path) -> Path:
    """A workspace of this test's own."""
    return Path(shutil.copytree(trained[0], tmp_path / "model"))


@pytest.fixture(scope="session")
def data(trained: tuple[Path, Any]) -> Interactions:
    """What the model was trained on."""
    found = read(trained[0] / "interactions.parquet")
    assert isinstance(found, Interactions)
    return found


@pytest.fixture
def config(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings for a model of this test's own, with keys made."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "service.toml"
    path.write_text(
        f"""
        database = "sqlite:///{tmp_path}/service/ledger.db"
        keyring = "{tmp_path}/keys/keyring.json"
        batch_window_minutes = 0
        port = {port}
        [targets.recsys]
        workspace = "{model}"
        """,
        "utf-8",
    )
    answer("keys", "init", "--out", tmp_path / "keys" / "keyring.json")
    monkeypatch.setenv("UNLEARN_CONFIG", str(path))
    return path


@pytest.fixture
def ties(tmp_path: Path) -> Path:
    """Who of them knows whom."""
    pairs = np.random.default_rng(0).integers(60, size=(200, 2))
    path = tmp_path / "given" / "ties.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{PEOPLE[u]} {PEOPLE[v]}\n" for u, v in pairs))
    return path
