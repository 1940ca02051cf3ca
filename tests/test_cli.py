"""The command `unlearn` as one uses it: what it prints, writes, refuses, and how it exits."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import recsys.data
from recsys.data import Interactions, read, synthetic
from unlearn.cli import app
from unlearn.tracking import MlflowTracker

SMALL = ("--dim", "6", "--layers", "2", "--l2", "1.0", "--a", "0.1")
COMMANDS = ("demo", "train", "forget", "recommend", "evaluate")
FIGURES = {
    "recall_at_20", "ndcg_at_20", "forget_auc", "retrain_auc", "retrain_gap", "gap_floor", "below_floor", "overlap",
    "overlap_floor", "residual_ratio", "effect", "score_bound", "rows_changed", "seconds", "prepare_seconds",
    "prepare_mb", "speedup_vs_retrain", "speedup_amortised_100", "fallback",
}  # fmt: skip


def unlearn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> Any:
    """What a command that must succeed says under --json; nothing but that is on standard output."""
    result = unlearn(*arguments, "--json")
    assert (result.exit_code, result.exception) == (0, None), result.output
    return json.loads(result.stdout)


def refusal(code: int, *arguments: str | Path) -> str:
    """The message of a command that must exit with `code`: readable, on standard error, and the same under --json."""
    result = unlearn(*arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit | None)  # no traceback
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    if arguments[0] != "evaluate":  # whose --json takes a path
        said = json.loads(unlearn(*arguments, "--json").stderr)
        assert said["exit_code"] == code
        assert result.stderr.removeprefix("error: ").strip() == said["error"].strip()
    return result.stderr


def digest(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of every file below a folder."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 60 users (text) and 40 items (numbers)."""
    path = tmp_path_factory.mktemp("data") / "log.csv"
    frame = synthetic(n_users=60, n_items=40, n_interactions=900, seed=5).frame()
    frame["item"] = frame["item"].str[1:].astype(int) + 100
    frame[["user", "item"]].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("models") / "model"
    return out, answer("train", "--data", table, "--out", out, "--seed", "3", *SMALL)


@pytest.fixture
def model(trained: tuple[Path, Any], tmp_path: Path) -> Path:
    """A workspace of this test's own."""
    return Path(shutil.copytree(trained[0], tmp_path / "model"))


@pytest.fixture(scope="module")
def data(trained: tuple[Path, Any]) -> Interactions:
    """What the model was trained on."""
    found = read(trained[0] / "interactions.parquet")
    assert isinstance(found, Interactions)
    return found


def lists(model: Path, *users: str) -> dict[str, list[Any]]:
    said = answer("recommend", "--model", model, *(part for user in users for part in ("--user", user)), "--k", "5")
    return {row["user"]: row["items"] for row in said["recommendations"]}


# ---- train, recommend, forget ----------------------------------------------------------------------------------------


def test_train_says_what_it_made(trained: tuple[Path, Any], data: Interactions) -> None:
    out, said = trained
    assert said.keys() == {"out", "users", "items", "interactions", "seconds", "residual", "metrics"}
    assert (said["out"], said["users"], said["items"]) == (str(out), 60, 40)
    assert said["interactions"] == len(data)
    assert 0 < said["residual"] < 0.1
    assert {"recall_at_10", "recall_at_20", "ndcg_at_20"} <= said["metrics"].keys()
    assert {path.name for path in out.iterdir()} == {"interactions.parquet", "model"}
    assert [path.name for path in out.parent.iterdir()] == ["model"]  # nothing staged is left beside it


def test_recommendations_are_new_to_the_user_and_best_first(model: Path, data: Interactions) -> None:
    user = str(data.users.ids[7])
    (items,) = lists(model, user).values()
    seen = set(data.frame().query("user == @user").item)
    assert len(items) == 5
    assert not {entry["item"] for entry in items} & seen
    assert [entry["score"] for entry in items] == sorted((entry["score"] for entry in items), reverse=True)
    best = items[0]["item"]
    suppressed = answer("recommend", "--model", model, "--user", user, "--k", "5", "--suppress", str(best))
    without = [entry["item"] for entry in suppressed["recommendations"][0]["items"]]
    assert without[:4] == [entry["item"] for entry in items[1:]]


def test_a_forgotten_user_is_gone_and_the_others_are_served(model: Path, data: Interactions) -> None:
    gone, stays = str(data.users.ids[7]), str(data.users.ids[8])
    before = lists(model, stays)
    said = answer("forget", "--model", model, "--user", gone)
    assert said.keys() == {
        "out", "method", "forgotten", "interactions_removed", "rows_changed", "residual_before", "residual_after",
        "seconds", "fallback",
    }  # fmt: skip
    assert (said["method"], said["forgotten"]["users"], said["fallback"]) == ("reconverge", 1, False)
    assert said["interactions_removed"] == int(data.degrees()[0][7])
    assert 0 < said["residual_after"] < said["residual_before"]
    assert gone in refusal(3, "recommend", "--model", model, "--user", gone)
    after = lists(model, stays)
    assert len(after[stays]) == 5
    assert after != before  # scores follow the data
    popular = answer("recommend", "--model", model, "--user", gone, "--unknown", "popular")
    assert len(popular["recommendations"][0]["items"]) > 0
    assert [path.name for path in model.parent.iterdir()] == ["model"]  # the old state is not kept anywhere


def test_items_and_single_interactions_into_another_folder(model: Path, data: Interactions, tmp_path: Path) -> None:
    before = digest(model)
    user, item = str(data.users.ids[0]), int(data.items.ids[3])
    pair = data.frame().query("user == @user and item != @item").iloc[0]
    out = tmp_path / "after"
    said = answer(
        "forget", "--model", model, "--out", out, "--item", str(item), "--interaction", f"{pair['user']},{pair['item']}"
    )
    assert (said["forgotten"]["items"], said["forgotten"]["interactions"]) == (1, 1)
    assert digest(model) == before
    left = read(out / "interactions.parquet")
    assert isinstance(left, Interactions)
    assert len(left) == len(data) - said["interactions_removed"]
    assert item not in set(left.frame().item)
    assert left.frame().query("user == @pair.user and item == @pair.item").empty
    assert user in left.users  # one interaction of theirs went, not they
    # What was deleted as an interaction may be recommended again; a deleted item may not.
    everything = answer("recommend", "--model", out, "--user", user, "--k", "40")["recommendations"][0]["items"]
    shown = {entry["item"] for entry in everything}
    assert int(pair["item"]) in shown
    assert item not in shown


def test_unknown_ids_change_nothing_unless_skipped(model: Path, data: Interactions) -> None:
    known, before = str(data.users.ids[4]), digest(model)
    asked = ("forget", "--model", model, "--user", known, "--user", "nobody", "--item", "7", "--interaction", "x,101")
    message = refusal(3, *asked)
    assert all(name in message for name in ("'nobody'", "7", "('x', 101)"))
    assert digest(model) == before
    assert answer(*asked, "--unknown", "skip")["forgotten"]["users"] == 1
    assert digest(model) != before
    refusal(3, *asked[:5])  # a second time, it is unknown


def test_a_failed_verification_changes_nothing(model: Path, data: Interactions) -> None:
    before, pair = digest(model), data.frame().iloc[10]
    asked = ("forget", "--model", model, "--interaction", f"{pair['user']},{pair['item']}")
    # A sign step moves every coordinate equally, which is far too much for a single interaction.
    assert "nothing was changed" in refusal(1, *asked, "--method", "iau", "--on-failure", "raise")
    assert "nothing was saved" in refusal(1, *asked, "--method", "no_op", "--on-failure", "keep")
    assert digest(model) == before


def test_a_changed_file_is_refused(model: Path, data: Interactions) -> None:
    users = model / "model" / "users.parquet"
    users.write_bytes(users.read_bytes() + b"\0")
    assert "users.parquet was changed" in refusal(2, "recommend", "--model", model, "--user", str(data.users.ids[0]))


@pytest.mark.parametrize(
    ("kind", "objective"),
    [("mf", "whole_data"), ("lightgcn", "multinomial"), ("lightgcn", "bpr"), ("mf", "sampled_softmax")],
)
def test_every_model_and_objective_goes_all_the_way(
    kind: str, objective: str, table: Path, data: Interactions, tmp_path: Path
) -> None:
    out, (gone, stays) = tmp_path / "model", map(str, data.users.ids[:2])
    asked = ("--model", kind, "--objective", objective, "--dim", "4", "--epochs", "2", "--seed", "3")
    answer("train", "--data", table, "--out", out, *asked)
    said = answer("forget", "--model", out, "--user", gone)
    assert (said["forgotten"]["users"], said["interactions_removed"]) == (1, int(data.degrees()[0][0]))
    assert len(lists(out, stays)[stays]) == 5
    refusal(3, "forget", "--model", out, "--user", gone)


def test_nobody_held_out_is_no_figure(tmp_path: Path) -> None:
    log = tmp_path / "few.csv"
    log.write_text("user,item\na,1\na,2\nb,1\nb,3\n", "utf-8")
    said = answer("train", "--data", log, "--out", tmp_path / "model", "--dim", "2", "--split", "ratio", "--seed", "0")
    assert said["interactions"] == 4
    assert said["metrics"]["recall_at_20"] is None


def test_without_json_it_talks_to_people(model: Path, table: Path, data: Interactions, tmp_path: Path) -> None:
    user = str(data.users.ids[2])
    said = unlearn("train", "--data", table, "--out", tmp_path / "[new]", "--model", "mf", "--dim", "4").stdout
    assert "Trained mf on Interactions(60 users, 40 items" in said
    assert f"Kept in {tmp_path / '[new]'}" in said
    assert user in unlearn("recommend", "--model", model, "--user", user).stdout
    assert "Forgot ForgetSet(1 users)" in unlearn("forget", "--model", model, "--user", user).stdout


# ---- bad input -------------------------------------------------------------------------------------------------------


def bad_values(table: Path, model: Path, elsewhere: Path) -> dict[str, tuple[tuple[str | Path, ...], tuple[str, ...]]]:
    """Arguments, and what the message must say."""
    train = ("train", "--data", table, "--out", elsewhere)
    forget = ("forget", "--model", model, "--user", "u000001")
    evaluate = ("evaluate", "--data", table)
    return {
        "no data": (("train", "--data", "nowhere.csv", "--out", elsewhere), ("nowhere.csv",)),
        "split": ((*train, "--split", "thirds"), ("`split` must be", "'thirds'")),
        "no given split": ((*train, "--split", "given"), ("--split ratio",)),
        "no times": ((*train, "--split", "temporal-user"), ("time",)),
        "model": ((*train, "--model", "gpt"), ("`gpt` is no model", "lightgcn, mf")),
        "objective": ((*train, "--objective", "[/]"), ("`[/]` is no objective", "bpr, multinomial")),
        "dim": ((*train, "--dim", "0"), ("`dim` must be a positive integer", "(got 0)")),
        "layers": ((*train, "--layers", "-1"), ("`layers` must be", "(got -1)")),
        "l2": ((*train, "--l2", "-1"), ("`l2` be at least 0", "l2=-1.0")),
        "a elsewhere": ((*train, "--objective", "bpr", "--a", "0.1"), ("`--a` belongs to whole_data",)),
        "epochs": ((*train, "--epochs", "0"), ("`epochs` must be positive", "(got 0)")),
        "foreign folder": (("train", "--data", table, "--out", table.parent), ("`out` must be a new folder",)),
        "no model": (("recommend", "--model", elsewhere, "--user", "x"), ("`model` must be a folder",)),
        "k": (("recommend", "--model", model, "--user", "u000001", "--k", "0"), ("`k` must be a positive", "(got 0)")),
        "method": ((*forget, "--method", "magic"), ("`magic` is no unlearning method", "reconverge")),
        "pair": ((*forget, "--interaction", "u000001"), ("`interaction` must be USER,ITEM (got 'u000001')",)),
        "several": (
            (*forget, "--unknown", "ask", "--on-failure", "cry", "--interaction", "x"),
            ("`unknown` must be raise or skip (got 'ask')", "`on_failure` must be", "`interaction` must be"),
        ),
        "foreign result": ((*forget, "--out", table.parent), ("`out` must be a new folder",)),
        "delete": ((*evaluate, "--delete", "half"), ("`delete` must be", "(got 'half')")),
        "share": ((*evaluate, "--delete", "random:2"), ("between 0 and 1",)),
        "seeds": ((*evaluate, "--delete", "users:2", "--seeds", "0"), ("`seeds` must be a positive integer",)),
        "methods": ((*evaluate, "--delete", "users:2", "--methods", "magic"), ("`magic` is no unlearning method",)),
    }


@pytest.mark.parametrize("case", list(bad_values(Path(), Path(), Path())))
def test_bad_values_give_one_readable_error(case: str, trained: tuple[Path, Any], table: Path, tmp_path: Path) -> None:
    before = digest(trained[0]), digest(table.parent)
    arguments, said = bad_values(table, trained[0], tmp_path / "new")[case]
    message = refusal(2, *arguments)
    assert all(part in message for part in said), message
    assert "Traceback" not in message
    assert (digest(trained[0]), digest(table.parent)) == before
    assert list(tmp_path.iterdir()) == []


def test_evaluating_an_unknown_user_is_about_ids(table: Path) -> None:
    assert "nobody" in refusal(3, "evaluate", "--data", table, "--delete", "user:nobody", *SMALL, "--seeds", "1")


# ---- evaluate, track -------------------------------------------------------------------------------------------------


def everyone(data: Interactions) -> list[str]:
    return [str(user) for user in data.users.ids]


def naming(folder: Path, names: Iterable[str]) -> set[str]:
    wanted = [name.encode() for name in names]
    files = ((path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    return {name for name, content in files if any(each in content for each in wanted)}


def test_evaluate_by_several_methods_and_seeds_into_mlflow(
    table: Path, data: Interactions, location: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "result.json"
    done = unlearn(
        "evaluate", "--data", table, "--delete", "random:0.1", "--methods", "reconverge,fine_tune", "--seeds", "2",
        "--seed", "4", "--track", location, "--json", out, *SMALL,
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "Unlearning against retraining" in done.stderr
    said = json.loads(out.read_text("utf-8"))
    assert said["seeds"] == [4, 5]
    assert {name: said["settings"][name] for name in ("data", "delete", "model", "objective")} == {
        "data": "log.csv", "delete": "random:0.1", "model": "lightgcn", "objective": "whole_data"
    }  # fmt: skip
    methods = {row.pop("name"): row for row in said["methods"]}
    assert list(methods) == ["no_op", "graph_drop", "reconverge", "fine_tune", "retrain", "placebo"]
    for name in set(methods) - {"placebo"}:
        assert methods[name].keys() >= FIGURES, name
        for figure in FIGURES - {"score_bound"}:
            assert methods[name][figure].keys() == {"mean", "low", "high"}, (name, figure)
    assert methods["no_op"]["retrain_gap"]["mean"] == pytest.approx(1.0)
    assert methods["no_op"]["score_bound"] is None
    assert methods["reconverge"]["score_bound"]["mean"] > 0
    assert methods["reconverge"]["retrain_gap"]["mean"] < 0.5 * methods["graph_drop"]["retrain_gap"]["mean"]
    assert methods["reconverge"]["rows_changed"]["mean"] > methods["graph_drop"]["rows_changed"]["mean"] == 0

    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in runs if run is not parent}
    assert children.keys() == methods.keys()
    for name, run in children.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["unlearn.method"] == name
        assert run.data.metrics["forget_auc"] == pytest.approx(methods[name]["forget_auc"]["mean"])
    assert parent.data.params["seeds"] == "[4, 5]"
    assert naming(tmp_path, everyone(data)) == set()


def test_evaluate_single_users_gives_quantiles(table: Path) -> None:
    done = unlearn(
        "evaluate", "--data", table, "--delete", "one-user:3", "--seeds", "1", "--json", "-", *SMALL
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    row = next(row for row in said["methods"] if row["name"] == "reconverge")
    assert row.keys() - {"name"} >= FIGURES
    assert all({"median", "p90"} <= row[figure].keys() for figure in FIGURES)
    assert {row["name"] for row in said["methods"]} >= {"no_op", "graph_drop", "row_drop", "retrain", "placebo"}


def test_training_is_tracked_without_ids(table: Path, data: Interactions, location: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    said = answer("train", "--data", table, "--out", out, "--track", location, *SMALL)
    client = MlflowTracker(location)._client
    (run,) = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    expected = {"model": "lightgcn", "dim": "6", "layers": "2", "objective": "whole_data", "a": "0.1", "l2": "1.0"}
    assert expected.items() <= run.data.params.items()
    assert run.data.metrics["recall_at_20"] == pytest.approx(said["metrics"]["recall_at_20"])
    assert client.get_logged_model(said["model_id"]).name == "lightgcn"
    shutil.rmtree(out)
    assert naming(tmp_path, everyone(data)) == {"users.parquet"}  # the model's own vocabulary, and nothing else


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
    assert naming(out, map(str, left.users.ids[left.users.alive]))  # the search finds who stayed
    assert [path.name for path in tmp_path.iterdir()] == ["shown"]


# ---- the installed program -------------------------------------------------------------------------------------------


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("unlearn")), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def test_the_installed_program_helps_and_exits_as_documented(trained: tuple[Path, Any], tmp_path: Path) -> None:
    helped = program("--help", cwd=tmp_path)
    assert helped.returncode == 0
    assert all(name in helped.stdout for name in (*COMMANDS, "Exit codes"))
    assert program("train", cwd=tmp_path).returncode == 2
    model = str(trained[0])
    unknown = program("recommend", "--model", model, "--user", "nobody", "--json", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert json.loads(unknown.stderr)["exit_code"] == 3
    served = program("recommend", "--model", model, "--user", "u000001", "--json", cwd=tmp_path)
    assert (served.returncode, served.stderr) == (0, "")
    assert json.loads(served.stdout)["recommendations"][0]["user"] == "u000001"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    helped = unlearn(command, "--help")
    assert helped.exit_code == 0
    assert "--json" in helped.stdout


def test_help_answers_without_loading_torch(tmp_path: Path) -> None:
    code = """
import sys
from unlearn.cli import app
for arguments in (["--help"], ["evaluate", "--help"]):
    try:
        app(arguments)
    except SystemExit as stop:
        assert not stop.code
print("loaded", sorted({"torch", "pandas", "mlflow", "scipy"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "loaded []")
