"""Where results cannot be written a command says so at once, by the option's name, before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import graph_influence.surrogate
from recsys.problem import RecommenderProblem
from tests.cli.run import SMALL, digest, refusal, unlearn

NOWHERE = "/proc/nope/file"


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be trained."""

    def fit(*_: Any, **__: Any) -> None:
        raise AssertionError("it was trained")

    monkeypatch.setattr(RecommenderProblem, "fit", fit)
    monkeypatch.setattr(graph_influence.surrogate, "train", fit)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("option", ["--json", "--track"])
@pytest.mark.parametrize("command", ["evaluate", "audit", "worst-case", "train"])
def test_at_once(command: str, option: str, table: Path, tmp_path: Path) -> None:
    if (command, option) in {("worst-case", "--track"), ("train", "--json")}:
        return  # there is no such option
    asked = {"train": ("--out", tmp_path / "model"), "worst-case": ("--budget", "users:2")}
    arguments = (command, "--data", table, *asked.get(command, ("--delete", "random:0.1")), *SMALL)
    before = digest(tmp_path)
    for place in (NOWHERE, tmp_path, *(["http://127.0.0.1:9"] if option == "--track" else [])):  # 9: nobody listens
        result = unlearn(*arguments, option, place)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert f"`{option[2:]}` must be" in result.stderr and str(place) in result.stderr.replace("\n", "")
    assert digest(tmp_path) == before


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("command", ["evaluate", "audit", "train"])
def test_no_store_is_made_for_what_cannot_be_read(command: str, tmp_path: Path) -> None:
    asked = ("--out", tmp_path / "model") if command == "train" else ("--delete", "random:0.1")
    result = unlearn(command, "--data", tmp_path / "nowhere.csv", *asked, "--track", tmp_path / "new.db", *SMALL)
    assert result.exit_code == 2 and "nowhere.csv" in result.stderr, result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("idle")
def test_a_store_that_is_none(table: Path, tmp_path: Path) -> None:
    store = tmp_path / "notes.db"
    store.write_text("nothing that SQLite knows, and long enough for it to have a look at", "utf-8")
    told = refusal(2, "train", "--data", table, "--out", tmp_path / "model", "--track", store, *SMALL)
    assert f"`track` must be a store that can be used: {store} cannot be used as an MLflow store (" in told
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("idle")
def test_folders_and_files_of_models(table: Path, tmp_path: Path) -> None:
    told = refusal(2, "train", "--data", table, "--out", NOWHERE, *SMALL)
    assert "`out` must be in a folder that can be written to" in told and NOWHERE in told
    told = refusal(2, "demo", "--out", table)
    assert "`out` must be in a folder that can be written to" in told
    for place in (NOWHERE, tmp_path):
        told = refusal(2, "influence", "train-surrogate", "gcn:depth=2:width=4", "--out", place)
        assert "`out` must be a file that can be written" in told


def test_a_store_may_be_named_by_its_uri(
    table: Path, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{location}"
    result = unlearn("train", "--data", table, "--out", tmp_path / "model", "--track", uri, "--json", *SMALL)
    assert result.exit_code == 0 and "model_id" in result.stdout, result.output
    assert not list(tmp_path.glob("sqlite*"))
