"""A package that offers a ranker, and models for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

RANKER = """
import json
import pandas as pd
from safetensors.numpy import load_file

class Ranker:
    def __init__(self, directory):
        self.scores = load_file(directory / "model.safetensors")["scores"]
        self.vocabulary = json.loads((directory / "manifest.json").read_text())

    def rank(self, user_ids, *, k, unknown):
        rows = []
        for user in user_ids:
            if unknown == "skip" and user not in self.vocabulary["users"]:
                continue
            scores = self.scores[self.vocabulary["users"].index(user)]
            for place, item in enumerate(scores.argsort()[::-1][:k], start=1):
                rows.append((user, self.vocabulary["items"][item], float(scores[item]), place))
        return pd.DataFrame(rows, columns=["user_id", "item_id", "score", "rank"])
"""


@pytest.fixture
def offered_ranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that offers a ranker: a module and its metadata on the path."""
    site = tmp_path / "site"
    info = site / "tiny_ranker-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tiny_ranker.py").write_text(RANKER, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-ranker\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[unlearn.rankers]\ntiny = tiny_ranker:Ranker\n", "utf-8")
    monkeypatch.syspath_prepend(site)
    return "tiny_ranker:Ranker"


@pytest.fixture
def stored_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model of two users and three items that names `loader`."""

    def write(loader: str, users: tuple[str, ...] = ("ann", "bob")) -> Path:
        directory = tmp_path / "stored"
        directory.mkdir()
        scores = np.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.3]], dtype=np.float32)
        save_file({"scores": scores}, directory / "model.safetensors")
        manifest = {"loader": loader, "users": users, "items": ["x", "y", "z"]}
        (directory / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        return directory

    return write
