"""unlearn demo"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import Seed
from unlearn.command import Json, command

if TYPE_CHECKING:
    from unlearn.forget import ForgetSet


@command
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path("demo-output"),
    seed: Seed = 0,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Train on synthetic data, serve a deletion request, show the evidence, keep the story in MLflow."""
    from rich.console import Console

    from recsys import workspace
    from recsys.data import ratio, synthetic
    from recsys.objectives import WholeData
    from recsys.problem import RecommenderProblem
    from recsys.requests import requests
    from recsys.scorer import RankingScorer
    from recsys.train import TrainingOptions
    from unlearn.audit import compare, record
    from unlearn.forget import ForgetSet
    from unlearn.methods.base import method
    from unlearn.tracking.base import lineage
    from unlearn.tracking.copies import Copies
    from unlearn.tracking.mlflow import MlflowTracker

    folder = out / "after"
    workspace.at(folder).check()
    say = Console(quiet=json_).print
    key = secrets.token_bytes(32)
    split = ratio(synthetic(seed=seed), seed=seed)
    say(f"[bold]1. Data[/]      {split.refit()!r}, held out for the test: {len(split.test)}")

    options = TrainingOptions(seed=seed, progress=not json_)
    objective = WholeData(l2=1.0, a=0.1)
    problem = RecommenderProblem.build(split.refit(), objective=objective, options=options, dim=128, layers=2).fit()
    say(f"[bold]2. Training[/]  LightGCN in {problem.history.seconds:.1f} s, residual {problem.history.residual:.2g}")

    users = requests("users:20", problem.data, seed=seed)[0]
    singles = requests("random:0.05", problem.data.without(users), seed=seed)[0]
    request = users | singles
    result = method("reconverge").forget(problem, request, on_failure="retrain")
    after: Any = result.problem
    say(
        f"[bold]3. Request[/]   {request!r}: {result.records_removed} interactions gone in {result.seconds:.2f} s, "
        f"residual {result.residual_before:.3g} -> {result.residual_after:.3g}"
    )

    tracker = MlflowTracker(out / "mlflow.db", experiment="unlearn demo")
    workspace.save(after, folder)
    tags = lineage(method=result.method, parent_model=None, request_digest=request.digest(key))
    with tracker.run("serve the request", tags=tags) as run, workspace.at(folder).held():
        run.metrics({"seconds": result.seconds, "residual_ratio": result.residual_ratio})
        run.model(
            workspace.model_folder(folder),
            name="lightgcn",
            tags=tags,
            announce=lambda model_id: Copies.of(folder).add(tracker.uri, model_id),
        )
    left = traces(out, request)
    rows = int((after.data.users.rows(users.users, unknown="mark") >= 0).sum())
    say(f"[bold]4. Gone[/]      ids found in {left} of the files written; rows left in the data: {rows}")

    chosen = [method(name) for name in ("reconverge", "fine_tune", "iau")]
    settings = {"data": "synthetic", "delete": "5 % of all interactions"}
    comparison = compare(
        problem, [ForgetSet(interactions=singles.interactions)], chosen, RankingScorer(split.test), seed=seed,
        settings=settings, key=key,
    )  # fmt: skip
    record(comparison, tracker, name="evaluate")
    (out / "comparison.json").write_text(comparison.to_json() + "\n", "utf-8")
    say("[bold]5. Evidence[/]  deleting 5 % of all interactions, against two retrains that never saw them:")
    say(comparison.table(spread=False))
    store = f"sqlite:///{out}/mlflow.db"
    say("[bold]6. Story[/]     run this and open the link it prints:")
    say(f"{mlflow()} server --backend-store-uri {shlex.quote(store)}", soft_wrap=True, markup=False, highlight=False)
    return {
        "forgotten": request.counts(),
        "interactions_removed": result.records_removed,
        "seconds": result.seconds,
        "residual_ratio": result.residual_ratio,
        "files_with_forgotten_ids": left,
        **json.loads(comparison.to_json()),
    }


def mlflow() -> str:
    """How a shell calls the mlflow of this environment, from where it is now."""
    program = Path(sys.executable).with_name("mlflow")
    here = Path.cwd()
    return shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))


def traces(folder: Path, request: ForgetSet) -> int:
    """How many files below `folder` contain a forgotten user's id, byte for byte."""
    wanted = [str(user).encode() for user in request.users]
    files = (path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return sum(any(name in content for name in wanted) for content in files)
