"""docs/mlflow.md and docs/extending.md: their Python runs, in an order and in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def blocks(name: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run(source: str, folder: Path, *site: Path) -> str:
    """What it prints."""
    path = os.pathsep.join([*map(str, site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_runs_models_and_purge_in_mlflow(tmp_path: Path) -> None:
    asked = """
assert set(answers["user_id"]) == {"u000017", "u000042"} and len(answers) == 10
child = client.search_runs([tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{mine.info.run_id}'")
assert [run.info.run_name for run in child] == ["inside"]
assert len(kept) == purged.models == 2 and not client.search_logged_models([tracker.experiment_id])
"""
    run("\n".join([*blocks("mlflow.md"), asked]), tmp_path)
    left = [path for path in (tmp_path / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert left == [] and b"u000017" not in (tmp_path / "mlflow.db").read_bytes()


def test_a_package_and_a_model_of_ones_own(tmp_path: Path) -> None:
    package, *model = blocks("extending.md")
    (declared,) = blocks("extending.md", "toml")
    ((group, name, module),) = re.findall(r'entry-points\."([\w.]+)"\]\n(\w+) = "(\w+)"', declared)
    site = tmp_path / "site"
    info = site / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(package, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n", "utf-8")
    asked = """
found = selector("losing").select(problem, "records:10", seed=0)
means = losses(lambda held: problem.outputs(held), train)
assert set(found.forget.records) == set(means.topk(10).indices.tolist())
after = method("descend", steps=3).forget(problem, request)
assert after.residual_after < after.residual_before
read = {name: {one.metric: one for one in found} for name, found in findings.findings.items()}
assert [read[name]["u_lira_auc"].verdict for name in ("no_op", "reconverge")] == ["fail", "pass"]
unlearned, retrained = (evidence["no_op"][0][f"{stage}.forget"] for stage in ("unlearned", "retrained"))
shift = read["no_op"]["shift"]
assert abs(shift.value - unlearned.values[:4].mean()) < 1e-9  # the other four were retrained
assert abs(shift.null_floor - retrained.values.mean()) < 1e-9
assert result.residual_after < 0.5 * result.residual_before
from unlearn.audit.report import read, render
assert "shift" in render(read([Path("audit.json")]))
"""
    run("\n".join([*model, asked]), tmp_path, site)
