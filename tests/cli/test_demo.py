"""`unlearn demo`: the whole story on small data."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import recsys.data
from recsys.commands.demo import mlflow
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
    next_ = str(left.users.ids[left.users.alive][0])
    assert answer("forget", "--model", out / "after", "--user", next_)["copies_destroyed"] == 1


def test_the_mlflow_that_it_names_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path, Path(sys.executable).parent.parent):
        monkeypatch.chdir(place)
        (program,) = shlex.split(mlflow())
        assert Path(program).is_absolute() == (place == tmp_path)
        done = subprocess.run([program, "server", "--help"], capture_output=True, text=True, check=True, timeout=120)
        assert "--backend-store-uri" in done.stdout
