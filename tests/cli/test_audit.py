"""`unlearn audit`: what it writes, and that the same can be read from it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.data import Interactions
from tests.cli.run import SMALL, naming, undocumented, unlearn
from unlearn.audit.attacks import Evidence, ForgetAUC, Swap, ULiRA
from unlearn.audit.signals import Signals
from unlearn.tracking import MlflowTracker

FIELDS = {
    "metric", "value", "low", "high", "null_floor", "resolution", "requires", "verdict", "does_not_show", "p_value",
    "by_seed", "p_holm", "raw",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(
    table: Path, migrated_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("audit")
    shutil.copyfile(migrated_store, folder / "mlflow.db")
    done = unlearn(
        "audit", "--data", table, "--delete", "random:0.1", "--seeds", "2", "--models", "12", "--examples", "80",
        "--folder", folder / "pool", "--json", folder / "audit.json", "--track", folder / "mlflow.db", *SMALL,
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    return folder, json.loads((folder / "audit.json").read_text("utf-8")), done.stderr


def rows(said: dict[str, Any], method: str) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in said["findings"][method]}


def evidence(said: dict[str, Any], method: str) -> list[Evidence]:
    return [
        Evidence(
            {
                name: Signals(
                    torch.tensor(part["values"], dtype=torch.float64),
                    torch.tensor(part["member"], dtype=torch.bool),
                    torch.tensor(part["blocks"]),
                    tuple(part["models"]),
                )
                for name, part in (one["parts"]["shared"] | one["parts"][method]).items()
            },
            one["seed"],
        )
        for one in said["signals"]
    ]


def test_everything_is_written(written: tuple[Path, dict[str, Any], str]) -> None:
    _, said, shown = written
    assert said.keys() == {
        "format", "findings", "reasons", "not_audited", "comparison", "signals", "settings", "digests", "provenance",
        "views",
    }  # fmt: skip
    assert undocumented("audit", said | {"findings": said["findings"]["reconverge"]}) == []
    assert said["not_audited"] == {}
    assert list(said["findings"])[:3] == ["no_op", "reconverge", "misdirected"]
    for method in ("no_op", "reconverge", "misdirected"):
        found = rows(said, method)
        assert all(row.keys() == FIELDS for row in found.values())
        assert found.keys() >= {
            "forget_auc", "retain_auc", "u_lira_auc", "rmia_auc", "swap_quality", "epsilon",
            "one_run_epsilon", "reinsertion_auc", "relearn_ratio", "two_snapshot_auc",
            "challenge_uncalibrated",
        }  # fmt: skip
        assert "clean.unknown" in said["reasons"][method]["corrective"]
        assert "64" in said["reasons"][method]["klom_20_bins"]
        assert "enlarge the pool" in said["reasons"][method]["klom"]
    # What the comparison calls a placebo is another model, and has no figures of attacks.
    assert rows(said, "placebo").keys() == rows(said, "graph_drop").keys() < rows(said, "reconverge").keys()
    assert rows(said, "placebo").keys() == {
        f"{one}_minus_retrain" for one in ("ndcg_at_20", "recall_at_20", "forget_auc")
    }
    assert {row["name"] for row in said["comparison"]["methods"]} >= {"no_op", "reconverge", "retrain", "placebo"}
    assert {name: said["settings"][name] for name in ("delete", "models", "known")} == {
        "delete": "random:0.1", "models": 12, "known": 1.0
    }  # fmt: skip
    assert set(said["digests"]) == {"train", "test"}
    assert "u_lira_auc" in shown and "inconclusive" in shown and "Unlearning against retraining" in shown


def test_doing_nothing_and_forgetting_something_else_are_seen_and_the_method_is_nearer_to_a_retrain(
    written: tuple[Path, dict[str, Any], str],
) -> None:
    said = written[1]

    def excess(method: str, metric: str) -> float:
        row = rows(said, method)[metric]
        return abs(row["value"] - row["null_floor"])

    for metric in ("u_lira_auc", "rmia_auc", "swap_quality"):
        assert rows(said, "no_op")[metric]["verdict"] == rows(said, "misdirected")[metric]["verdict"] == "fail", metric
        assert excess("reconverge", metric) < 0.5 * excess("no_op", metric), metric


def test_figures_can_be_read_again_from_the_signals(written: tuple[Path, dict[str, Any], str]) -> None:
    said = written[1]
    for method in ("no_op", "reconverge"):
        again, control = evidence(said, method), evidence(said, "no_op")
        for metric in (ULiRA(), ForgetAUC(), Swap()):
            for one in metric.findings(*again, control=control):
                row = rows(said, method)[one.metric]
                if row["value"] is not None:
                    assert one.value == pytest.approx(row["value"], rel=1e-2, abs=2e-3), one.metric
                    assert one.by_seed == pytest.approx(row["by_seed"], rel=1e-2, abs=2e-3), one.metric


def test_every_seed_has_its_own_request_and_pool_and_all_are_judged_together(
    written: tuple[Path, dict[str, Any], str],
) -> None:
    said = written[1]
    assert [one["seed"] for one in said["signals"]] == said["comparison"]["seeds"] == [0, 1]
    first, second = (one["parts"]["no_op"]["unlearned.forget"] for one in said["signals"])
    assert first["member"] != second["member"] and first["values"] != second["values"]
    for method in ("no_op", "reconverge", "misdirected"):
        for row in rows(said, method).values():
            assert len(row["by_seed"]) == 2
        for name in ("u_lira_auc", "forget_auc", "swap_quality"):
            row = rows(said, method)[name]
            assert row["value"] == pytest.approx(sum(row["by_seed"]) / 2)
            assert len(set(row["by_seed"])) == 2
    assert len(set(rows(said, "reconverge")["ndcg_at_20_minus_retrain"]["by_seed"])) == 2
    for request in said["comparison"]["raw"]["requests"]:
        first, second = request["raw"]["retrains"]
        assert first.keys() == second.keys() >= {"ndcg_at_20", "recall_at_20", "forget_auc"}
    records = sum(len(one["parts"]["no_op"]["unlearned.forget"]["values"][0]) for one in said["signals"])
    assert {len(group["of"]) for group in said["views"]["records"]["groups"].values()} == {records}


def test_items_are_asked_about_by_folding_them_in(table: Path, tmp_path: Path) -> None:
    done = unlearn(
        "audit", "--data", table, "--delete", "items:12", "--seeds", "2", "--models", "12", "--metrics",
        "u_lira,rmia,forget_auc,one_run", "--json", "-", *SMALL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["comparison"]["raw"]["requests"][0]["counts"]["items"] == 12
    for metric in ("u_lira_auc", "rmia_auc", "forget_auc"):
        doing_nothing, settled = (rows(said, method)[metric] for method in ("no_op", "reconverge"))
        assert doing_nothing["verdict"] == "fail", metric
        away = [abs(row["value"] - row["null_floor"]) for row in (settled, doing_nothing)]
        assert away[0] < 0.5 * away[1], metric
    assert "one_run_epsilon" in rows(said, "reconverge")


def test_nothing_names_a_user_and_the_audit_is_tracked(
    written: tuple[Path, dict[str, Any], str], data: Interactions
) -> None:
    folder = written[0]
    assert naming(folder, data.users.ids) == set()
    client = MlflowTracker(folder / "mlflow.db")._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.run_name == "audit lightgcn"
    assert {one.path for one in client.list_artifacts(parent.info.run_id)} >= {"audit.json", "comparison.json"}


def test_what_cannot_be_audited_is_refused(table: Path) -> None:
    def refused(*arguments: str, delete: str = "random:0.1") -> str:
        done = unlearn("audit", "--data", table, "--delete", delete, *arguments, *SMALL)
        assert done.exit_code == 2, done.output
        return done.stderr

    assert "u_lira" in refused("--metrics", "nonsense")
    assert "multiple of four" in refused("--models", "6")
    assert "one request" in refused(delete="one-user:3")
    assert "asks for 2 ties" in refused(delete="ties:2")
    assert "corrupted" in refused("--known", "0.5", delete="users:2")
    said = refused("--seeds", "0", "--examples", "-3", "--method", ",")
    assert all(name in said for name in ("`seeds` must be a positive", "`examples` must be a positive", "`methods`"))


def test_where_no_method_can_be_applied_it_says_so_before_the_pool_is_trained(table: Path, tmp_path: Path) -> None:
    done = unlearn(
        "audit", "--data", table, "--delete", "random:0.1", "--method", "two_level,native", "--seeds", "2",
        "--folder", tmp_path, *SMALL,
    )  # fmt: skip
    assert done.exit_code == 2
    assert "`two_level` needs training by epochs" in done.stderr and "`native` works on" in done.stderr
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_methods_that_cannot_be_audited_have_their_reasons_and_the_others_are(
    table: Path, location: Path, tmp_path: Path
) -> None:
    # One that diverges, one that cannot be applied, one that leaves nothing an attack can look into, and one that can.
    done = unlearn(
        "audit", "--data", table, "--delete", "random:0.1", "--method",
        "fine_tune:lr=1e30,two_level,sharding,reconverge", "--seeds", "1", "--metrics", "forget_auc", "--models", "12",
        "--json", tmp_path / "audit.json", "--track", location, *SMALL,
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    said = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    told = {
        "fine_tune": "`fine_tune` must end in finite signals",
        "two_level": "`two_level` needs training by epochs",
        "sharding": "a method must leave a Problem",
    }
    assert said["not_audited"].keys() == told.keys()
    assert all(said["not_audited"][name].startswith(why) for name, why in told.items())
    assert list(said["findings"])[:3] == ["no_op", "reconverge", "misdirected"]  # the first that can be is misdirected
    compared = [name for name in told if name in said["findings"]]  # the comparison's own figures are no attack's
    assert all("forget_auc" not in rows(said, name) for name in compared)
    assert rows(said, "reconverge")["forget_auc"]["value"] is not None
    assert told.keys().isdisjoint(said["views"]["ranks"]["models"])

    shown = " ".join(done.stderr.split())
    assert shown.count("not audited") == 3 and all(f"{name}: {why}" in shown for name, why in told.items())

    assert unlearn("report", tmp_path / "audit.json", "--html", tmp_path / "audit.html").exit_code == 0
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert all(f"<p>{name} was not audited: " in page for name in told)

    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    kept = {one.info.run_name: one.data.tags.get("unlearn.reason") for one in runs}
    assert {name: why for name, why in kept.items() if why is not None} == said["not_audited"]
    assert kept.keys() >= {"no_op", "reconverge", *told}


def test_one_method_can_be_audited_by_several_settings(table: Path) -> None:
    coarse, fine = "reconverge:accuracy=0.6", "reconverge:accuracy=0.01"
    done = unlearn(
        "audit", "--data", table, "--delete", "random:0.1", "--methods", f"{coarse},{fine}", "--seeds", "1",
        "--metrics", "forget_auc", "--models", "12", "--json", "-", *SMALL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    found = [rows(said, name)["forget_auc"] for name in ("no_op", coarse, fine)]
    away = [abs(row["value"] - row["null_floor"]) for row in found]
    assert away[0] > away[1] > away[2]
    assert {coarse, fine} <= said["views"]["ranks"]["models"].keys()


def test_a_retrain_can_be_audited_to_see_what_the_audit_says_of_one(table: Path) -> None:
    done = unlearn(
        "audit", "--data", table, "--delete", "random:0.1", "--method", "retrain:coupled=true", "--seeds", "1",
        "--metrics", "forget_auc", "--models", "12", "--json", "-", *SMALL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    away = {
        name: abs((row := rows(said, name)["forget_auc"])["value"] - row["null_floor"]) for name in ("retrain", "no_op")
    }
    assert away["retrain"] < 0.5 * away["no_op"]
    assert said["views"]["ranks"]["models"]["retrain"]["jaccard"]["median"] == 1.0
