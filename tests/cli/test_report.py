"""`unlearn report`, and the way from `unlearn audit` and `unlearn evaluate` to a page."""

from __future__ import annotations

import json
from pathlib import Path

from recsys.data import Interactions
from tests.cli.run import SMALL, answer, naming, refusal, unlearn
from unlearn.tracking import MlflowTracker


def test_from_data_to_a_page(table: Path, data: Interactions, location: Path, tmp_path: Path) -> None:
    """Also: the tracked run keeps the audit and its page, under the run's own id."""
    audit, page = tmp_path / "audit.json", tmp_path / "deep" / "report.html"
    done = unlearn(
        "audit", "--data", table, "--delete", "random:0.1", "--method", "reconverge", "--seeds", "2", "--models", "16",
        "--examples", "60", "--metrics", "u_lira,forget_auc", "--track", location, "--json", audit, *SMALL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(audit.read_text("utf-8"))
    assert said["views"].keys() == {"ranks", "ripple", "representation", "records"}
    assert said["provenance"]["versions"]["unlearn-recsys"]
    records = sum(len(one["parts"]["reconverge"]["unlearned.forget"]["values"][0]) for one in said["signals"])
    assert {len(group["of"]) for group in said["views"]["records"]["groups"].values()} == {records}

    assert answer("report", audit, "--html", page) == {"html": str(page), "bytes": page.stat().st_size}
    text = page.read_text("utf-8")
    assert text.count("Not in this audit") == 1  # no stream was given
    assert "likelihood ratio: reconverge" in text
    before = page.read_bytes()
    assert "MB" in unlearn("report", audit, "--html", page).stdout
    assert page.read_bytes() == before

    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    kept = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert kept >= {"audit.json", "report.html", "comparison.json"}
    tracked = Path(client.download_artifacts(parent.info.run_id, "report.html", str(tmp_path))).read_text("utf-8")
    assert parent.info.run_id in tracked and parent.info.run_id not in text
    assert naming(tmp_path, data.users.ids) == set()


def test_a_comparison_alone_makes_a_page(table: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "comparison.json", tmp_path / "report.html"
    done = unlearn("evaluate", "--data", table, "--delete", "one-user:3", "--seeds", "1", "--json", file, *SMALL)
    assert done.exit_code == 0, done.output
    answer("report", file, "--html", page)
    text = page.read_text("utf-8")
    assert "Median [10th, 90th percentile] over requests" in text
    assert text.count("Not in this audit") == 7  # power among them: requests of one seed are one run


def test_of_a_worst_case_the_page_shows_the_comparison_and_names_nobody(
    table: Path, data: Interactions, tmp_path: Path
) -> None:
    file, page = tmp_path / "worst.json", tmp_path / "page" / "report.html"
    done = unlearn(
        "worst-case", "--data", table, "--budget", "users:3", "--selector", "easiest", "--json", file, *SMALL
    )
    assert done.exit_code == 0, done.output
    assert naming(tmp_path, data.users.ids) == {"worst.json"}
    answer("report", file, "--html", page)
    assert "gap to the retrain" in page.read_text("utf-8")
    assert naming(tmp_path, data.users.ids) == {"worst.json"}


def test_what_is_no_audit_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    (tmp_path / "wrong.json").write_text("[1]", "utf-8")
    missing = "missing.json` cannot be used: no such file or directory\n"
    for file, message in (("wrong.json", "must come from `unlearn audit`"), ("missing.json", missing)):
        done = unlearn("report", tmp_path / file, "--html", page)
        assert done.exit_code == 2 and message in done.stderr
    for place in (tmp_path, tmp_path / "wrong.json" / "page.html"):
        assert "`html` must be a file that can be written" in refusal(
            2, "report", tmp_path / "wrong.json", "--html", place
        )
    assert not page.exists()
