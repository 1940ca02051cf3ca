"""`unlearn demo`: the whole story on small data."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import recsys.data
from recsys.data import Interactions, read, synthetic
from tests.cli.run import answer, naming


def test_the_demo_forgets_and_shows_it(
    location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    small: Callable[..., Interactions] = partial(synthetic, n_users=500, n_items=300, n_interactions=12_000)
    monkeypatch.setattr(recsys.data, "synthetic", small)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "shown"
    out.mkdir()
    location.rename(out / "mlflow.db")
    said = answer("demo", "--out", out)
    assert (said["forgotten"]["users"], said["files_with_forgotten_ids"]) == (20, 0)
    assert said["residual_ratio"] < 0.5
    rows = {row["name"]: row for row in said["methods"]}
    assert rows["no_op"]["forget_auc"]["mean"] >= rows["retrain"]["forget_auc"]["mean"] + 0.1
    assert abs(rows["reconverge"]["forget_auc"]["mean"] - rows["reconverge"]["retrain_auc"]["mean"]) < 0.05
    assert json.loads((out / "comparison.json").read_text("utf-8"))["methods"] == said["methods"]
    left = read(out / "after" / "interactions.parquet")
    assert isinstance(left, Interactions)
    assert int((~left.users.alive).sum()) == 20
    assert naming(out, left.users.ids[left.users.alive])  # the search finds who stayed
    assert [path.name for path in tmp_path.iterdir()] == ["shown"]
