"""What the README says is true: its Python runs, its commands run, what it points at exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from graph_influence.rrsets import RRSets
from recsys.data import synthetic
from tests.cli.run import unknown
from unlearn.cli import app
from unlearn.forget import ForgetSet
from unlearn.methods import methods
from unlearn.params import flatten
from unlearn.requests.certificate import disclosed

ROOT = Path(__file__).resolve().parent.parent
README, MEASUREMENTS = ((ROOT / name).read_text("utf-8") for name in ("README.md", "MEASUREMENTS.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """The arguments of every `unlearn` line."""
    lines = (shlex.split(line, comments=True) for line in block.splitlines())
    return [words[1:] for words in lines if words and words[0] == "unlearn"]


def run(source: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(directory)
    names: dict[str, Any] = {"__name__": "__readme__"}
    exec(compile(source, "README.md", "exec"), names)
    return names


def test_the_first_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(blocks("python")[0], tmp_path, monkeypatch)
    before, after, result, request = (names[name] for name in ("before", "after", "result", "request"))
    assert all(user in before.data.users and user not in after.data.users for user in request.users)
    assert all(item in before.data.items and item not in after.data.items for item in request.items)
    assert len(before.data) - len(after.data) == result.records_removed > 0
    assert result.residual_ratio < 0.2 and not result.fallback
    bound, *_ = re.findall(r"within ([\d.]+)%", capsys.readouterr().out)
    assert 0 < float(bound) < 10
    assert list(tmp_path.iterdir()) == []


def test_attaching_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    names = run(blocks("python")[1], tmp_path, monkeypatch)
    problem, after = names["problem"], names["after"]
    kept = torch.ones(500, dtype=torch.bool)
    kept[[3, 141, 59]] = False
    x = torch.cat([names["x"], torch.ones(500, 1)], dim=1)[kept].double()
    y = names["y"][kept].double()
    exact = torch.linalg.solve(x.T @ x + 0.5 * torch.eye(9), x.T @ y)[:, 0]
    old, new = (float((flatten(one.params).double() - exact).norm()) for one in (problem, after))
    assert new < 0.1 * old


def test_social_influence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(blocks("python")[2], tmp_path, monkeypatch)
    assert len(re.findall(r"\d+", capsys.readouterr().out)) == 10
    sets: RRSets = names["sets"]
    fresh = RRSets(names["graph"].without(ForgetSet(users=(17,))), seed=1)
    fresh.grow(100_000)
    assert len(fresh) == len(sets) and not len(sets.sets[17])
    assert all(np.array_equal(fresh.members[k], sets.members[k]) for k in range(len(fresh)))


def test_five_commands_from_installation_to_a_valid_certificate(tmp_path: Path) -> None:
    install, *rest = blocks("sh")[0].splitlines()
    # What `make test` has done already, to the interpreter that runs this.
    assert shlex.split(install) == ["pip", "install", "--constraint", "constraints.txt", "."]
    assert len(rest) == 4
    synthetic(120, 60, 2_400).frame()[["user", "item"]].to_csv(tmp_path / "clicks.csv", index=False)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = ""
    for line in rest:
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said = done.stdout
    assert said.startswith("certificate.json is valid")
    (counts,) = disclosed(json.loads((tmp_path / "certificate.json").read_text()), "counts")
    (removed,) = (one["removed"] for one in counts.values())
    assert removed["counts"]["users"] == 1 and removed["counts"]["interactions"] > 0
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "clicks.csv"]
    assert [path.name for path in kept if b"u000017" in path.read_bytes()] == []


def test_the_commands_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    synthetic(120, 60, 2_400).frame()[["user", "item"]].to_csv("clicks.csv", index=False)
    for arguments in commands(blocks("sh")[1]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, (arguments, done.output)
    gone = CliRunner().invoke(app, ["recommend", "--model", "model", "--user", "u000017"])
    assert gone.exit_code == 3


def test_commands_and_options_exist() -> None:
    found = [words for block in blocks("sh") for words in commands(block)]
    assert {words[0] for words in found} >= {"train", "recommend", "forget", "evaluate"}
    assert [said for words in found if (said := unknown(words))] == []


def test_every_method_is_named() -> None:
    assert [name for name in methods() if f"`{name}`" not in README] == []


def test_what_the_readme_points_at_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    folders = re.findall(r"^ *- `([\w/]+/)`", README, flags=re.MULTILINE)
    files = re.findall(r"(?<![\w/])(?:unlearn|recsys|benchmarks|notebooks|tests)/[\w/]+\.py", README + MEASUREMENTS)
    assert len(folders) > 10 and len(files) > 3
    assert [name for name in [*links, *folders, *files] if not (ROOT / name).exists()] == []


def test_a_source_distribution_has_what_the_readme_points_at() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    there = {"LICENSE", *(entry.strip("/") for entry in targets["sdist"]["include"])}
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert {link.partition("/")[0] for link in links} - there == set()


def test_sections_linked_within_exist() -> None:
    titles = {
        re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-") for t in re.findall(r"^## (.*)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= titles
